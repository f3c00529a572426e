"""Locks on a shared folder and on its entries; the system releases those of a process that ends."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...base import is_there, new_lock, survive_forks, try_lock, unlock

if sys.platform != "win32":
    import fcntl

_PAUSE_SECONDS = 0.001
_NUM_DIGITS = 20
_known: dict[Path, EntryLocks] = {}
_opening = new_lock()


def private(path: str | Path, flags: int) -> int:
    """Open a file, and no link, as an `opener`; a new file can be read by no other user."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


@dataclass
class Ledger:
    """The notes on a folder."""

    num_bytes: int | None
    """The size of all entries; None if it is unknown."""


@contextmanager
def ledger_of(folder: Path, *, wait: bool = True) -> Iterator[Ledger]:
    """Run one such block for a folder at a time, in any process; keep what it notes in the ledger."""
    descriptor = private(folder / ".ledger", os.O_RDWR | os.O_CREAT)
    try:
        while try_lock(descriptor) is False:
            if not wait:
                raise BlockingIOError
            time.sleep(_PAUSE_SECONDS)
        noted = os.read(descriptor, _NUM_DIGITS)
        before = int(noted) if noted.isdigit() else None
        ledger = Ledger(before)
        try:
            yield ledger
        finally:
            if ledger.num_bytes not in (None, before):
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, b"%0*d" % (_NUM_DIGITS, max(ledger.num_bytes, 0)))
    finally:
        unlock(descriptor)


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
    """

    def __init__(self, folder: Path):
        self._path = folder / ".holds"
        self._counts: Counter[str] = Counter()
        self._released: deque[str] = deque()
        self._mutex = new_lock()
        self._file = io.FileIO(self._path, "a+", opener=private)
        survive_forks(self)

    def after_fork(self) -> None:
        """Acquire in a child what its parent has, as it inherits no locks."""
        with suppress(OSError):  # the folder is gone; the next `used` will say so
            self._reopen()

    @contextmanager
    def used(self, name: str) -> Iterator[None]:
        """Mark an entry as used until the end of the block; the garbage collector may end it at any time."""
        with self._mutex:
            if not is_there(self._file.fileno(), self._path):  # the whole folder was cleared
                self._reopen()
            if not self._counts[name]:
                self._lock(name, "shared")
            self._counts[name] += 1
        self._settle()
        try:
            yield
        finally:
            self._released.append(name)
            self._settle()

    @contextmanager
    def unused(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Yield True if nobody uses an entry; then nobody can begin to before the end of the block.

        Without `wait`, an entry may count as used while another thread of this process is at work here.
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
        old, self._file = self._file, io.FileIO(self._path, "a+", opener=private)
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
