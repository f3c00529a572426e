"""Which entries of a shared folder are in use, by any process: what ends with a process, however it ends."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from ...base import new_lock, new_rlock, survive_forks, try_lock

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Use = Literal["shared", "alone", "no more"]

NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Opens no link, and no file for other programs."""

# Seconds between two looks at whether another one's work is done.
_PATIENCE = 0.05
_WORK = "work on "

_known: dict[Path, Holds] = {}
_opening = new_lock()


@contextmanager
def alone_in(folder: Path) -> Iterator[IO[bytes]]:
    """Nobody else, in this process or another, runs such a block for this folder; gives a file to note in."""
    with opened_in(folder, ".ledger") as file:
        _lock_whole(file)
        try:
            file.seek(0)
            yield file
        finally:
            _unlock_whole(file)  # closing is not enough: a child that was forked meanwhile has it open, too


@contextmanager
def alone_now(folder: Path) -> Iterator[IO[bytes] | None]:
    """Do the same, but give None at once where it is taken: for code that may run at any moment."""
    with opened_in(folder, ".ledger") as file:
        if not try_lock(file.fileno()):
            yield None
            return
        try:
            file.seek(0)
            yield file
        finally:
            _unlock_whole(file)


def opened_in(folder: Path, name: str) -> IO[bytes]:
    """Open a file that nobody else can read, to read it and to add to it; it is made where it is missing.

    Raises:
        OSError: It cannot be opened; a link is not followed.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINK
    return os.fdopen(os.open(folder / name, flags, 0o600), "a+b")


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
        self._dropped: deque[str] = deque()
        self._mutex = new_rlock()
        self._file = self._opened()
        self._begin_anew()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child inherits no locks."""
        self._begin_anew()
        with suppress(OSError):  # the folder is gone; whoever takes a name will hear of it
            self._reopen()

    def take(self, name: str) -> None:
        """From now on, this name is in use; can be said many times."""
        with self._mutex, self._busy():
            self._check_file()
            if not self._counts[name]:
                self._lock(name, "shared")
            self._counts[name] += 1
        self._settle()

    def drop(self, name: str) -> None:
        """Take one `take` back, without waiting, as the garbage collector may call this at any time."""
        self._dropped.append(name)
        self._settle()

    @contextmanager
    def unused(self, name: str) -> Iterator[bool]:
        """Whether nobody uses a name; if so, who wants to has to wait for the end of the block."""
        with self._mutex:
            if self._is_busy:  # in the garbage collector, in the middle of another call
                yield False
                return
            with self._busy():
                is_free = not self._counts[name] and self._lock(name, "alone")
                try:
                    yield is_free
                finally:
                    if is_free:
                        self._lock(name, "no more")
        self._settle()

    @contextmanager
    def turn(self, name: str, check: Callable[[], None]) -> Iterator[None]:
        """Run one block for a name at a time, in any process; the others wait in short pieces.

        Args:
            name: What the block works on; using it is something else.
            check: Called now and then while it waits; raises where that shall stop.
        """
        is_mine = False
        try:
            while not (is_mine := self._begin(name)):
                check()
                time.sleep(_PATIENCE)
            yield
        finally:
            if is_mine:
                with self._mutex, self._busy():
                    self._working.discard(name)
                    self._lock(_WORK + name, "no more")
                self._settle()

    def _begin(self, name: str) -> bool:
        with self._mutex, self._busy():
            self._check_file()
            is_mine = name not in self._working and self._lock(_WORK + name, "alone")
            if is_mine:
                self._working.add(name)
        self._settle()
        return is_mine

    def _settle(self) -> None:
        """Take account of what was dropped; a call that is under way does it at its end."""
        while self._dropped and self._mutex.acquire(blocking=False):
            try:
                if self._is_busy:
                    return
                with self._busy():
                    self._forget(self._dropped.popleft())
            finally:
                self._mutex.release()

    def _forget(self, name: str) -> None:
        self._counts[name] -= 1
        if self._counts[name] <= 0:
            del self._counts[name]
            self._lock(name, "no more")

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False

    def _begin_anew(self) -> None:
        self._is_busy = False
        self._working: set[str] = set()

    def _check_file(self) -> None:
        if not self._is_there():
            self._reopen()

    def _opened(self) -> IO[bytes]:
        return opened_in(self._folder, ".holds")

    def _reopen(self) -> None:
        old, self._file = self._file, self._opened()
        old.close()  # before anything is locked: closing a file drops all locks of a process on it
        for name in self._counts:
            self._lock(name, "shared")
        for name in self._working:
            self._lock(_WORK + name, "alone")

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


def _unlock_whole(file: IO[bytes]) -> None:
    file.flush()
    if sys.platform == "win32":
        file.seek(2**30)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_UN)


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
