"""What one pass over a file tells about its frames: times, keyframes, and where decoding has to begin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..info import Stream
from .bitstream import NOT_A_START, UNKNOWN
from .container import NO_TIME, Packets
from .decoder import FileMark
from .order import Order, is_known

# Codecs in which frames that nobody asked for, and no other frame needs, may be left out of the decoding.
_SKIPPING = {"h264", "hevc", "mpeg1video", "mpeg2video"}


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a video: when they are shown, and how they are reached. Arrays are in display order."""

    path: str
    """The file."""
    pts_seconds: NDArray[np.float64]
    """When each frame appears."""
    duration_seconds: NDArray[np.float64]
    """How long each frame stays on screen."""
    keyframes: NDArray[np.int64]
    """The numbers of the keyframes: decoding can begin there."""
    frame_bytes: NDArray[np.int64]
    """The compressed size of each frame."""
    frame_types: NDArray[np.str_]
    """"I" for keyframes, "B" for frames shown before one that was decoded earlier, "P" for all others."""
    engine: Literal["decord", "pyav"]
    """What random access uses."""
    reason: str
    """Why that engine, and why it is exact for this file."""
    decord_refusal: str | None
    """Why decord would not be exact here; None if it is."""
    layout: Layout = field(repr=False)
    """How frames and packets belong together."""

    def __post_init__(self) -> None:
        for name in ("pts_seconds", "duration_seconds", "keyframes", "frame_bytes", "frame_types"):
            getattr(self, name).setflags(write=False)

    def __len__(self) -> int:
        return len(self.pts_seconds)

    @property
    def gop_lengths(self) -> NDArray[np.int64]:
        """How many frames there are from each keyframe to the next; before the first keyframe counts, too."""
        begins = np.union1d(self.keyframes, [0]) if len(self) else self.keyframes
        return np.diff(np.append(begins, len(self)))

    def __repr__(self) -> str:
        longest = int(self.gop_lengths.max(initial=0))
        return (
            f"FrameIndex({len(self)} frames, {len(self.keyframes)} keyframes, up to {longest} frames apart, "
            f"engine={self.engine!r}: {self.reason})"
        )


@dataclass(frozen=True, eq=False)
class Layout:
    """How the frames of a file are reached: what the engines need, and nobody else."""

    mark: FileMark
    stream: Stream
    packets: Packets
    order: Order
    number_of: NDArray[np.int64]
    """The frame of each packet, -1 for none."""
    starts: NDArray[np.int64]
    """The packets at which decoding can begin; the first one always counts."""
    entry: NDArray[np.int64]
    """For each frame, the packet at which decoding has to begin."""
    may_skip: bool
    """Frames that nobody asked for may be left out of the decoding."""

    @classmethod
    def of(cls, mark: FileMark, stream: Stream, packets: Packets, order: Order) -> Layout:
        """Works out where decoding has to begin for each frame."""
        number_of = np.full(len(packets), -1)
        number_of[order.packet_of] = np.arange(order.packet_of.size)
        starts = _starts(packets, stream, order)
        entry = _entries(packets, stream, order, number_of, starts)
        may_skip = stream.codec in _SKIPPING and order.why is None and not (packets.notes == UNKNOWN).any()
        return cls(mark, stream, packets, order, number_of, starts, entry, may_skip)

    @property
    def keyframes(self) -> NDArray[np.int64]:
        """The numbers of the frames at which decoding can begin."""
        numbers = self.number_of[self.starts[self.packets.is_key[self.starts]]]
        return np.sort(numbers[numbers >= 0])

    def frame_types(self) -> NDArray[np.str_]:
        """I, P or B, as told by keyframes and order."""
        packet_of = self.order.packet_of
        types = np.full(packet_of.size, "P")
        later_shown = np.minimum.accumulate(packet_of[::-1])[::-1]
        types[later_shown < packet_of] = "B"
        types[self.keyframes] = "I"
        return types

    def number_at(self, packet: int) -> int:
        """The frame of this packet, -1 for none."""
        return int(self.number_of[packet]) if 0 <= packet < len(self.number_of) else -1

    def earlier_entry(self, entry: int, packets_before: int) -> int:
        """A place to begin well before this one, for files with damage: so many packets, or the first."""
        at = int(np.searchsorted(self.starts, max(entry - packets_before, 0), side="right")) - 1
        return int(self.starts[max(at, 0)])


def frame_times(
    packets: Packets, order: Order, facts: Stream
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When each frame appears and how long it stays, in seconds; made up only where the file is silent."""
    ticks = _ticks_in_order(packets, order)
    if ticks is None:
        count, rate = order.packet_of.size, next(iter(facts.rates), 25.0)
        return np.arange(count) / rate, np.full(count, 1 / rate)
    pts = np.asarray(ticks * facts.time_base, np.float64)
    last = _last_duration(packets, order, ticks) * facts.time_base
    return pts, np.append(np.diff(pts), last)


def _ticks_in_order(packets: Packets, order: Order) -> NDArray[np.int64] | None:
    """The best times of the frames: their own, or as many sorted ones; None if there are none."""
    own = packets.pts[order.packet_of]
    if own.size and (own != NO_TIME).all() and (np.diff(own) >= 0).all():
        return own
    decoding = np.unique(packets.dts[packets.dts != NO_TIME])
    if decoding.size == len(packets) == own.size and (np.diff(packets.dts) > 0).all():
        return decoding
    return None


def _last_duration(packets: Packets, order: Order, ticks: NDArray[np.int64]) -> float:
    """How long the last frame stays: as its packet says, if that is near to what the others do."""
    own = int(packets.duration[order.packet_of[-1]])
    usual = float(np.median(np.diff(ticks))) if ticks.size > 1 else 0.0
    return own if own > 0 else usual


def _starts(packets: Packets, stream: Stream, order: Order) -> NDArray[np.int64]:
    is_packed = stream.codec == "mpeg4" and (packets.notes == UNKNOWN).any()
    has_palette = stream.pixel_format == "pal8"  # which only the first packet carries
    is_trusted = is_known(stream) and not (is_packed or has_palette or order.is_counted)
    keys = np.flatnonzero(packets.is_key & (packets.notes != NOT_A_START) & is_trusted)
    return np.union1d(keys, [0]).astype(np.int64)


def _entries(
    packets: Packets, stream: Stream, order: Order, number_of: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The last start before each frame, or the one before that for frames that are shown before theirs."""
    packet_of = order.packet_of
    which = np.searchsorted(starts, packet_of, side="right") - 1
    begin = starts[which]
    earlier = packets.pts[packet_of] < packets.pts[begin]
    earlier |= packets.pts[begin] == NO_TIME
    leading = np.where(number_of[begin] >= 0, np.arange(packet_of.size) < number_of[begin], earlier)
    return starts[np.maximum(which - leading, 0)]
