"""Locks of files, which the system takes from a process that ends, however it ends."""

from __future__ import annotations

import os
import socket
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path

from ..errors import printable

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


# Most file systems end at 255 bytes a name.
_LONGEST_NAME = 200
_PAUSE_SECONDS = 0.01


class LockFile:
    """A lock on the name of a file that may not exist yet: a hidden file beside it, removed with the lock.

    A forked child inherits no lock. Where the file system has no locks, each request succeeds.

    Args:
        place: The file. Its folder must be there when the lock is taken.
    """

    def __init__(self, place: Path):
        self.path = place.with_name(f".{clipped(place.name)}.lock")
        self._end: weakref.finalize[[int, Path, int], LockFile] | None = None

    def acquire(self) -> bool:
        """Take the lock, or return False at once where another holder has it."""
        while True:
            descriptor = _opened(self.path)
            if try_lock(descriptor) is False:
                os.close(descriptor)
                return False
            if is_there(descriptor, self.path):
                break
            os.close(descriptor)  # the holder before has just removed it
        with suppress(OSError):  # another user's, which may only be read
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        self._taken = (descriptor, self.path, os.getpid())
        self._end = weakref.finalize(self, _release, *self._taken)
        return True

    def acquire_within(self, seconds: float) -> None:
        """Take the lock, waiting for it in short pieces.

        Raises:
            TimeoutError: Another holder has kept it for longer.
        """
        last = time.monotonic() + seconds
        while not self.acquire():
            if time.monotonic() > last:
                raise TimeoutError(f"{self.holder()} has been at this file for {seconds:g} s; try again")
            time.sleep(_PAUSE_SECONDS)

    def release(self) -> None:
        """Release the lock, if it was taken. May be called twice."""
        # Called by hand, as a finalizer does nothing any more once the interpreter has begun to end.
        if self._end is not None and self._end.detach():
            _release(*self._taken)

    def holder(self) -> str:
        """Return the process that has the lock, in words."""
        with suppress(OSError):
            return printable(self.path.read_bytes()[:200].decode(errors="replace")) or "another process"
        return "another process"

    def __enter__(self) -> LockFile:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


def clipped(name: str) -> str:
    """Return the beginning of a name, short enough that something can be added to it."""
    return os.fsencode(name)[:_LONGEST_NAME].decode(errors="ignore")  # no half characters


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file; return False where it is locked already, None where there are no locks."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, 2**30, os.SEEK_SET)  # behind what is written: others may still read that
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def unlock(descriptor: int) -> None:
    """Close a locked file; a forked child that has inherited it keeps no lock, either."""
    with suppress(OSError):
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def is_there(descriptor: int, path: Path) -> bool:
    """Return True if an open file still has this name."""
    if sys.platform == "win32":  # where what is open cannot be removed
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _opened(path: Path) -> int:
    flags = getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no folder {printable(path.parent)} to write to; make it first"
        ) from None
    except PermissionError:
        with suppress(FileNotFoundError):  # it is there: another user's, whose process was killed
            return os.open(path, flags | os.O_RDONLY)
        raise PermissionError(f"nothing may be written to the folder {printable(path.parent)}") from None


def _release(descriptor: int, path: Path, owner: int) -> None:
    if os.getpid() != owner:
        return
    if sys.platform == "win32":  # what is open cannot be removed there
        unlock(descriptor)
        with suppress(OSError):
            path.unlink()
    else:
        with suppress(OSError):
            path.unlink()
        unlock(descriptor)
