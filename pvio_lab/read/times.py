"""Times of frames, and frame numbers for times. Pure: it knows arrays of times, not videos."""

from __future__ import annotations

import reprlib
from numbers import Real
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import checked_seconds
from ..errors import FrameTimestampError, printable

# A time computed as i / fps may fall this far short of the time the file gives for frame i.
ROUNDING_SECONDS = 1e-6


class Times(NamedTuple):
    """The times of all frames of a video, in display order."""

    pts_seconds: NDArray[np.float64]
    """Time at which each frame appears."""
    duration_seconds: NDArray[np.float64]
    """Time for which each frame stays on screen."""

    @classmethod
    def steady(cls, num_frames: int, fps: float) -> Times:
        """Return the times of frames that follow each other at a constant rate, from 0 on."""
        return cls(np.arange(num_frames) / fps, np.full(num_frames, 1 / fps))


def frames_at(pts_seconds: ArrayLike, duration_seconds: ArrayLike, times: ArrayLike) -> NDArray[np.int64]:
    """Return the frames on screen at these times.

    Frame i is on screen from its own time up to, not including, the time of frame i + 1; the last one for
    its duration. A time less than a microsecond before a frame counts as the time of that frame.

    >>> frames_at([0.0, 0.5, 1.0], [0.5, 0.5, 0.5], [0.0, 0.49, 0.5, 1.49])
    array([0, 0, 1, 2])

    Raises:
        FrameTimestampError: No frame is on screen at one of the times.
        TypeError: A time is not a number.
    """
    asked = _as_seconds(times, "a time")
    pts = np.asarray(pts_seconds, np.float64)
    if not pts.size:
        raise FrameTimestampError("no frame is on screen at any time: the video has no frames")
    start, end = pts[0], pts[-1] + max(np.asarray(duration_seconds, np.float64)[-1], ROUNDING_SECONDS)
    inside = (asked >= start - ROUNDING_SECONDS) & (asked < end)
    if not inside.all():
        raise FrameTimestampError(
            f"no frame is on screen at {_text(asked[~inside].flat[0])} s: the video runs from "
            f"{_text(start)} s up to, not including, {_text(end)} s; ask for a time in this range"
        )
    frames = np.maximum(np.searchsorted(pts, asked, side="right") - 1, 0)
    to_next = pts[np.minimum(frames + 1, pts.size - 1)] - asked
    rounded_down = (to_next > 0) & (to_next <= ROUNDING_SECONDS) & (to_next < asked - pts[frames])
    return np.asarray(frames + rounded_down, np.int64)


def nearest_frames(
    pts_seconds: ArrayLike, times: ArrayLike, tolerance_s: float, path: str | PathLike[str]
) -> NDArray[np.int64]:
    """Return the frames whose times are nearest to these; of two equally near ones the earlier.

    >>> nearest_frames([0.0, 0.5, 1.0], [0.1, 0.9], 0.1, "clip.mp4")
    array([0, 2])

    Raises:
        FrameTimestampError: The nearest frame is further away than `tolerance_s`.
        TypeError: A time or the tolerance is not a number.
        ValueError: The tolerance is negative or NaN.
    """
    asked = _as_seconds(times, "a time")
    tolerance = _as_seconds(tolerance_s, "tolerance_s")
    if tolerance.ndim or not tolerance >= 0:
        raise ValueError(f"tolerance_s={tolerance_s!r} must be one number of seconds, 0 or more")
    pts = np.asarray(pts_seconds, np.float64)
    if not pts.size:
        raise FrameTimestampError(f"no frame is near any time: {printable(path)} has no frames")
    later = np.clip(np.searchsorted(pts, asked), 1, max(pts.size - 1, 1)) % pts.size
    earlier = np.maximum(later - 1, 0)
    with np.errstate(invalid="ignore"):
        frames = np.where(np.abs(asked - pts[earlier]) <= np.abs(pts[later] - asked), earlier, later)
        far = ~(np.abs(pts[frames] - asked) <= tolerance)
    if far.any():
        time, nearest = asked[far].flat[0], pts[frames][far].flat[0]
        raise FrameTimestampError(
            f"no frame within tolerance_s={tolerance_s!r} of {_text(time)} s: the nearest is at "
            f"{_text(nearest)} s in {printable(path)}; ask for the time of a frame, "
            "or allow a larger tolerance_s"
        )
    return np.asarray(frames, np.int64)


def frame_rate(fps: Any) -> float:
    """Return an argument that must be a rate: a number of frames a second, above 0 and finite."""
    return checked_seconds(fps, "fps", "frames a second")


def _as_seconds(times: ArrayLike, what: str) -> NDArray[np.float64]:
    array = np.asarray(times)
    if array.dtype.kind not in "iuf" and not _all_numbers(array):
        raise TypeError(f"{what} must be a number of seconds, or many in an array, not {reprlib.repr(times)}")
    return array.astype(np.float64)


def _all_numbers(array: NDArray[Any]) -> bool:
    """Return True for object arrays of fractions, which PyAV uses for times."""
    numbers = (isinstance(time, Real) and not isinstance(time, bool) for time in array.flat)
    return array.dtype.kind == "O" and all(numbers)


def _text(seconds: float) -> str:
    """Return seconds to the microsecond, without trailing zeros: 2.500000 -> '2.5'."""
    return f"{seconds:.6f}".rstrip("0").removesuffix(".")
