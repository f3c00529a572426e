"""Locks on a shared folder and on its entries; the system releases those of a process that ends."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from ...base import is_there, new_lock, survive_forks

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags to open no link, and no file for other programs."""

_known: dict[Path, EntryLocks] = {}
_opening = new_lock()


@contextmanager
def alone_in(folder: Path, *, wait: bool = True) -> Iterator[IO[bytes]]:
    """Run one such block for a folder at a time, in any process; yields a file for notes.

    Raises:
        BlockingIOError: Another one is running, and `wait` is False.
    """
    with _opened(folder / ".ledger") as file:
        _lock_file(file, wait)
        try:
            file.seek(0)
            yield file
        finally:
            file.flush()
            _unlock_file(file)  # closing is not enough: a child that was forked meanwhile has it open, too


def entry_locks(folder: Path) -> EntryLocks:
    """Return the one `EntryLocks` of this process for a folder, given by its real path."""
    with _opening:  # two objects would not know of each other's locks
        if folder not in _known:
            _known[folder] = EntryLocks(folder)
        return _known[folder]


class EntryLocks:
    """The entries of a folder that are in use.

    One open file serves any number of entries, as each of them locks one byte of it. Such locks belong to a
    process: within it they are counted, and a forked child acquires its own.

    Args:
        folder: The folder of the entries, and of the file that is locked.
    """

    def __init__(self, folder: Path):
        self._path = folder / ".holds"
        self._counts: Counter[str] = Counter()
        self._released: deque[str] = deque()
        self._mutex = new_lock()
        self._file = _opened(self._path)
        survive_forks(self)

    def after_fork(self) -> None:
        """Acquire in a child what its parent has, as it inherits no locks."""
        with suppress(OSError):  # the folder is gone; the next `acquire` will say so
            self._reopen()

    def acquire(self, name: str) -> None:
        """Mark an entry as used; may be called many times."""
        with self._mutex:
            if not is_there(self._file.fileno(), self._path):  # the whole folder was cleared
                self._reopen()
            if not self._counts[name]:
                self._lock(name, "shared")
            self._counts[name] += 1
        self._settle()

    def release(self, name: str) -> None:
        """Undo one `acquire`, without waiting: the garbage collector may call this at any time."""
        self._released.append(name)
        self._settle()

    @contextmanager
    def unused(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Yield True if nobody uses an entry; then nobody can acquire it before the end of the block.

        Args:
            name: The entry.
            wait: Whether to wait for other threads of this process; otherwise the entry may count as used.
        """
        if not self._mutex.acquire(blocking=wait):
            yield False
            return
        try:
            is_unused = not self._counts[name] and self._lock(name, "exclusive")
            try:
                yield is_unused
            finally:
                if is_unused:
                    self._lock(name, "none")
        finally:
            self._mutex.release()
            self._settle()

    def _settle(self) -> None:
        """Process what was released; while the mutex is taken, its holder will do so when it is done."""
        while self._released and self._mutex.acquire(blocking=False):
            try:
                while self._released:
                    name = self._released.popleft()
                    self._counts[name] -= 1
                    if not self._counts[name]:
                        del self._counts[name]
                        self._lock(name, "none")
            finally:
                self._mutex.release()

    def _reopen(self) -> None:
        old, self._file = self._file, _opened(self._path)
        old.close()  # before anything is locked: closing a file drops all locks of a process on it
        for name in self._counts:
            self._lock(name, "shared")

    def _lock(self, name: str, use: Literal["shared", "exclusive", "none"]) -> bool:
        """Lock the byte of an entry; return False if another process has it."""
        if sys.platform == "win32":
            return True  # an open file cannot be removed there
        place = int(hashlib.sha256(os.fsencode(name)).hexdigest()[:15], 16)
        kinds = {"shared": fcntl.LOCK_SH, "exclusive": fcntl.LOCK_EX | fcntl.LOCK_NB, "none": fcntl.LOCK_UN}
        try:
            fcntl.lockf(self._file, kinds[use], 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True


def _opened(path: Path) -> IO[bytes]:
    """Open a file of this user, to read it and to add to it; it is created where it is missing.

    Raises:
        OSError: It cannot be opened; a link is not followed.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINK
    return os.fdopen(os.open(path, flags, 0o600), "a+b")


def _lock_file(file: IO[bytes], wait: bool) -> None:
    if sys.platform == "win32":
        file.seek(2**30)  # far behind the notes: such a lock keeps others from reading, too
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _unlock_file(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        file.seek(2**30)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_UN)
