"""Hidden files and folders that are being written, and the removal of those that killed runs have left.

Each is locked as long as it is being written. The system drops the lock when the process ends, however it
ends, so that what is not locked belongs to nobody any more.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import uuid
from contextlib import suppress
from pathlib import Path

from ..errors import printable
from .locks import clipped, is_there, try_lock, unlock

_ENDING = r"\.[0-9a-f]{8}\.part(\.[^.]+)?"


class Partial:
    """A new hidden file or folder beside the one that is wanted.

    Args:
        place: The name that it will get.
        ending: What its name ends in until then.
        mode: The permissions of a new file, before the umask.
        is_folder: Make a folder.
    """

    def __init__(self, place: Path, *, ending: str = ".part", mode: int = 0o666, is_folder: bool = False):
        self._owner, self._is_folder, self._is_renamed = os.getpid(), is_folder, False
        self._lock: int | None = None
        while True:
            self.path = place.with_name(f".{clipped(place.name)}.{uuid.uuid4().hex[:8]}{ending}")
            if is_folder:
                self.path.mkdir()
            else:  # fails at once where nothing may be written
                self._lock = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
            if self._is_locked():
                break
            self.remove()  # another process was about to clear it

    def rename(self, place: Path, *, overwrite: bool) -> None:
        """Give it its name.

        Raises:
            FileExistsError: There is something, and it may not be replaced.
        """
        if sys.platform == "win32":  # where what is open cannot be renamed
            self._unlock()
        if overwrite:
            os.replace(self.path, place)
        elif self._is_folder:
            self.path.rename(place)  # only over an empty one
        else:
            _rename_to_new(self.path, place)
        self._is_renamed = True
        self._unlock()

    def remove(self) -> None:
        """Remove it, if it has not got its name; and again, if another program has made it anew.

        A forked child that inherits the object leaves everything alone.
        """
        if os.getpid() == self._owner and not self._is_renamed:
            if sys.platform == "win32":
                self._unlock()
            _remove(self.path)
            self._unlock()

    def _is_locked(self) -> bool:
        """Return False if another process has locked or removed it since it was made."""
        if self._is_folder:
            self._lock = _open_folder(self.path)
        if self._lock is None or sys.platform == "win32":  # where an open file cannot be removed
            return True
        return try_lock(self._lock) is not False and os.path.lexists(self.path)

    def _unlock(self) -> None:
        if self._lock is not None:
            lock, self._lock = self._lock, None
            unlock(lock)


def clear_partials(
    folder: Path, name: str | tuple[str, ...], *, is_prefix: bool = False, suffix: str = ""
) -> bool:
    """Remove what killed runs have left of a file, and return True if there was any; what is in use stays.

    It lists the folder: call it once a run, not once a file.

    Args:
        folder: The folder.
        name: The name that the file would have got, or several.
        is_prefix: Whether all files count whose names begin so.
        suffix: What the names end in, too.
    """
    middle = ".*" if is_prefix else ""
    names = "|".join(re.escape(clipped(each)) for each in ((name,) if isinstance(name, str) else name))
    pattern = re.compile(rf"\.({names}){middle}{re.escape(suffix)}{_ENDING}", re.DOTALL)
    left = []
    with suppress(OSError), os.scandir(folder) as entries:
        left = [entry for entry in entries if pattern.fullmatch(entry.name)]
    for entry in left:
        if entry.is_dir(follow_symlinks=False):
            _remove_if_free(Path(entry.path), is_folder=True)
        elif entry.is_file(follow_symlinks=False):
            _remove_if_free(Path(entry.path), is_folder=False)
    return bool(left)


def _remove_if_free(path: Path, *, is_folder: bool) -> None:
    if sys.platform == "win32":  # where open files cannot be removed, and folders cannot be locked
        return None if is_folder else _remove(path)
    with suppress(OSError):
        lock = _open_folder(path) if is_folder else os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        if lock is not None:
            if try_lock(lock) and is_there(lock, path):
                _remove(path)
            unlock(lock)


def _open_folder(path: Path) -> int | None:
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
    return None


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)


def _rename_to_new(partial: Path, place: Path) -> None:
    """Rename, but never over another file."""
    try:
        os.link(partial, place)  # unlike a rename, this fails where there is a file
    except FileExistsError:
        raise FileExistsError(
            f"{printable(place)} has appeared meanwhile; overwrite=True replaces it"
        ) from None
    except (OSError, AttributeError):  # this file system has no links
        if os.path.lexists(place):
            raise FileExistsError(
                f"{printable(place)} has appeared meanwhile; overwrite=True replaces it"
            ) from None
        os.rename(partial, place)
        return
    partial.unlink()
