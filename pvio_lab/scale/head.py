"""Frames from the beginning of a video that is not there as a whole: exact, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import BinaryIO, NamedTuple

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
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
from .policies import Policy
from .preprocess import Pixels
from .spool import Spool

# What comes before the frames in files that are made to be streamed; more than this is no table of frames.
_MOST_HEADER = 64 * 2**20
_MATROSKA = b"\x1a\x45\xdf\xa3"
_PIECE = 2**18


class NotStreamable(Exception):
    """The file has to be there as a whole; it says why."""


class Front:
    """A file that is only read on, as PyAV wants it. What came is kept, should the rest be needed, too.

    Args:
        file: The file, at its beginning.
        spool: Keeps it.
        check: Called before each read; raises where that shall stop.
    """

    def __init__(self, file: BinaryIO, spool: Spool, check: Callable[[], None]):
        self._file, self._spool, self._check = file, spool, check
        self._seen = bytearray()  # what was looked at, and not yet read

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, maybe fewer than asked for; all that are left if `size` is negative."""
        if size < 0:
            rest = b"".join(iter(lambda: self._fetch(_PIECE), b""))
            size = len(self._seen) + len(rest)
            self._seen += rest
        if not self._seen:
            return self._fetch(size)
        piece = bytes(self._seen[:size])
        del self._seen[: len(piece)]
        return piece

    def look(self, begin: int, size: int) -> bytes:
        """Bytes from the beginning of the file, fewer where it ends; before the first `read` only."""
        while len(self._seen) < begin + size:
            piece = self._fetch(begin + size - len(self._seen))
            if not piece:
                break
            self._seen += piece
        return bytes(self._seen[begin : begin + size])

    def fetch_all(self) -> str:
        """Waits for the rest of the file, and tells where all of it is."""
        while self._fetch(_PIECE):
            pass
        return self._spool.path

    def _fetch(self, size: int) -> bytes:
        self._check()
        piece = self._file.read(size)
        self._spool.write(piece)
        return piece


def check_streamable(front: Front) -> None:
    """Looks whether what is needed to decode the first frames comes before them.

    Raises:
        NotStreamable: It does not, or the container is another than mp4 and Matroska.
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


# Containers that tell when each frame is shown.
_CONTAINERS = {"mov", "matroska"}


class Beginning(NamedTuple):
    """A video of which only the beginning is read."""

    fps: float | None
    """Frames a second, as the header has it."""
    duration_seconds: float | None
    """As the header has it; None where it does not tell."""
    frames: Iterator[tuple[int, float, Pixels]]
    """Number, seconds and pixels of each frame that a policy takes; the next one may overwrite them."""


class Timed(NamedTuple):
    """A decoded frame."""

    number: int
    seconds: float
    frame: VideoFrame


def needs_beginning_only(policy: Policy) -> bool:
    """True where the frames that come first are all that can be asked for."""
    return policy.num_first is not None or policy.last_seconds is not None


def open_beginning(front: Front, name: str, policy: Policy, threads: int) -> Beginning:
    """Opens a video that is read from the front.

    Args:
        front: The file.
        name: What it is called in errors.
        policy: Which frames to take, one that needs the beginning only.
        threads: How many threads decode.

    Raises:
        NotStreamable: The frames would not be exact, or would take the whole file; so does `frames`.
    """
    check_streamable(front)
    try:
        container: InputContainer = av.open(front, "r", **open_options("none"))
        stream = pick_stream(container, name)
    except (av.error.FFmpegError, ValueError, OpenError) as error:
        raise NotStreamable(f"it does not open from the front: {error}") from error
    facts = stream_facts(container, stream)
    if _CONTAINERS.isdisjoint(facts.containers) or not is_known(facts):
        raise NotStreamable(f"{facts.codec} in {','.join(facts.containers)} is not always one frame a packet")
    seconds = None if container.duration is None else container.duration / 1_000_000
    if policy.last_seconds is not None and (seconds is None or seconds <= policy.last_seconds):
        raise NotStreamable("all of it is needed")
    fps = next(iter(facts.rates), None)
    return Beginning(fps, seconds, _taken(container, stream, policy, threads, facts.promised_frames))


def _taken(
    container: InputContainer, stream: VideoStream, policy: Policy, threads: int, promised: int
) -> Iterator[tuple[int, float, Pixels]]:
    frames = _decoded(container, stream, threads, promised)
    chosen = islice(frames, policy.num_first) if policy.num_first else on_timeline(frames, policy)
    converter = None
    with closing(frames):
        for number, seconds, frame in chosen:
            converter = converter or Converter(displayed_size(frame), Turn.of(frame))
            yield number, seconds, converter.convert(frame)


def on_timeline(frames: Iterator[Timed], policy: Policy) -> Iterator[Timed]:
    """The frame on screen at each tick; known when the next one comes."""
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
    """As in `read.times.frames_at`: the time of the later frame was meant."""
    return later - tick <= ROUNDING_SECONDS and later - tick < tick - shown


def _decoded(container: InputContainer, stream: VideoStream, threads: int, promised: int) -> Generator[Timed]:
    """The frames in order; NotStreamable at the first doubt about one."""
    context, base = stream.codec_context, float(stream.time_base or 1)
    context.thread_count, context.thread_type = threads, "AUTO" if threads > 1 else "SLICE"
    context.flags |= Flags.unaligned  # as when all of the file is there: else a crop at the left is rounded
    context.options = {"err_detect": "explode", **codec_options()}
    number, last = 0, -math.inf
    try:
        for packet in _sound_packets(container, stream):
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


def _sound_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    for number, packet in enumerate(container.demux(stream)):
        if packet.is_corrupt or (number == 0 and not packet.is_keyframe):
            raise NotStreamable("it does not begin with a keyframe, or parts are missing")
        yield packet
