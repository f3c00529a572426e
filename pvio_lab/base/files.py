"""Files that appear under their names when they are complete, or not at all."""

from __future__ import annotations

import itertools
import os
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import printable
from .hidden_files import Partial, clear_partials


class Target:
    """A new file beside the one that is wanted: `commit` gives it the name, `discard` removes it.

    Two of them for one name do not meet: each has a file of its own, and the last one to commit wins. At
    the end of a `with` block, a file that was not committed is discarded. A file that is replaced passes on
    its permissions and, where that is allowed, its owner. Files that a killed run has left of the same one
    are removed.

    Args:
        path: The file that is wanted.
        overwrite: Whether it may replace a file that is there.
        ending: The end of the name of the new file until then, where something depends on it.
        clear: Look for files that killed runs have left, which lists the folder. False for many files in one
            folder, for which `clear_partials` has done it.

    Raises:
        FileExistsError: There is a file, and it may not be replaced; or it is one of several hard links.
        FileNotFoundError: There is no folder for it.
        PermissionError: The file is read-only, or the folder may not be written to.
        ValueError: There is something that is not a regular file: a FIFO, a socket, a device.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        ending: str = ".part",
        clear: bool = True,
    ):
        self.path = Path(os.path.abspath(path))
        self._overwrite = overwrite
        self._place = Path(os.path.realpath(path))  # a link stays, and the file it leads to is replaced
        # Before hard links are looked for: a run that was killed while it made a new file has left one.
        self._has_cleared = clear and clear_partials(self._place.parent, self._place.name)
        old = self._check()
        # Nobody may read what will be private, not even while it is empty.
        self._file = Partial(self._place, ending=ending, mode=0o666 if old is None else 0o600)
        self.partial = self._file.path
        if old is not None:
            _pass_on(old, self.partial)
        self._when_dropped = weakref.finalize(self, self._file.remove)

    def commit(self) -> None:
        """Give the new file its name, in place of the file that was there.

        Raises:
            FileExistsError: A file has appeared there, and it may not be replaced.
            PermissionError: The file there has become read-only.
        """
        if self._overwrite:
            old = self._check()
            if old is not None:
                _pass_on(old, self.partial)
        self._file.rename(self._place, overwrite=self._overwrite)
        self._when_dropped.detach()
        if self._has_cleared:  # the ffmpeg of a killed run lives a little longer, and may have made it anew
            clear_partials(self._place.parent, self._place.name)

    def commit_beside(self) -> Path:
        """Give the new file a free name like the one that was wanted, `front (2).mp4`, and return it."""
        for place in _numbered(self._place):
            with suppress(FileExistsError):
                self._file.rename(place, overwrite=False)
                break
        self._when_dropped.detach()
        return place

    def discard(self) -> None:
        """Remove the new file, unless it was committed; do so again if another program has made it anew."""
        self._file.remove()

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *raised: object) -> None:
        self.discard()

    def _check(self) -> os.stat_result | None:
        """Return the state of the file that would be replaced, if there is one and it may be."""
        folder = self._place.parent
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {printable(folder)} to write to; make it first")
        try:
            old = self._place.lstat()  # complains of a name that no file can have
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(f"{printable(self.path)} is a directory; give the name of a file")
        if not stat.S_ISREG(old.st_mode):
            raise ValueError(f"{printable(self.path)} is not a regular file; give the name of a file")
        if not self._overwrite:
            raise FileExistsError(f"{printable(self.path)} exists; overwrite=True replaces it")
        # The superuser may write to any file, but what is marked read-only is meant to stay.
        is_read_only = not old.st_mode & 0o222 or not os.access(self._place, os.W_OK)
        if is_read_only and os.path.lexists(self._place):  # it may be gone in the meantime
            raise PermissionError(
                f"{printable(self.path)} is read-only; make it writable or choose another name"
            )
        if old.st_nlink > 1 and not self._loses_links():
            raise FileExistsError(
                f"{printable(self.path)} is one of {old.st_nlink} hard links to a file, and "
                "replacing it would part them; remove it first or choose another name"
            )
        return old

    def _loses_links(self) -> bool:
        """Return True if there is soon only one link: a process that makes a file has two for a moment."""
        for _ in range(5):
            time.sleep(0.01)
            with suppress(FileNotFoundError):
                if self._place.lstat().st_nlink > 1:
                    continue
            return True
        return False


def write_whole(
    path: str | os.PathLike[str], contents: str | bytes, *, overwrite: bool = True, clear: bool = True
) -> None:
    """Write a small file at once, as `Target` does; text becomes UTF-8."""
    with Target(path, overwrite=overwrite, clear=clear) as target:
        data = contents if isinstance(contents, bytes) else contents.encode("utf-8", "backslashreplace")
        target.partial.write_bytes(data)
        target.commit()


def free_path(path: str | os.PathLike[str]) -> Path:
    """Return this path, or the next one that is free: clip.png -> clip (2).png -> clip (3).png."""
    wanted = Path(path)
    return next(each for each in itertools.chain([wanted], _numbered(wanted)) if not os.path.lexists(each))


def _numbered(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.stem} ({number}){path.suffix}") for number in itertools.count(2))


def _pass_on(old: os.stat_result, partial: Path) -> None:
    """Give a new file the owner and the permissions of the one it will replace, as far as that is allowed."""
    with suppress(OSError, AttributeError):  # to one's own groups only; Windows knows no owners
        os.chown(partial, -1, old.st_gid)
    with suppress(OSError, AttributeError):  # only the superuser may give files away
        os.chown(partial, old.st_uid, -1)
    mode, new = stat.S_IMODE(old.st_mode), partial.stat()
    if new.st_uid != old.st_uid:
        mode &= ~stat.S_ISUID
    if new.st_gid != old.st_gid:
        mode &= ~(stat.S_ISGID | stat.S_IRWXG)  # they were meant for another group
    with suppress(OSError):  # some file systems have no permissions
        partial.chmod(mode)
