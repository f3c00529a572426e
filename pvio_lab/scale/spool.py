"""What comes over a network is kept: in memory as long as it is little, else in a file without a name."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from os import PathLike
from types import TracebackType
from typing import IO

_PIECE = 2**20
# An open file has a path there, also without a name.
_OPEN_FILES = "/proc/self/fd"
_MAY_BE_NAMELESS = os.path.isdir(_OPEN_FILES)
_HAS_MEMORY_FILES = _MAY_BE_NAMELESS and hasattr(os, "memfd_create")


class Spool:
    """A file that is written once and then opened by its path, for as long as the block runs.

    Where the system allows it the file has no name in any folder, so that nothing is left of it even when the
    process is killed.

    >>> with Spool(memory_bytes=4) as spool:
    ...     spool.write(b"frames")
    ...     with open(spool.path, "rb") as file:
    ...         file.read()
    b'frames'

    Args:
        folder: Where it lies when it is not in memory; None is the folder for temporary files.
        memory_bytes: How much of it may be in memory.
    """

    def __init__(self, folder: str | PathLike[str] | None = None, *, memory_bytes: float = 0):
        self._folder, self._memory_bytes = folder, memory_bytes if _HAS_MEMORY_FILES else 0
        self.num_bytes = 0
        self._file = self._in_memory() if self._memory_bytes else self._on_disk()

    @property
    def path(self) -> str:
        """Where it can be opened."""
        self._file.flush()
        return f"{_OPEN_FILES}/{self._file.fileno()}" if _MAY_BE_NAMELESS else self._file.name

    def write(self, piece: bytes) -> None:
        """Adds to its end."""
        self.num_bytes += len(piece)
        if self._memory_bytes and self.num_bytes > self._memory_bytes:
            self._move_to_disk()
        self._file.write(piece)

    def close(self) -> None:
        """Gives everything back."""
        self._file.close()
        if not _MAY_BE_NAMELESS:
            with suppress(OSError):
                os.unlink(self._file.name)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _in_memory(self) -> IO[bytes]:
        return os.fdopen(os.memfd_create("video"), "w+b")

    def _on_disk(self) -> IO[bytes]:
        if self._folder is not None:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
        if _MAY_BE_NAMELESS:
            return tempfile.TemporaryFile(dir=self._folder, prefix="video_")
        return tempfile.NamedTemporaryFile(dir=self._folder, prefix="video_", delete=False)

    def _move_to_disk(self) -> None:
        small, self._memory_bytes = self._file, 0
        with small:
            self._file = self._on_disk()
            small.seek(0)
            while piece := small.read(_PIECE):
                self._file.write(piece)
