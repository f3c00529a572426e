"""A file to be joined: what has to be the same in all of them, and the exact times of its frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...base import new_lock
from ...errors import OpenError, printable
from ...read import (
    NO_FRAME,
    NO_TIME,
    FileMark,
    Matrix,
    Packets,
    doubt,
    learn_order,
    open_container,
    pick_stream,
    read_streams,
    stream_facts,
)
from .compare import KINDS, properties_of
from .look import Look, Refusal

_MOST_BYTES = 64 * 2**20
_BYTES_OPEN = 200_000  # of a file without its frames
_COARSE = Fraction(1, 2000)  # seconds; longer ticks may make even steps of uneven ones


@dataclass(frozen=True)
class Frames:
    """The packets of a video stream, one frame each, in the order of the file."""

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    """Rising, and never after `pts`."""
    size: NDArray[np.int64]
    start: Fraction
    """Seconds; when the first frame is shown."""
    length: Fraction
    """Seconds, until the last frame has been shown."""
    rate: Fraction | None
    """Frames a second; None where it varies."""


@dataclass
class Clip:
    """A file to be joined, as one pass over it has found it."""

    path: str
    main: int
    """The number of the stream that rules: its first frame is the beginning, its last one the end."""
    frames: dict[int, Frames]
    """For each video stream, by its number in the file."""
    matrices: dict[int, Matrix | None]
    """How its pictures are turned."""
    properties: dict[str, str]
    """What has to be the same in all the files, in words."""
    stands_alone: bool
    """Its first frame makes decoders forget what was before."""
    num_bytes: int
    """About how much memory it takes while it is open: for frames in its decoder, and for an index."""
    can_rewind: bool
    """The same container can be read again from its start."""
    container: InputContainer | None = field(default=None, repr=False)
    """Still open, to save opening it again."""

    @property
    def start(self) -> Fraction:
        """When its first frame is shown, in seconds."""
        return self.frames[self.main].start

    @property
    def length(self) -> Fraction:
        """How long its frames are shown, in seconds."""
        return self.frames[self.main].length

    def open(self) -> InputContainer:
        """The container, at its start."""
        if self.container is None:
            self.container = open_container(self.path)
        else:
            self.container.seek(-(10**12))
        return self.container

    def close(self) -> None:
        """Closes the container; it may be opened again."""
        if self.container is not None:
            self.container.close()
            self.container = None


def carried(container: InputContainer, main: int) -> list[Stream]:
    """The streams that are joined: the main one, videos that are no cover pictures, sound, subtitles."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    found = [
        stream
        for kind in KINDS
        for stream in container.streams
        if stream.type == kind and not stream.disposition & covers
    ]
    return sorted(found, key=lambda stream: stream.index != main)


