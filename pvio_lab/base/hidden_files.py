"""Hidden files beside a place: files and folders that are not complete yet, and locks on a name.

Each is locked by the process that made it. The system drops the lock when the process ends, however it ends,
so that a hidden file without a lock belongs to no one any more and may be removed.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import time
import uuid
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
_ENDING = r"\.[0-9a-f]{8}\.part(\.[^.]+)?"
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class LockFile:
    """A lock on the name of a file that may not exist yet: a hidden file beside it, removed with the lock.

    A forked child inherits no lock. Where the file system has no locks, each request succeeds.
    """

    def __init__(self, place: Path):
        self.path = place.with_name(f".{_clipped(place.name)}.lock")
        self._end: weakref.finalize[[Path, int | None, int], LockFile] | None = None

    def acquire(self) -> bool:
        """Take the lock, or return False at once where another holder has it."""
        while True:
            descriptor = _opened_lock(self.path)
            if try_lock(descriptor) is False:
                os.close(descriptor)
                return False
            if is_there(descriptor, self.path):
                break
            os.close(descriptor)  # the holder before has just removed it
        with suppress(OSError):  # another user's, which may only be read
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        self._end = weakref.finalize(self, _drop, self.path, descriptor, os.getpid())
        return True

    def acquire_within(self, seconds: float) -> None:
        """Take the lock, or raise a TimeoutError if another holder keeps it for longer."""
        last = time.monotonic() + seconds
        while not self.acquire():
            if time.monotonic() > last:
                raise TimeoutError(f"{self.holder()} has been at this file for {seconds:g} s; try again")
            time.sleep(_PAUSE_SECONDS)

    def release(self) -> None:
        """Release the lock, if it was taken. May be called twice."""
        # Called by hand, as a finalizer does nothing any more once the interpreter has begun to end.
        if self._end is not None and (found := self._end.detach()) is not None:
            _drop(*found[2])

    def holder(self) -> str:
        """Return a description of the process that has the lock."""
        with suppress(OSError):
            return printable(self.path.read_bytes()[:200].decode(errors="replace")) or "another process"
        return "another process"

    def __enter__(self) -> LockFile:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


class Partial:
    """A new hidden file or folder beside the place that is wanted for it, made at once."""

    def __init__(self, place: Path, *, ending: str = ".part", mode: int = 0o666, is_folder: bool = False):
        self._owner, self._is_folder = os.getpid(), is_folder
        self._lock: int | None
        while True:
            self.path = place.with_name(f".{_clipped(place.name)}.{uuid.uuid4().hex[:8]}{ending}")
            if is_folder:
                self.path.mkdir()
                self._lock = _opened(self.path, is_folder=True)
            else:  # fails at once where nothing may be written
                self._lock = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
            if self._lock is None or sys.platform == "win32":  # where an open file cannot be removed
                break
            if try_lock(self._lock) is not False and os.path.lexists(self.path):
                break
            self.remove()  # another process was about to clear it

    def rename(self, place: Path, *, overwrite: bool) -> None:
        """Give it its name; where something may not be replaced, it is a FileExistsError."""
        if sys.platform == "win32":  # where what is open cannot be renamed
            self._unlock()
        if overwrite:
            os.replace(self.path, place)
        elif self._is_folder:
            self.path.rename(place)  # only over an empty one
        else:
            _rename_to_new(self.path, place)
        self._owner = 0  # nobody removes it any more
        self._unlock()

    def remove(self) -> None:
        """Remove it, unless it has its name; do so again if another program has made it anew.

        A forked child that inherits the object leaves everything alone.
        """
        lock, self._lock = self._lock, None
        _drop(self.path, lock, self._owner, is_folder=self._is_folder)

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        unlock(lock)


def clear_partials(
    folder: Path, name: str | tuple[str, ...], *, is_prefix: bool = False, suffix: str = ""
) -> bool:
    """Remove files that killed runs have left, and return True if there were any; those in use stay.

    It lists the folder: call it once a run, not once a file. `name` is the name that the file would have got,
    or several; with `is_prefix`, all count that begin like this and end like `suffix`.
    """
    middle = ".*" if is_prefix else ""
    names = "|".join(re.escape(_clipped(each)) for each in ((name,) if isinstance(name, str) else name))
    pattern = re.compile(rf"\.({names}){middle}{re.escape(suffix)}{_ENDING}", re.DOTALL)
    left = []
    with suppress(OSError), os.scandir(folder) as entries:
        left = [entry for entry in entries if pattern.fullmatch(entry.name)]
    for entry in left:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder or entry.is_file(follow_symlinks=False):
            _remove_if_free(Path(entry.path), is_folder=is_folder)
    return bool(left)


def is_there(descriptor: int, path: Path) -> bool:
    """Return True if an open file still has this name."""
    if sys.platform == "win32":  # where what is open cannot be removed
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _clipped(name: str) -> str:
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


def unlock(descriptor: int | None) -> None:
    """Close a locked file; a forked child that has inherited it keeps no lock, either."""
    if descriptor is not None:
        with suppress(OSError):
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _drop(path: Path, descriptor: int | None, owner: int, *, is_folder: bool = False) -> None:
    """Remove a hidden file or folder and close it, in the process that made it."""
    if os.getpid() == owner:
        if sys.platform == "win32":  # what is open cannot be removed there
            unlock(descriptor)
            _remove(path, is_folder=is_folder)
        else:
            _remove(path, is_folder=is_folder)
            unlock(descriptor)


def _remove(path: Path, *, is_folder: bool) -> None:
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _remove_if_free(path: Path, *, is_folder: bool) -> None:
    if sys.platform == "win32":  # where open files cannot be removed, and folders cannot be locked
        return None if is_folder else _remove(path, is_folder=False)
    descriptor = _opened(path, is_folder=is_folder)
    if descriptor is not None:
        if try_lock(descriptor) and is_there(descriptor, path):
            _remove(path, is_folder=is_folder)
        unlock(descriptor)


def _opened(path: Path, *, is_folder: bool) -> int | None:
    flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) if is_folder else os.O_RDWR
    with suppress(OSError):
        return os.open(path, flags | _NO_LINK)
    return None


def _opened_lock(path: Path) -> int:
    try:
        return os.open(path, _NO_LINK | os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no folder {printable(path.parent)} to write to; make it first"
        ) from None
    except PermissionError:
        with suppress(FileNotFoundError):  # it is there: another user's, whose process was killed
            return os.open(path, _NO_LINK | os.O_RDONLY)
        raise PermissionError(f"nothing may be written to the folder {printable(path.parent)}") from None


def _rename_to_new(partial: Path, place: Path) -> None:
    """Rename, but never over another file."""
    try:
        os.link(partial, place)  # unlike a rename, this fails where there is a file
    except (OSError, AttributeError):  # or this file system has no links
        if os.path.lexists(place):
            raise FileExistsError(
                f"{printable(place)} has appeared meanwhile; overwrite=True replaces it"
            ) from None
        os.rename(partial, place)
    else:
        partial.unlink()
