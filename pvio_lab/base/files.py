"""Files that appear under their names when they are complete, or not at all; and reading regular files."""

from __future__ import annotations

import itertools
import os
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from ..errors import printable
from .partials import Partial, clear_partials

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def odd_kind(mode: int) -> str | None:
    """Return in words what a mode says that something is, or None if it is a regular file.

    >>> odd_kind(stat.S_IFIFO | 0o644)
    'a FIFO'
    """
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading, but no FIFO and no device: these may have no end, or nobody who writes.

    Raises:
        OSError: It cannot be read, or is no regular file; links are followed.
    """
    kind = odd_kind(os.stat(path).st_mode)
    if kind is not None and kind != _KINDS[stat.S_IFDIR]:  # of a directory, the system says it in its own way
        raise OSError(f"{printable(path)} is {kind}, and only regular files are read")
    return open(path, "rb", opener=open_at_once)


def open_at_once(path: str, flags: int) -> int:
    """Open even what has become a FIFO in the meantime, without waiting for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class Target:
    """A new file beside the one that is wanted: `commit` gives it the name, `discard` removes it.

    Two of them for one name do not meet: each has a file of its own, and the last one to commit wins. In a
    `with` block, an exception discards; without one, what was not committed is discarded, too. A file that is
    replaced passes on its permissions and, where that is allowed, its owner. What a run that was killed has
    left of the same file is removed.

    Args:
        path: The file that is wanted.
        overwrite: Whether it may replace a file that is there.
        ending: What the name of the new file ends in until then, where something depends on that.
        clear: Look for what killed runs have left, which lists the folder. False where there are many files
            in one, and `clear_partials` has done it for all.

    Raises:
        FileExistsError: There is a file, and it may not be replaced; or it is one of several hard links.
        FileNotFoundError: There is no folder for it.
        PermissionError: The file is read-only, or the folder may not be written to.
        ValueError: There is something that is no regular file: a FIFO, a socket, a device.
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
        """Remove the new file, if it was not committed; and again, if another program has made it anew."""
        self._file.remove()

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        if not old.st_mode & 0o222 or not _may_write(self._place):
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
        """Return True if there soon is one link only: for a moment, a process that makes a file has two."""
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


def _may_write(place: Path) -> bool:
    return os.access(place, os.W_OK) or not os.path.lexists(place)  # it may be gone in the meantime


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