class Room:
    """How many files may stay open, which saves opening them a second time, and how much memory they take."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._files, self._bytes = _most_files(), _MOST_BYTES

    def take(self, num_bytes: int) -> bool:
        """Whether there is room for one more; it is taken then."""
        with self._lock:
            if self._files < 1 or self._bytes < num_bytes:
                return False
            self._files -= 1
            self._bytes -= num_bytes
            return True


def _most_files() -> int:
    """A quarter of what the system allows."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # on Windows
        return 64
    allowed = getrlimit(RLIMIT_NOFILE)[0]
    return min(allowed // 4, 512) if allowed > 0 else 512


def inspect_clip(path: str, room: Room | None = None) -> Clip:
    """Reads the packets of a file once; of its frames only the first is decoded.

    Args:
        path: The file.
        room: Whether it may stay open, where it can be read again from its start.

    Raises:
        OpenError: It is no video.
        Refusal: It cannot be joined, whatever the others are.
    """
    container = open_container(path)
    try:
        clip = _inspect(path, container)
    except BaseException:
        container.close()
        raise
    if not (room and clip.can_rewind and room.take(clip.num_bytes)):
        clip.close()
    return clip


def _inspect(path: str, container: InputContainer) -> Clip:
    main = pick_stream(container, path)
    streams = carried(container, main.index)
    if main not in streams:
        raise OpenError(f"there is no video stream in {printable(path)}: only a cover picture")
    videos = [stream for stream in streams if isinstance(stream, VideoStream)]
    if any(stream.codec_context is None for stream in streams):
        raise Refusal("has a stream of a codec that is not known here")
    looks = {stream.index: Look(stream) for stream in videos}
    tables = read_streams(container, looks)
    if not len(tables[main.index]):
        raise OpenError(
            f"there are no frames in {printable(path)}: {tables[main.index].trouble or 'it ends before them'}"
        )
    frames = {
        stream.index: _frames(path, container, stream, tables[stream.index], looks[stream.index])
        for stream in videos
    }
    _check_others(frames, main.index)
    rates = {index: each.rate for index, each in frames.items()}
    matrices = {index: look.matrix() for index, look in looks.items()}
    is_indexed = "mov" in container.format.name and main.frames == len(tables[main.index])
    return Clip(
        path=path,
        main=main.index,
        frames=frames,
        matrices=matrices,
        properties=dict(properties_of(streams, rates, matrices)),
        stands_alone=all(look.stands_alone() for look in looks.values()),
        num_bytes=_BYTES_OPEN + sum(3 * v.width * v.height + 100 * v.frames for v in videos),
        can_rewind=is_indexed,
        container=container,
    )


def _frames(
    path: str, container: InputContainer, stream: VideoStream, packets: Packets, look: Look
) -> Frames:
    shown = _shown(path, container, stream, packets, look)
    tick = stream.time_base or Fraction(1)
    ticks = packets.pts[shown]
    rate = _constant_rate(ticks, tick, _nominal_rates(stream))
    return Frames(
        pts=packets.pts,
        dts=_decoding_times(packets),
        size=packets.size,
        start=int(ticks[0]) * tick,
        length=_length(ticks, tick, rate, int(packets.duration[shown[-1]])),
        rate=rate,
    )


def _shown(
    path: str, container: InputContainer, stream: VideoStream, packets: Packets, look: Look
) -> NDArray[np.int64]:
    """The packets in the order their frames are shown.

    Raises:
        Refusal: Not each of them is a frame with a time.
    """
    count, facts = len(packets), stream_facts(container, stream)
    hidden, broken = int(packets.is_discarded.sum()), int(packets.is_corrupt.sum()) + look.num_broken
    checks = (
        (not count, "has a video stream without frames"),
        (packets.trouble, f"cannot be read to its end ({packets.trouble})"),
        (broken, f"is damaged: {broken} of its {count} packets are not whole"),
        (facts.promised_frames > count, f"is cut short: {count} of {facts.promised_frames} frames are there"),
        (hidden, f"hides {hidden} of its {count} frames by an edit list"),
    )
    for is_so, words in checks:
        if is_so:
            raise Refusal(words)
    if count == 1:
        return np.zeros(1, np.int64)  # which is right, whatever its times say
    if why := doubt(packets, facts):
        raise Refusal(f"has frames that cannot be placed: {why}")
    order = learn_order(FileMark.of(path), packets, facts, 1)
    expected = count - int((packets.notes == NO_FRAME).sum())
    if order.why or order.packet_of.size != expected:
        lost = expected - order.packet_of.size
        raise Refusal(f"has {lost} frames that cannot be shown{f': {order.why}' if order.why else ''}")
    return order.packet_of


def _nominal_rates(stream: VideoStream) -> list[Fraction]:
    rates = (stream.codec_context.framerate, stream.guessed_rate, stream.average_rate)
    return [Fraction(rate.numerator, rate.denominator) for rate in rates if rate]


def _constant_rate(ticks: NDArray[np.int64], tick: Fraction, nominal: list[Fraction]) -> Fraction | None:
    """The rate that explains every time up to the rounding to ticks."""
    steps = np.diff(ticks)
    if steps.size and steps.min() == steps.max():
        exact = 1 / (int(steps[0]) * tick)
        if exact in nominal or tick < _COARSE:
            return exact
    for rate in nominal:
        ideal = np.arange(ticks.size) * float(1 / (rate * tick))
        if (np.abs(ticks - ticks[0] - ideal) <= 1 + 1e-6).all():
            return rate
    return None


def _length(ticks: NDArray[np.int64], tick: Fraction, rate: Fraction | None, last: int) -> Fraction:
    """Until the last frame ends: by its duration, or by the rate where ticks are too coarse for it."""
    if rate and (1 / (rate * tick)).denominator != 1:
        return ticks.size / rate
    if last <= 0 and ticks.size > 1:
        last = int(np.median(np.diff(ticks)))
    if last <= 0:
        raise Refusal("does not say how long its only frame is shown")
    return (int(ticks[-1] - ticks[0]) + last) * tick


def _decoding_times(packets: Packets) -> NDArray[np.int64]:
    """Those of the file; where some are missing, the latest that are possible."""
    own = packets.dts
    if (own != NO_TIME).all() and (np.diff(own) > 0).all() and (own <= packets.pts).all():
        return own
    ordered = np.sort(packets.pts)
    delay = int((np.arange(ordered.size) - np.searchsorted(ordered, packets.pts)).max())
    step = max(int(np.median(np.diff(ordered))), 1) if ordered.size > 1 else 1
    before = ordered[0] - step * np.arange(delay, 0, -1)
    return np.concatenate([before, ordered])[: ordered.size]


def _check_others(frames: dict[int, Frames], main: int) -> None:
    """A further video stream has to stay within the time of the main one."""
    begin, end = frames[main].start, frames[main].start + frames[main].length
    for index, each in frames.items():
        room = each.length / len(each.pts) / 2
        if each.start < begin - room or each.start + each.length > end + room:
            raise Refusal(
                f"has a video stream (number {index}) that does not stay within the main one's time"
            )
