"""Sampling policies: frames to take from a video. Pure: nothing is decoded."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..base import checked_size, integer, positive_integer
from .frames import Numbers, frame_numbers
from .times import ROUNDING_SECONDS, Times, frame_rate, frames_at


def sample_indices(
    info_or_reader: Any,
    *,
    start: int = 0,
    end: int | None = None,
    step: int = 1,
    fps: float | None = None,
    num_frames: int | None = None,
    first: int | None = None,
    max_frames: int | None = None,
    only: Iterable[int] | None = None,
) -> Numbers:
    """Return the numbers of the frames that a sampling policy takes from a video.

    Without another policy, every `step`-th frame from `start` up to, not including, `end`.

    >>> from types import SimpleNamespace
    >>> info = SimpleNamespace(num_frames=100, fps=25.0)  # get_video_metadata returns more
    >>> sample_indices(info, start=90, step=3)
    array([90, 93, 96, 99])
    >>> sample_indices(info, num_frames=5)
    array([ 0, 25, 50, 74, 99])
    >>> sample_indices(info, end=50, fps=4)
    array([ 0,  6, 12, 18, 25, 31, 37, 43])

    Args:
        info_or_reader: A `VideoInfo` or a reader. A reader knows the time of each frame; with a `VideoInfo`
            the policy `fps` assumes that the frames follow at its average rate.
        start: The first frame that may be taken; negative counts from the end, as in a slice.
        end: One past the last frame that may be taken, or None for all; as in a slice.
        step: Take every `step`-th frame.
        fps: Take the frame on screen at the time of `start` and every 1 / `fps` seconds after it. Above the
            video's own rate, or while a frame stays long, frames come more than once.
        num_frames: Take this many, spread evenly: the first and the last among them, or for one the middle
            one; all where there are fewer.
        first: Take only this many, from the beginning, counted along `step`.
        max_frames: Keep at most this many of what a policy takes, from the beginning.
        only: Take these marked frames, if they lie between `start` and `end`; sorted, each once.

    Returns:
        Frame numbers, int64, in display order.

    Raises:
        IndexError: A marked frame is not in the video.
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or two policies are given.
    """
    given = {"fps": fps, "num_frames": num_frames, "first": first, "only": only}
    policies = [name for name, value in given.items() if value is not None]
    if step != 1 and policies not in ([], ["first"]):
        policies.append("step")
    if len(policies) > 1:
        raise ValueError(f"{'= and '.join(policies)}= are different policies: give one of them")
    cap, length = checked_size(max_frames, "max_frames"), _length(info_or_reader)
    stop = None if end is None else integer(end, "end")
    span = np.arange(length, dtype=np.int64)[integer(start, "start") : stop]
    if only is not None:
        taken = _marked(span, only, length)
    elif num_frames is not None:
        taken = _spread(span, positive_integer(num_frames, "num_frames"))
    elif fps is not None:
        taken = _on_timeline(span, frame_rate(fps), info_or_reader, cap)
    else:
        taken = span[:: positive_integer(step, "step")][: checked_size(first, "first")]
    return taken[:cap].copy()


def _length(info_or_reader: Any) -> int:
    if hasattr(info_or_reader, "num_frames"):
        return operator.index(info_or_reader.num_frames)
    if hasattr(info_or_reader, "fps") and hasattr(info_or_reader, "__len__"):
        return len(info_or_reader)
    raise TypeError(
        f"sample_indices takes a VideoInfo or an open reader, not {type(info_or_reader).__name__}; "
        "for a path, get_video_metadata(path) returns a VideoInfo"
    )


def _marked(span: Numbers, only: Iterable[int], length: int) -> Numbers:
    if isinstance(only, str | bytes) or not isinstance(only, Iterable):
        raise TypeError(f"only={only!r} must be frame numbers in a list, set, array or other iterable")
    marked, _ = frame_numbers(only if hasattr(only, "__array__") else list(only), length)
    return np.intersect1d(span, marked)


def _spread(span: Numbers, count: int) -> Numbers:
    """Return evenly spaced frames, rounded in whole numbers, so none comes twice."""
    if count >= span.size:
        return span
    if count == 1:
        return span[[(span.size - 1) // 2]]
    gaps = count - 1
    return span[(np.arange(count) * (span.size - 1) * 2 + gaps) // (gaps * 2)]


def _on_timeline(span: Numbers, fps: float, info_or_reader: Any, cap: int | None) -> Numbers:
    """Return the frames on screen at the ticks of a rate; of facts alone, at their average rate."""
    if not span.size:
        return span
    times: Times | None = getattr(info_or_reader, "times", None)
    if times is None:
        rate = info_or_reader.fps
        if not rate or not math.isfinite(rate) or rate < 0:
            raise ValueError(
                f"fps= needs the rate of the video, which is given as {rate!r}; use step= instead"
            )
        times = Times.steady(_length(info_or_reader), rate)
    pts, durations = times.pts_seconds[span], times.duration_seconds[span]
    seconds = pts[-1] + durations[-1] - pts[0]
    count = max(math.ceil((seconds - ROUNDING_SECONDS) * fps), 1)
    ticks = np.arange(count if cap is None else min(count, cap)) / fps
    return span[frames_at(pts, durations, pts[0] + ticks)]
