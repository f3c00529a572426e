"""The index and the facts of a video, as users see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..info import VideoInfo
from .order import Layout, Numbers, plan_runs
from .packets import NO_TIME
from .rgb import Picture

Seconds = NDArray[np.float64]

# The last frames of a file that was cut have gaps between them.
_CUT_FRAMES = 16


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a video: when they are shown, and how they are reached. Arrays are in display order."""

    path: str
    """The file."""
    pts_seconds: Seconds
    """Time at which each frame appears."""
    duration_seconds: Seconds
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
        layout = self._layout
        runs = plan_runs(np.asarray(numbers, np.int64), layout.entry, layout.order.packet_of)
        return sum(run.cost for run in runs)

    def __repr__(self) -> str:
        longest = int(self.gop_lengths.max(initial=0))
        return (
            f"FrameIndex({len(self)} frames, {len(self.keyframes)} keyframes, up to {longest} frames apart, "
            f"engine={self.engine!r}: {self.reason})"
        )


def describe(
    layout: Layout,
    picture: Picture,
    engine: Literal["decord", "pyav"],
    reason: str,
    decord_refusal: str | None,
) -> tuple[FrameIndex, VideoInfo]:
    """Return the index and the facts of a video."""
    pts, durations = _frame_times(layout)
    keyframes = layout.number_of[layout.starts[layout.packets.is_key[layout.starts]]]
    keyframes = np.sort(keyframes[keyframes >= 0])
    packet_of = layout.order.packet_of
    index = FrameIndex(
        path=layout.mark.path,
        pts_seconds=pts,
        duration_seconds=durations,
        keyframes=keyframes,
        frame_bytes=layout.packets.size[packet_of],
        frame_types=_frame_types(packet_of, keyframes),
        engine=engine,
        reason=reason,
        decord_refusal=decord_refusal,
        order_reason=layout.order.why,
        _layout=layout,
    )
    return index, _info(layout, index, picture)


def _frame_types(packet_of: Numbers, keyframes: Numbers) -> NDArray[np.str_]:
    types = np.full(packet_of.size, "P")
    later_shown = np.minimum.accumulate(packet_of[::-1])[::-1]
    types[later_shown < packet_of] = "B"
    types[keyframes] = "I"
    return types


def _frame_times(layout: Layout) -> tuple[Seconds, Seconds]:
    """Return when each frame appears and how long it stays, in seconds; made up if the file is silent."""
    tick, packet_of = layout.stream.time_base, layout.order.packet_of
    ticks = _ticks_in_order(layout)
    if ticks is None:
        count, rate = packet_of.size, next(iter(layout.stream.rates), 25.0)
        return np.arange(count) / rate, np.full(count, 1 / rate)
    last = float(layout.packets.duration[packet_of[-1]])
    if last <= 0:  # the packet does not say: as long as the others stay
        last = float(np.median(np.diff(ticks))) if ticks.size > 1 else 0.0
    pts = np.asarray(ticks * tick, np.float64)
    return pts, np.append(np.diff(pts), last * tick)


def _ticks_in_order(layout: Layout) -> Numbers | None:
    """Return the best times of the frames: their own, or as many sorted ones; None if there are none."""
    own, dts = layout.packets.pts[layout.order.packet_of], layout.packets.dts
    if own.size and (own != NO_TIME).all() and (np.diff(own) >= 0).all():
        return own
    decoding = np.unique(dts[dts != NO_TIME])
    if decoding.size == dts.size == own.size and (np.diff(dts) > 0).all():
        return decoding
    return None


def _info(layout: Layout, index: FrameIndex, picture: Picture) -> VideoInfo:
    facts, pts = layout.stream, index.pts_seconds
    seconds = float(pts[-1] + index.duration_seconds[-1] - pts[0])
    fps, is_variable = _rate(layout, pts, index.duration_seconds)
    width, height = picture.size
    bits = int(layout.packets.size.sum()) * 8
    return VideoInfo(
        path=layout.mark.path,
        num_frames=pts.size,
        height=height,
        width=width,
        fps=fps,
        duration_seconds=seconds,
        start_seconds=float(pts[0]),
        codec=facts.codec,
        pixel_format=facts.pixel_format or picture.pixel_format,
        container=",".join(facts.containers),
        rotation_degrees=picture.rotation % 360,
        is_variable_rate=is_variable,
        bit_rate=round(bits / seconds) if seconds > 0 else 0,
        size_bytes=layout.mark.size,
        audio=facts.audio,
    )


def _rate(layout: Layout, pts: Seconds, durations: Seconds) -> tuple[float, bool]:
    """Return frames a second on average, and whether they vary by more than rounding to ticks explains."""
    facts, packets, count = layout.stream, layout.packets, pts.size
    if packets.trouble or facts.promised_frames > len(packets.pts):
        pts = pts[: max(count - _CUT_FRAMES, 2)]
    seconds = float(durations.sum())
    average = count / seconds if seconds > 0 else next(iter(facts.rates), 0.0)
    if len(pts) < 3:
        return _snapped(average, facts.rates, 0.01 * average), False
    if np.ptp(np.diff(pts)) > 1.01 * facts.time_base + 1e-9:
        return average, True
    # Times rounded to ticks cannot distinguish 29.97 from 29.9701; the rates in the header can.
    span = float(pts[-1] - pts[0])
    steady = (len(pts) - 1) / span if span > 0 else average
    return _snapped(steady, facts.rates, steady * 2 * facts.time_base / max(span, 1e-9) + 1e-9), False


def _snapped(rate: float, nominal: tuple[float, ...], room: float) -> float:
    return next((each for each in nominal if abs(each - rate) <= room), rate)
