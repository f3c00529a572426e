"""Frames from the beginning of a video that is not there as a whole: exact, or not at all."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from itertools import islice
from os import PathLike
from typing import IO, BinaryIO, NamedTuple

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import OpenError
from ..read import (
    ROUNDING_SECONDS,
    Converter,
    Turn,
    codec_options,
    displayed_size,
    is_known,
    open_options,
    pick_stream,
    stream_facts,
)
from .recipe import Pixels, Policy

# Files that are made to be streamed begin with this much at most; more is not a table of frames.
_MOST_HEADER = 64 * 2**20
_MATROSKA = b"\x1a\x45\xdf\xa3"
_PIECE = 2**18
# An open file has a path there, even without a name.
_OPEN_FILES = "/proc/self/fd"
_MAY_BE_NAMELESS = os.path.isdir(_OPEN_FILES)
_HAS_MEMORY_FILES = _MAY_BE_NAMELESS and hasattr(os, "memfd_create")


class NotStreamable(Exception):
    """The file has to be there as a whole; the words say why."""


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


# Containers that say when each frame is shown.
_CONTAINERS = {"mov", "matroska"}


class Selection(NamedTuple):
    """An open video, and the frames that a policy takes from it."""

    fps: float | None
    """Frames a second."""
    duration_seconds: float | None
    """The duration; None where the header does not say."""
    frames: Iterator[tuple[int, float, Pixels]]
    """Number, seconds and pixels of each frame; the next one may overwrite them."""


class Timed(NamedTuple):
    """A decoded frame."""

    number: int
    seconds: float
    frame: VideoFrame


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
    try:
        container: InputContainer = av.open(front, "r", **open_options("none"))
        stream = pick_stream(container, name)
    except (av.error.FFmpegError, ValueError, OpenError) as error:
        raise NotStreamable(f"it does not open from the front: {error}") from error
    facts = stream_facts(container, stream)
    if _CONTAINERS.isdisjoint(facts.containers) or not is_known(facts):
        raise NotStreamable(
            f"{facts.codec} in {','.join(facts.containers)} is not always one frame per packet"
        )
    seconds = None if container.duration is None else container.duration / 1_000_000
    if policy.last_seconds is not None and (seconds is None or seconds <= policy.last_seconds):
        raise NotStreamable("all of it is needed")
    decoded = _decoded(container, stream, threads, facts.promised_frames)
    return Selection(next(iter(facts.rates), None), seconds, _converted(decoded, policy))


def _converted(decoded: Generator[Timed], policy: Policy) -> Iterator[tuple[int, float, Pixels]]:
    chosen = islice(decoded, policy.num_first) if policy.num_first else on_timeline(decoded, policy)
    converter = None
    with closing(decoded):
        for number, seconds, frame in chosen:
            converter = converter or Converter(displayed_size(frame), Turn.of(frame))
            yield number, seconds, converter.convert(frame)


def on_timeline(frames: Iterator[Timed], policy: Policy) -> Iterator[Timed]:
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


def _decoded(container: InputContainer, stream: VideoStream, threads: int, promised: int) -> Generator[Timed]:
    """Yield the frames in order; raise NotStreamable at the first doubt about one."""
    context, base = stream.codec_context, float(stream.time_base or 1)
    context.thread_count, context.thread_type = threads, "AUTO" if threads > 1 else "SLICE"
    context.flags |= Flags.unaligned  # as when all of the file is there: else a crop at the left is rounded
    context.options = {"err_detect": "explode", **codec_options()}
    number, last = 0, -math.inf
    try:
        for place, packet in enumerate(container.demux(stream)):
            if packet.is_corrupt or (place == 0 and not packet.is_keyframe):
                raise NotStreamable("it does not begin with a keyframe, or parts are missing")
            for frame in context.decode(packet):
                if frame.pts is None or frame.pts <= last or frame.is_corrupt:
                    raise NotStreamable("the times of its frames are in doubt, or one is damaged")
                yield Timed(number, frame.pts * base, frame)
                number, last = number + 1, frame.pts
    except av.error.FFmpegError as error:
        raise NotStreamable(f"it is damaged: {error}") from error
    finally:
        container.close()
    if number != promised:
        raise NotStreamable("it does not have as many frames as its header says")
