"""Frames from the beginning of a video that is not there as a whole: exact, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from itertools import islice
from os import PathLike
from typing import IO, BinaryIO, NamedTuple

import numpy as np

from ..read import ROUNDING_SECONDS, FrontFrame, NotStreamable, open_front
from .recipe import Pixels, Policy

# Files that are made to be streamed begin with this much at most; more is not a table of frames.
_MOST_HEADER = 64 * 2**20
_MATROSKA = b"\x1a\x45\xdf\xa3"
_PIECE = 2**18
# An open file has a path there, even without a name.
_OPEN_FILES = "/proc/self/fd"
_MAY_BE_NAMELESS = os.path.isdir(_OPEN_FILES)
_HAS_MEMORY_FILES = _MAY_BE_NAMELESS and hasattr(os, "memfd_create")


class Front:
    """A file that arrives from its front, as PyAV reads it. What came is kept, in case the rest is needed.

    Where the system allows it the copy has no name in any folder, so that nothing is left of it even when the
    process is killed.

    >>> from io import BytesIO
    >>> with closing(Front(BytesIO(b"frames"), memory_bytes=4)) as front:
    ...     front.read(2), open(front.fetch_all(), "rb").read()
    (b'fr', b'frames')

    Args:
        file: The file, at its beginning.
        folder: Where the copy lies when it is not in memory; None is the folder for temporary files.
        memory_bytes: How much of the copy may be in memory.
        check: Called before each read; raises where reading shall stop.
    """

    def __init__(
        self,
        file: BinaryIO,
        folder: str | PathLike[str] | None = None,
        *,
        memory_bytes: float = 0,
        check: Callable[[], None] = lambda: None,
    ):
        self._file, self._folder, self._check = file, folder, check
        self._seen = bytearray()  # looked at, but not yet read
        self.num_bytes = 0
        self._memory_bytes = memory_bytes if _HAS_MEMORY_FILES else 0
        self._copy = os.fdopen(os.memfd_create("video"), "w+b") if self._memory_bytes else self._on_disk()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, maybe fewer than asked for; all that are left if `size` is negative."""
        if size < 0:
            self._seen += b"".join(iter(lambda: self._fetch(_PIECE), b""))
            size = len(self._seen)
        if not self._seen:
            return self._fetch(size)
        piece = bytes(self._seen[:size])
        del self._seen[: len(piece)]
        return piece

    def look(self, begin: int, size: int) -> bytes:
        """Return bytes from the beginning of the file, fewer where it ends; before the first `read` only."""
        while len(self._seen) < begin + size:
            piece = self._fetch(begin + size - len(self._seen))
            if not piece:
                break
            self._seen += piece
        return bytes(self._seen[begin : begin + size])

    def fetch_all(self) -> str:
        """Wait for the rest of the file, and return a path to all of it that is good until `close`."""
        while self._fetch(_PIECE):
            pass
        self._copy.flush()
        return f"{_OPEN_FILES}/{self._copy.fileno()}" if _MAY_BE_NAMELESS else self._copy.name

    def close(self) -> None:
        """Remove the copy."""
        self._copy.close()
        if not _MAY_BE_NAMELESS:
            with suppress(OSError):
                os.unlink(self._copy.name)

    def _fetch(self, size: int) -> bytes:
        self._check()
        piece = self._file.read(size)
        self.num_bytes += len(piece)
        if self._memory_bytes and self.num_bytes > self._memory_bytes:
            self._move_to_disk()
        self._copy.write(piece)
        return piece

    def _move_to_disk(self) -> None:
        small, self._memory_bytes = self._copy, 0
        with small:
            self._copy = self._on_disk()
            small.seek(0)
            shutil.copyfileobj(small, self._copy)

    def _on_disk(self) -> IO[bytes]:
        if self._folder is not None:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
        if _MAY_BE_NAMELESS:
            return tempfile.TemporaryFile(dir=self._folder, prefix="video_")
        return tempfile.NamedTemporaryFile(dir=self._folder, prefix="video_", delete=False)


def check_streamable(front: Front) -> None:
    """Look whether what is needed to decode the first frames comes before them.

    Raises:
        NotStreamable: It does not, or the container is neither mp4 nor Matroska.
    """
    if front.look(0, 4) == _MATROSKA:
        return
    place = 0
    while place < _MOST_HEADER:
        header = front.look(place, 8)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if kind == b"moov" and place:
            return
        if size < 8 or kind not in (b"free", b"skip", b"wide", b"uuid", b"ftyp"):
            raise NotStreamable("the table of frames does not come before them")
        place += size
    raise NotStreamable(f"there is no table of frames in the first {_MOST_HEADER} bytes")


class Selection(NamedTuple):
    """An open video, and the frames that a policy takes from it."""

    fps: float | None
    """Frames a second."""
    duration_seconds: float | None
    """The duration; None where the header does not say."""
    frames: Iterator[tuple[int, float, Pixels]]
    """Number, seconds and pixels of each frame; the next one may overwrite them."""


def select_from_front(front: Front, name: str, policy: Policy, threads: int) -> Selection:
    """Open a video that is read from the front.

    Args:
        front: The file.
        name: The name of the video in errors.
        policy: Which frames to take; one that needs the beginning only.
        threads: How many threads decode.

    Raises:
        NotStreamable: The frames would not be exact, or would take the whole file. `frames` raises it, too.
    """
    check_streamable(front)
    video = open_front(front, name, threads)
    seconds = video.duration_seconds
    if policy.last_seconds is not None and (seconds is None or seconds <= policy.last_seconds):
        raise NotStreamable("all of it is needed")
    return Selection(video.fps, seconds, _chosen(video.frames, policy))


def _chosen(frames: Generator[FrontFrame], policy: Policy) -> Iterator[tuple[int, float, Pixels]]:
    with closing(frames):
        for frame in islice(frames, policy.num_first) if policy.num_first else on_timeline(frames, policy):
            yield frame.number, frame.seconds, frame.pixels()


def on_timeline(frames: Iterator[FrontFrame], policy: Policy) -> Iterator[FrontFrame]:
    """Yield the frame on screen at each tick, which is known when the next frame comes."""
    assert policy.max_frames is not None
    shown = next(frames)
    ticks = iter((shown.seconds + np.arange(policy.max_frames) / policy.value).tolist())
    tick = next(ticks)
    for later in frames:
        while tick < later.seconds and not _is_rounded_down(shown.seconds, tick, later.seconds):
            yield shown
            try:
                tick = next(ticks)
            except StopIteration:
                return
        shown = later
    raise NotStreamable("it is shorter than its header says")


def _is_rounded_down(shown: float, tick: float, later: float) -> bool:
    """Return True if the later frame was meant, as in `read.times.frames_at`."""
    return later - tick <= ROUNDING_SECONDS and later - tick < tick - shown
