"""The frames of a video that make a clip. Pure: it knows arrays of times, not videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..read import ROUNDING_SECONDS, Numbers, Times, frames_at

WhenShort = Literal["repeat_last", "loop", "error"]


@dataclass(frozen=True)
class ClipShape:
    """The number of frames of a clip, and the distance between them.

    >>> times = Times.steady(10, fps=10)
    >>> ClipShape(4, stride=2).numbers(times, 1)
    array([1, 3, 5, 7])
    >>> ClipShape(4, fps=5.0).numbers(times, 1)
    array([1, 3, 5, 7])
    >>> ClipShape(4, stride=2).num_starts(times)
    4
    """

    num_frames: int
    stride: int = 1
    """Every `stride`-th frame of the video; used where `fps` is None."""
    fps: float | None = None
    """On a timeline at this rate."""
    when_short: WhenShort = "repeat_last"
    """The frames that follow the end of a video that is too short; "error" is left to the caller."""

    def num_starts(self, times: Times) -> int:
        """Return at how many frames a whole clip can begin; 0 if the video is too short for one."""
        pts = times.pts_seconds
        if self.fps is None:
            return max(len(pts) - (self.num_frames - 1) * self.stride, 0)
        latest = pts[0] + length_seconds(times) - (self.num_frames - 1) / self.fps
        at_most = np.searchsorted(pts, latest - ROUNDING_SECONDS, side="left")
        return max(int(at_most), int(self.num_frames == 1))

    def numbers(self, times: Times, start: int) -> Numbers:
        """Return the frames of the clip that begins with frame `start`."""
        steps, pts, is_loop = np.arange(self.num_frames), times.pts_seconds, self.when_short == "loop"
        if self.fps is None:
            numbers = start + steps * self.stride
            return numbers % len(pts) if is_loop else np.minimum(numbers, len(pts) - 1)
        ticks = pts[start] + steps / self.fps
        if is_loop:
            # A time at the very end, but for rounding, is the beginning of the next round.
            passed = ticks - pts[0] + ROUNDING_SECONDS
            ticks = pts[0] + np.maximum(passed % length_seconds(times) - ROUNDING_SECONDS, 0)
        return frames_at(*times, np.minimum(ticks, pts[-1]))  # the last frame, at any later time

    def __str__(self) -> str:
        how = f"stride {self.stride}" if self.fps is None else f"{self.fps:g} frames/s"
        return f"{self.num_frames} frames at {how}"


def length_seconds(times: Times) -> float:
    """Return the length of a video; more than 0 even for a single frame without a duration."""
    seconds = times.pts_seconds[-1] + times.duration_seconds[-1] - times.pts_seconds[0]
    return max(float(seconds), ROUNDING_SECONDS)


def steady_times(times: Times, rate: float) -> Times:
    """Return the same times, but evenly spaced where frames follow each other at a constant rate.

    Some containers round times to milliseconds. On a timeline at the video's own rate, frames 0.033 s,
    0.067 s, 0.1 s would come twice or not at all, because a third of them are late.

    >>> times = Times(np.array([0.0, 0.033, 0.067, 0.1]), np.full(4, 0.033))
    >>> steady_times(times, 30).pts_seconds.round(5)
    array([0.     , 0.03333, 0.06667, 0.1    ])
    """
    pts = times.pts_seconds
    even, durations = Times.steady(len(pts), rate)
    even += pts[0]
    return Times(even, durations) if np.abs(even - pts).max() < 0.25 / rate else times


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
