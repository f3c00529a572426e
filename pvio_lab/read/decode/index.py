"""The index of a video: when its frames are shown, where decoding has to begin, and runs of decoding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bitstream import NOT_A_START, UNKNOWN
from .decoder import FileMark
from .order import Order, is_known, learn_order
from .packets import NO_TIME, Packets, StreamFacts

Numbers = NDArray[np.int64]

# Codecs in which unwanted frames that no other frame needs may be left out of the decoding.
_SKIPPING = {"h264", "hevc", "mpeg1video", "mpeg2video"}
# Beginning somewhere costs about as much as decoding this many frames.
SEEK_COST = 2


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a video: when they are shown, and how they are reached. Arrays are in display order."""

    path: str
    """The file."""
    pts_seconds: NDArray[np.float64]
    """Time at which each frame appears."""
    duration_seconds: NDArray[np.float64]
    """Time for which each frame stays on screen."""
    keyframes: Numbers
    """The numbers of the keyframes: decoding can begin there."""
    frame_bytes: Numbers
    """The compressed size of each frame."""
    frame_types: NDArray[np.str_]
    """"I" for keyframes, "B" for frames shown before one that was decoded earlier, "P" for all others."""
    engine: Literal["decord", "pyav"]
    """The engine for random access."""
    reason: str
    """Why that engine, and why it is exact for this file."""
    decord_refusal: str | None
    """Why decord would not be exact here; None if it is."""
    order_reason: str | None
    """The reason why the order of the frames had to be learnt by decoding; None if the packets show it."""
    _layout: Layout = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("pts_seconds", "duration_seconds", "keyframes", "frame_bytes", "frame_types"):
            getattr(self, name).setflags(write=False)
        self.packets.setflags(write=False)

    def __len__(self) -> int:
        return len(self.pts_seconds)

    @property
    def packets(self) -> Numbers:
        """The number of each frame's packet in the file: frames are decoded in the order of these."""
        return self._layout.order.packet_of

    @property
    def gop_lengths(self) -> Numbers:
        """Number of frames from each keyframe to the next, and before the first keyframe."""
        begins = np.union1d(self.keyframes, [0]) if len(self) else self.keyframes
        return np.diff(np.append(begins, len(self)))

    def decode_cost(self, numbers: ArrayLike) -> int:
        """Return about how many frames must be decoded to read these frames in one call."""
        return sum(run.cost for run in self._layout.runs(np.asarray(numbers, np.int64)))

    def __repr__(self) -> str:
        longest = int(self.gop_lengths.max(initial=0))
        return (
            f"FrameIndex({len(self)} frames, {len(self.keyframes)} keyframes, up to {longest} frames apart, "
            f"engine={self.engine!r}: {self.reason})"
        )


@dataclass(frozen=True)
class Run:
    """Frames that are decoded together, from one place to begin."""

    entry: int
    """The packet at which decoding begins."""
    numbers: tuple[int, ...]
    """The frames to get, sorted."""
    cost: int
    """About how many frames have to be decoded."""


@dataclass(frozen=True, eq=False)
class Layout:
    """The packets of a file, and how they lead to its frames: what the engines need, and nobody else."""

    mark: FileMark
    stream: StreamFacts
    packets: Packets
    order: Order
    number_of: Numbers
    """The frame of each packet, -1 for none."""
    starts: Numbers
    """The packets at which decoding can begin; the first one always counts."""
    entry: Numbers
    """For each frame, the packet at which decoding has to begin."""
    may_skip: bool
    """Unwanted frames may be left out of the decoding."""

    @classmethod
    def of(cls, mark: FileMark, stream: StreamFacts, packets: Packets, threads: int) -> Layout:
        """Work out the order of the frames, and where decoding has to begin for each."""
        order = learn_order(mark, packets, stream, threads)
        number_of = np.full(len(packets), -1)
        number_of[order.packet_of] = np.arange(order.packet_of.size)
        starts = _starts(packets, stream, order)
        entry = _entries(packets, order, number_of, starts)
        may_skip = stream.codec in _SKIPPING and order.why is None and not (packets.notes == UNKNOWN).any()
        return cls(mark, stream, packets, order, number_of, starts, entry, may_skip)

    @property
    def has_leading_frames(self) -> bool:
        """Frames before a keyframe are stored after it."""
        last_start = self.starts[np.searchsorted(self.starts, self.order.packet_of, side="right") - 1]
        return bool((last_start != self.entry).any())

    def runs(self, numbers: Numbers) -> list[Run]:
        """Return one run for each place where decoding has to begin to get these frames."""
        return plan_runs(numbers, self.entry, self.order.packet_of)


