"""A file that appears under its name when it is complete, or not at all."""

from __future__ import annotations

import os
import uuid
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType

# Most file systems end at 255 bytes a name.
_LONGEST_STEM = 200


class Target:
    """A new file beside the one that is wanted: `commit` gives it the name, `discard` removes it.

    Two of them for one name do not meet: each has a file of its own, and the last one to commit wins. In a
    `with` block, an exception discards; without one, what was not committed is discarded, too.

    Args:
        path: The file that is wanted.
        overwrite: Whether it may replace a file that is there.
        ending: What the name of the new file ends in until then, where something depends on that.

    Raises:
        FileExistsError: There is a file, and it may not be replaced.
        FileNotFoundError: There is no folder for it.
        PermissionError: The folder may not be written to.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = True, ending: str = ".part"):
        self.path = Path(os.path.abspath(path))
        self._overwrite = overwrite
        self._place = Path(os.path.realpath(path))  # a link stays, and the file it leads to is replaced
        self._check()
        stem = os.fsencode(self._place.name)[:_LONGEST_STEM].decode(errors="ignore")  # no half characters
        self.partial = self._place.with_name(f".{stem}.{uuid.uuid4().hex[:8]}{ending}")
        self.partial.open("xb").close()  # fails at once where nothing may be written
        self._owner, self._is_committed = os.getpid(), False
        self._when_dropped = weakref.finalize(self, _remove, self.partial, self._owner)

    def commit(self) -> None:
        """The new file gets its name, and replaces what was there.

        Raises:
            FileExistsError: A file has appeared there, and it may not be replaced.
        """
        if self._overwrite:
            os.replace(self.partial, self._place)
        else:
            _rename_to_new(self.partial, self._place)
        self._is_committed = True
        self._when_dropped.detach()

    def discard(self) -> None:
        """Removes the new file, if it was not committed; and again, if somebody has made it anew."""
        if not self._is_committed:
            _remove(self.partial, self._owner)

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _check(self) -> None:
        folder = self._place.parent
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder} to write to; make it first")
        with suppress(FileNotFoundError):
            self._place.lstat()  # complains of a name that no file can have
        if self._place.is_dir():
            raise IsADirectoryError(f"{self.path} is a directory; give the name of a file")
        if not self._overwrite and self._place.exists():
            raise FileExistsError(f"{self.path} exists; overwrite=True replaces it")


def _rename_to_new(partial: Path, place: Path) -> None:
    """Renames, but never over another file."""
    try:
        os.link(partial, place)  # unlike a rename, this fails where there is a file
    except FileExistsError:
        raise FileExistsError(f"{place} has appeared meanwhile; overwrite=True replaces it") from None
    except (OSError, AttributeError):  # this file system has no links
        if place.exists():
            raise FileExistsError(f"{place} has appeared meanwhile; overwrite=True replaces it") from None
        os.rename(partial, place)
        return
    partial.unlink()


def _remove(partial: Path, owner: int) -> None:
    """A forked child that inherits the object leaves the file alone."""
    if os.getpid() == owner:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
