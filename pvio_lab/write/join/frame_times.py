"""The packets of a video to be joined: checked while they pass, and the exact times of its frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...read import (
    NO_FRAME,
    NO_TIME,
    FileMark,
    Matrix,
    Packets,
    display_matrix,
    doubt,
    learn_order,
    look_for,
    stream_facts,
    unit_length,
    units,
)

_COARSE = Fraction(1, 2000)  # seconds; longer ticks may make even steps of uneven ones


class Refusal(Exception):
    """A file that cannot be joined without re-encoding; the message begins with a verb: "is damaged"."""


class PacketCheck:
    """A check of each packet while it passes: notes for the index, the first packet, and damage."""

    def __init__(self, stream: VideoStream):
        context = stream.codec_context
        self._context, self._codec = context, context.codec.canonical_name
        self._note = look_for(self._codec, context.extradata)
        self._length = unit_length(self._codec, context.extradata)
        self.first: Packet[Any] | None = None
        self.num_broken = 0

    def __call__(self, packet: Packet[Any]) -> int:
        """Check a packet, and return what the index needs to know of it."""
        if self.first is None:
            self.first = packet
        if self._length and not _is_whole(packet, self._length):
            self.num_broken += 1
        return self._note(packet) if self._note else 0

    def stands_alone(self) -> bool:
        """Return whether the first frame ends all before it; keyframes of H.264 and HEVC may not."""
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
        """Return the rotation of the pictures, which only a decoded frame says."""
        try:
            self._context.thread_type = "NONE"
            frames = self._context.decode(self.first) or self._context.decode(None)
        except av.error.FFmpegError as error:
            raise Refusal(f"begins with a frame that cannot be decoded ({error.strerror})") from error
        if not frames:
            raise Refusal("begins with a frame that cannot be decoded")
        return display_matrix(frames[0])


def _is_whole(packet: Packet[Any], length: int) -> bool:
    """Return whether the units in a packet fill it to the last byte."""
    data, at = memoryview(packet), 0
    end = len(data)
    while at + length < end:
        if data[at + length] & 0x80:  # a bit that is never set
            return False
        at += length + int.from_bytes(data[at : at + length], "big")
    return at == end


@dataclass(frozen=True)
class FrameTimes:
    """The packets of a video stream, one frame each, in the order of the file."""

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]  # rising, and never after `pts`
    size: NDArray[np.int64]
    start: Fraction  # when the first frame is shown, in seconds
    length: Fraction  # from there until the last frame has been shown, in seconds
    rate: Fraction | None  # frames a second; None where it varies


def frame_times(
    path: str, container: InputContainer, stream: VideoStream, packets: Packets, check: PacketCheck
) -> FrameTimes:
    """Return the times of packets that were read and checked, or raise Refusal if not each is a frame."""
    shown = _shown(path, container, stream, packets, check)
    tick = stream.time_base or Fraction(1)
    ticks = packets.pts[shown]
    context = stream.codec_context
    rates = (context.framerate, stream.guessed_rate, stream.average_rate)
    nominal = [Fraction(rate.numerator, rate.denominator) for rate in rates if rate]
    rate = _constant_rate(ticks, tick, nominal)
    return FrameTimes(
        pts=packets.pts,
        dts=_decoding_times(packets),
        size=packets.size,
        start=int(ticks[0]) * tick,
        length=_length(ticks, tick, rate, int(packets.duration[shown[-1]])),
        rate=rate,
    )


def _shown(
    path: str, container: InputContainer, stream: VideoStream, packets: Packets, check: PacketCheck
) -> NDArray[np.int64]:
    """Return the packets in the order their frames are shown."""
    count, facts = len(packets), stream_facts(container, stream)
    hidden, broken = int(packets.is_discarded.sum()), int(packets.is_corrupt.sum()) + check.num_broken
    checks = (
        (not count, "has a video stream without frames"),
        (packets.trouble, f"cannot be read to its end ({packets.trouble})"),
        (broken, f"is damaged: {broken} of its {count} packets are not whole"),
        (facts.promised_frames > count, f"is cut short: {count} of {facts.promised_frames} frames are there"),
        (hidden, f"hides {hidden} of its {count} frames by an edit list"),
    )
    for is_so, reason in checks:
        if is_so:
            raise Refusal(reason)
    if count == 1:
        return np.zeros(1, np.int64)  # right in any case, even if it has no time
    if why := doubt(packets, facts):
        raise Refusal(f"has frames that cannot be placed: {why}")
    order = learn_order(FileMark.of(path), packets, facts, 1)
    expected = count - int((packets.notes == NO_FRAME).sum())
    if order.why or order.packet_of.size != expected:
        lost = expected - order.packet_of.size
        raise Refusal(f"has {lost} frames that cannot be shown{f': {order.why}' if order.why else ''}")
    return order.packet_of


def _constant_rate(ticks: NDArray[np.int64], tick: Fraction, nominal: list[Fraction]) -> Fraction | None:
    """Return the rate that explains every time up to the rounding to ticks."""
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
    """Return the time until the last frame ends: by its duration, or by the rate if ticks are too coarse."""
    if rate and (1 / (rate * tick)).denominator != 1:
        return ticks.size / rate
    if last <= 0 and ticks.size > 1:
        last = int(np.median(np.diff(ticks)))
    if last <= 0:
        raise Refusal("does not say how long its only frame is shown")
    return (int(ticks[-1] - ticks[0]) + last) * tick


def _decoding_times(packets: Packets) -> NDArray[np.int64]:
    """Return the decoding times of the file; where some are missing, the latest that are possible."""
    own = packets.dts
    if (own != NO_TIME).all() and (np.diff(own) > 0).all() and (own <= packets.pts).all():
        return own
    ordered = np.sort(packets.pts)
    delay = int((np.arange(ordered.size) - np.searchsorted(ordered, packets.pts)).max())
    step = max(int(np.median(np.diff(ordered))), 1) if ordered.size > 1 else 1
    before = ordered[0] - step * np.arange(delay, 0, -1)
    return np.concatenate([before, ordered])[: ordered.size]