def plan_runs(numbers: Numbers, entry: Numbers, packet_of: Numbers) -> list[Run]:
    """Return one run for each place where decoding has to begin, in any order of the numbers.

    >>> entry, packets = np.array([0, 0, 0, 3, 3, 3]), np.arange(6)
    >>> plan_runs(np.array([5, 1, 3, 1]), entry, packets)
    [Run(entry=0, numbers=(1,), cost=4), Run(entry=3, numbers=(3, 5), cost=5)]

    Args:
        numbers: The frames to get; in any order, duplicates allowed.
        entry: For each frame of the video, the packet at which decoding begins.
        packet_of: For each frame of the video, its packet.
    """
    wanted = np.unique(numbers)
    if not wanted.size:
        return []
    by_entry = wanted[np.argsort(entry[wanted], kind="stable")]
    edges = np.flatnonzero(np.diff(entry[by_entry])) + 1
    return [_run(part, entry, packet_of) for part in np.split(by_entry, edges)]


def _run(numbers: Numbers, entry: Numbers, packet_of: Numbers) -> Run:
    first, last = int(entry[numbers[0]]), int(packet_of[numbers].max())
    return Run(first, tuple(numbers.tolist()), last - first + 1 + SEEK_COST)


def make_index(
    layout: Layout, engine: Literal["decord", "pyav"], reason: str, decord_refusal: str | None
) -> FrameIndex:
    """Return the index of a video."""
    pts, durations = _frame_times(layout)
    keyframes = layout.number_of[layout.starts[layout.packets.is_key[layout.starts]]]
    keyframes = np.sort(keyframes[keyframes >= 0])
    return FrameIndex(
        path=layout.mark.path,
        pts_seconds=pts,
        duration_seconds=durations,
        keyframes=keyframes,
        frame_bytes=layout.packets.size[layout.order.packet_of],
        frame_types=_frame_types(layout.order.packet_of, keyframes),
        engine=engine,
        reason=reason,
        decord_refusal=decord_refusal,
        order_reason=layout.order.why,
        _layout=layout,
    )


def _frame_types(packet_of: Numbers, keyframes: Numbers) -> NDArray[np.str_]:
    """Return I, P or B for each frame, judging by keyframes and order."""
    types = np.full(packet_of.size, "P")
    later_shown = np.minimum.accumulate(packet_of[::-1])[::-1]
    types[later_shown < packet_of] = "B"
    types[keyframes] = "I"
    return types


def _frame_times(layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when each frame appears and how long it stays, in seconds; made up if the file is silent."""
    packets, order, facts = layout.packets, layout.order, layout.stream
    ticks = _ticks_in_order(packets, order)
    if ticks is None:
        count, rate = order.packet_of.size, next(iter(facts.rates), 25.0)
        return np.arange(count) / rate, np.full(count, 1 / rate)
    pts = np.asarray(ticks * facts.time_base, np.float64)
    last = _last_duration(packets, order, ticks) * facts.time_base
    return pts, np.append(np.diff(pts), last)


def _ticks_in_order(packets: Packets, order: Order) -> Numbers | None:
    """Return the best times of the frames: their own, or as many sorted ones; None if there are none."""
    own = packets.pts[order.packet_of]
    if own.size and (own != NO_TIME).all() and (np.diff(own) >= 0).all():
        return own
    decoding = np.unique(packets.dts[packets.dts != NO_TIME])
    if decoding.size == len(packets) == own.size and (np.diff(packets.dts) > 0).all():
        return decoding
    return None


def _last_duration(packets: Packets, order: Order, ticks: Numbers) -> float:
    """Return how long the last frame stays: as its packet says, else as long as the others do."""
    own = int(packets.duration[order.packet_of[-1]])
    usual = float(np.median(np.diff(ticks))) if ticks.size > 1 else 0.0
    return own if own > 0 else usual


def _starts(packets: Packets, stream: StreamFacts, order: Order) -> Numbers:
    is_packed = stream.codec == "mpeg4" and (packets.notes == UNKNOWN).any()
    has_palette = stream.pixel_format == "pal8"  # which only the first packet carries
    is_trusted = is_known(stream) and not (is_packed or has_palette or order.is_counted)
    keys = np.flatnonzero(packets.is_key & (packets.notes != NOT_A_START) & is_trusted)
    return np.union1d(keys, [0]).astype(np.int64)


def _entries(packets: Packets, order: Order, number_of: Numbers, starts: Numbers) -> Numbers:
    """Return the last start before each frame, or the one before that for frames shown before theirs."""
    packet_of = order.packet_of
    which = np.searchsorted(starts, packet_of, side="right") - 1
    begin = starts[which]
    earlier = packets.pts[packet_of] < packets.pts[begin]
    earlier |= packets.pts[begin] == NO_TIME
    leading = np.where(number_of[begin] >= 0, np.arange(packet_of.size) < number_of[begin], earlier)
    return starts[np.maximum(which - leading, 0)]
