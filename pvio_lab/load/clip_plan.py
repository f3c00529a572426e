"""The frames of a video that make a clip. Pure: it knows arrays of times, not videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..read import ROUNDING_SECONDS, frames_at

Numbers = NDArray[np.int64]
Seconds = NDArray[np.float64]
Sampling = Literal["random", "uniform"]
WhenShort = Literal["repeat_last", "loop", "error"]


class Timeline(NamedTuple):
    """The times at which the frames of a video are on screen."""

    pts_seconds: Seconds
    """The time at which each frame appears, in display order."""
    end_seconds: float
    """The time at which the last one goes."""

    @property
    def seconds(self) -> float:
        """The length of the video; more than 0 even for a single frame without a duration."""
        return max(self.end_seconds - float(self.pts_seconds[0]), ROUNDING_SECONDS)


def steady_timeline(timeline: Timeline, rate: float) -> Timeline:
    """Return the same timeline with even times, where the frames follow each other at a constant rate.

    Some containers round times to milliseconds. On a timeline at the video's own rate, frames 0.033 s,
    0.067 s, 0.1 s would come twice or not at all, because a third of them are late.

    >>> times = Timeline(np.array([0.0, 0.033, 0.067, 0.1]), 0.133)
    >>> steady_timeline(times, 30).pts_seconds.round(5)
    array([0.     , 0.03333, 0.06667, 0.1    ])

    Args:
        timeline: The times in the container.
        rate: Frames a second.
    """
    pts = timeline.pts_seconds
    even = pts[0] + np.arange(len(pts)) / rate
    if not np.abs(even - pts).max() < 0.25 / rate:
        return timeline
    return Timeline(even, float(pts[0]) + len(pts) / rate)


@dataclass(frozen=True)
class ClipShape:
    """The number of frames of a clip, and the distance between them.

    >>> timeline = Timeline(np.arange(10) / 10, 1.0)  # ten frames in a second
    >>> ClipShape(4, stride=2).numbers(timeline, 1)
    array([1, 3, 5, 7])
    >>> ClipShape(4, fps=5.0).numbers(timeline, 1)
    array([1, 3, 5, 7])
    >>> ClipShape(4, stride=2).num_starts(timeline)
    4
    """

    num_frames: int
    stride: int = 1
    """Every `stride`-th frame of the video; used where `fps` is None."""
    fps: float | None = None
    """On a timeline at this rate."""
    when_short: WhenShort = "repeat_last"
    """The frames that follow the end of a video that is too short; "error" is left to the caller."""

    def num_starts(self, timeline: Timeline) -> int:
        """Return at how many frames a whole clip can begin; 0 if the video is too short for one."""
        if self.fps is None:
            return max(len(timeline.pts_seconds) - (self.num_frames - 1) * self.stride, 0)
        latest = timeline.end_seconds - (self.num_frames - 1) / self.fps
        at_most = np.searchsorted(timeline.pts_seconds, latest - ROUNDING_SECONDS, side="left")
        return max(int(at_most), int(self.num_frames == 1))

    def numbers(self, timeline: Timeline, start: int) -> Numbers:
        """Return the frames of the clip that begins with frame `start`."""
        steps, pts = np.arange(self.num_frames), timeline.pts_seconds
        if self.fps is None:
            return self._inside(start + steps * self.stride, len(pts))
        ticks = pts[start] + steps / self.fps
        if self.when_short == "loop":
            # A time at the very end, but for rounding, is the beginning of the next round.
            passed = ticks - pts[0] + ROUNDING_SECONDS
            ticks = pts[0] + np.maximum(passed % timeline.seconds - ROUNDING_SECONDS, 0)
        shown = np.minimum(ticks, pts[-1])  # the last frame, at any later time
        return frames_at(pts, np.zeros(len(pts)), shown)

    def _inside(self, numbers: Numbers, length: int) -> Numbers:
        return numbers % length if self.when_short == "loop" else np.minimum(numbers, length - 1)

    def __str__(self) -> str:
        how = f"stride {self.stride}" if self.fps is None else f"{self.fps:g} frames/s"
        return f"{self.num_frames} frames at {how}"


def spread_start(num_starts: int, clip: int, num_clips: int) -> int:
    """Return the start of one of several clips that are spread evenly; of a single one, the middle.

    >>> [spread_start(101, clip, 5) for clip in range(5)]
    [0, 25, 50, 75, 100]
    """
    last, gaps = max(num_starts - 1, 0), num_clips - 1
    return last // 2 if not gaps else (clip * last * 2 + gaps) // (gaps * 2)


def random_start(num_starts: int, key: Sequence[int]) -> int:
    """Return a random start, which depends on the key alone."""
    return int(np.random.default_rng(key).integers(max(num_starts, 1)))
