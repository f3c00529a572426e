"""Which entries of a shared folder are in use, by any process: what ends with a process, however it ends."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from ..base.forks import new_lock, survive_forks

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Use = Literal["shared", "alone", "no more"]

_known: dict[Path, Holds] = {}
_opening = new_lock()


@contextmanager
def alone_in(folder: Path) -> Iterator[IO[bytes]]:
    """Nobody else, in this process or another, runs such a block for this folder; gives a file to note in."""
    with open(folder / ".ledger", "a+b") as file:
        _lock_whole(file)
        file.seek(0)
        yield file


def holds_in(folder: Path) -> Holds:
    """The one object of this process for a folder, given by its real path."""
    with _opening:  # two objects would not know what the other one holds
        if folder not in _known:
            _known[folder] = Holds(folder)
        return _known[folder]


class Holds:
    """Names that are in use. One open file serves any number of them: each name locks one byte of it.

    Such locks are shared by a process, and the system drops them when it ends; a forked child takes its own.

    Args:
        folder: Where the entries are, and the file that is locked.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._counts: Counter[str] = Counter()
        self._mutex = new_lock()
        self._file = self._opened()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child inherits no locks."""
        self._reopen()

    def take(self, name: str) -> None:
        """From now on, this name is in use; can be said many times."""
        with self._mutex:
            if not self._is_there():
                self._reopen()
            if not self._counts[name]:
                self._lock(name, "shared")
            self._counts[name] += 1

    def drop(self, name: str) -> None:
        """Takes back what `take` said once."""
        with self._mutex:
            self._counts[name] -= 1
            if self._counts[name] <= 0:
                del self._counts[name]
                self._lock(name, "no more")

    @contextmanager
    def unused(self, name: str) -> Iterator[bool]:
        """Whether nobody uses a name; if so, who wants to has to wait for the end of the block."""
        with self._mutex:
            is_free = not self._counts[name] and self._lock(name, "alone")
            try:
                yield is_free
            finally:
                if is_free:
                    self._lock(name, "no more")

    def _opened(self) -> IO[bytes]:
        return open(self._folder / ".holds", "a+b")

    def _reopen(self) -> None:
        self._file.close()  # before anything is locked: closing a file drops all locks of a process on it
        self._file = self._opened()
        for name in self._counts:
            self._lock(name, "shared")

    def _is_there(self) -> bool:
        """Somebody may have cleared the whole folder."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._folder / ".holds"))
        except OSError:
            return False

    def _lock(self, name: str, use: Use) -> bool:
        return _lock_byte(self._file, int(hashlib.sha256(os.fsencode(name)).hexdigest()[:15], 16), use)


def _lock_whole(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        file.seek(2**30)  # far behind what is noted: such a lock keeps others from reading, too
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX)


def _lock_byte(file: IO[bytes], place: int, use: Use) -> bool:
    """Whether it could be locked; nobody is waited for to have it alone."""
    if sys.platform == "win32":
        return True  # an open file cannot be removed there
    kinds = {"shared": fcntl.LOCK_SH, "alone": fcntl.LOCK_EX | fcntl.LOCK_NB, "no more": fcntl.LOCK_UN}
    try:
        fcntl.lockf(file, kinds[use], 1, place)
    except (BlockingIOError, PermissionError):
        return False
    return True
