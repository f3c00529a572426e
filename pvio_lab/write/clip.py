"""A file to be joined: what has to be the same in all of them, and the exact times of its frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..errors import OpenError
from ..read.bitstream import NO_FRAME, look_for, units
from ..read.convert import Matrix, display_matrix
from ..read.decoder import FileMark
from ..read.demux import NO_TIME, Packets, open_container, pick_stream, read_streams
from ..read.facts import stream_facts
from ..read.opening import learn_order
from ..read.order import doubt

_KINDS = ("video", "audio", "subtitle")
_COARSE = Fraction(1, 2000)  # seconds; longer ticks may make even steps of uneven ones
_WORDS = {"video": "video", "audio": "sound", "subtitle": "subtitles"}


class Refusal(Exception):
    """Why a file cannot be joined without re-encoding; the words begin with what it does."""


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
    properties: dict[str, str]
    """What has to be the same in all the files, in words."""
    stands_alone: bool
    """Its first frame makes decoders forget what was before."""
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
        for kind in _KINDS
        for stream in container.streams
        if stream.type == kind and not stream.disposition & covers
    ]
    return sorted(found, key=lambda stream: stream.index != main)


def inspect_clip(path: str) -> Clip:
    """Reads the packets of a file once; of its frames only the first is decoded.

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
    if not clip.can_rewind:
        clip.close()
    return clip


def _inspect(path: str, container: InputContainer) -> Clip:
    main = pick_stream(container, path)
    streams = carried(container, main.index)
    if main not in streams:
        raise OpenError(f"there is no video stream in {path}: only a cover picture")
    videos = [stream for stream in streams if isinstance(stream, VideoStream)]
    if any(stream.codec_context is None for stream in streams):
        raise Refusal("has a stream of a codec that is not known here")
    looks = {stream.index: _Look(stream) for stream in videos}
    tables = read_streams(container, looks)
    if not len(tables[main.index]):
        raise OpenError(
            f"there are no frames in {path}: {tables[main.index].trouble or 'it ends before them'}"
        )
    frames = {
        stream.index: _frames(path, container, stream, tables[stream.index], looks[stream.index])
        for stream in videos
    }
    _check_others(frames, main.index)
    is_indexed = "mov" in container.format.name and main.frames == len(tables[main.index])
    return Clip(
        path=path,
        main=main.index,
        frames=frames,
        properties=dict(_properties(streams, frames, looks)),
        stands_alone=all(look.stands_alone() for look in looks.values()),
        can_rewind=is_indexed,
        container=container,
    )


class _Look:
    """Looks into each packet on the way: the notes of the index, the first packet, and damage."""

    def __init__(self, stream: VideoStream):
        context = stream.codec_context
        self._context, self._codec = context, context.codec.canonical_name
        extradata = context.extradata or b""
        self._note = look_for(self._codec, extradata)
        at = {"h264": 4, "hevc": 21}.get(self._codec, len(extradata))
        is_counted = len(extradata) > at and extradata[0] == 1
        self._length = (extradata[at] & 3) + 1 if is_counted else 0
        self.first: Packet[Any] | None = None
        self.num_broken = 0

    def __call__(self, packet: Packet[Any]) -> int:
        if self.first is None:
            self.first = packet
        if self._length and not _is_whole(packet, self._length):
            self.num_broken += 1
        return self._note(packet) if self._note else 0

    def stands_alone(self) -> bool:
        """Only of H.264 and HEVC are there keyframes that do not end what was before."""
        if self._codec not in ("h264", "hevc") or self.first is None:
            return True
        for unit in units(memoryview(self.first), self._length):
            kind = unit[0] & 31 if self._codec == "h264" else unit[0] >> 1 & 63
            if self._codec == "h264" and kind in (1, 2, 5):
                return kind == 5
            if self._codec == "hevc" and kind < 32:
                keeps_others = len(unit) > 2 and not unit[2] & 0x40  # they are still to be shown
                return 16 <= kind <= 20 and keeps_others
        return False

    def matrix(self) -> Matrix | None:
        """How the picture is turned, as only a decoded frame tells."""
        try:
            self._context.thread_type = "NONE"
            frames = self._context.decode(self.first) or self._context.decode(None)
        except av.error.FFmpegError as error:
            raise Refusal(f"begins with a frame that cannot be decoded ({error.strerror})") from error
        if not frames:
            raise Refusal("begins with a frame that cannot be decoded")
        return display_matrix(frames[0])


def _is_whole(packet: Packet[Any], length: int) -> bool:
    """The units in a packet fill it to the last byte."""
    data, at = memoryview(packet), 0
    end = len(data)
    while at + length < end:
        if data[at + length] & 0x80:  # a bit that is never set
            return False
        at += length + int.from_bytes(data[at : at + length], "big")
    return at == end


def _frames(
    path: str, container: InputContainer, stream: VideoStream, packets: Packets, look: _Look
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
    path: str, container: InputContainer, stream: VideoStream, packets: Packets, look: _Look
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


def _properties(
    streams: list[Stream], frames: dict[int, Frames], looks: dict[int, _Look]
) -> Iterator[tuple[str, str]]:
    """Each as its name and its value in words; what is not known has no row."""
    yield "streams", ", ".join(_WORDS[stream.type] for stream in streams)
    counts = dict.fromkeys(_KINDS, 0)
    for stream in streams:
        counts[stream.type] += 1
        place = counts[stream.type]
        prefix = f"{_WORDS[stream.type]} {place if place > 1 else ''}".strip()
        if isinstance(stream, VideoStream):
            rows = _video_properties(stream, frames[stream.index].rate, looks[stream.index].matrix())
        else:
            rows = _other_properties(stream)
        for name, value in rows.items():
            yield f"{prefix} {name}", value


def _video_properties(stream: VideoStream, rate: Fraction | None, matrix: Matrix | None) -> dict[str, str]:
    context = stream.codec_context
    rows = {
        "codec": context.codec.canonical_name,
        "size": f"{context.width}x{context.height}",
        "pixel format": str(context.pix_fmt),
        "time base": str(stream.time_base),
        "sample aspect ratio": str(stream.sample_aspect_ratio or "unknown"),
        "display matrix": "none" if matrix is None else " ".join(map(str, matrix)),
        "colour range": str(context.color_range),
        "colour primaries": str(context.color_primaries),
        "colour transfer": str(context.color_trc),
        "colour space": str(context.colorspace),
        "extradata": _digest(context.extradata),
    }
    return rows if rate is None else rows | {"frame rate": str(rate)}


def _other_properties(stream: Stream) -> dict[str, str]:
    rows = {"codec": stream.codec_context.codec.canonical_name}
    if isinstance(stream, AudioStream):
        rows["sample rate"] = str(stream.codec_context.sample_rate)
        rows["channel layout"] = stream.codec_context.layout.name
    return rows | {"extradata": _digest(stream.codec_context.extradata)}


def _digest(data: bytes | None) -> str:
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:10]}" if data else "none"
