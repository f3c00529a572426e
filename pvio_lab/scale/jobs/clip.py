"""What is done with one clip: it is opened, the frames asked for are decoded, and a row comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from ...read import (
    ROUNDING_SECONDS,
    Fetching,
    ImageSequence,
    VideoReader,
    fetched,
    open_video,
    sample_indices,
    shown,
    timeline,
)

Output = Literal["frames", "images", "info"]
Row = dict[str, Any]
Function = Callable[[Any, Row], Mapping[str, Any]]
Reader = VideoReader | ImageSequence

PHASES = ("transport", "open", "decode", "convert", "other")
"""Where the time of a clip goes; other is everything else: a function, encoding images."""
ENDING = ("error_type", "error_message", *(f"{name}_seconds" for name in PHASES), "begun_at")
"""The columns that say what became of a clip, and when."""
_SAMPLING = ("step", "fps", "num_frames", "first", "max_frames")
_FACTS = ("num_frames", "height", "width", "fps", "duration_seconds", "codec", "is_variable_rate")


@dataclass(frozen=True)
class Work:
    """What to do with every clip; it travels to the workers."""

    output: Output = "frames"
    """What is made of the frames: a tensor in the row, image files, or nothing."""
    sampling: Mapping[str, Any] = field(default_factory=lambda: {"num_frames": 8})
    """Which frames of a clip, as for `sample_indices`."""
    width: int | None = None
    """The width of the frames, as for `VideoReader`."""
    height: int | None = None
    """The height of the frames, as for `VideoReader`."""
    function: Function | None = None
    """Makes the results instead, from the frames and the row; with `output="info"` from the open reader."""
    fetching: Fetching | None = None
    """How URLs are fetched, and what may be opened."""

    def __post_init__(self) -> None:
        if self.output not in get_args(Output):
            raise ValueError(
                f"output={self.output!r} must be one of {', '.join(map(repr, get_args(Output)))}"
            )
        unknown = sorted(set(self.sampling) - set(_SAMPLING))
        if unknown:
            raise ValueError(f"sampling has {unknown}; allowed are {', '.join(_SAMPLING)}")
        sample_indices(_AnyVideo(), **self.sampling)
        if self.function is not None and self.output == "images":
            raise ValueError("function= makes the results itself; output must be 'frames' or 'info'")

    @property
    def frame_size(self) -> dict[str, Any]:
        """As the readers take it."""
        return {"width": self.width, "height": self.height}


class _AnyVideo:
    """What sampling options are tried on."""

    num_frames, fps = 1, 1.0


class Clock:
    """Tells how long each phase of a clip took."""

    def __init__(self) -> None:
        self.begin, self._start = time.time(), time.perf_counter()
        self._seconds = dict.fromkeys(PHASES[:-1], 0.0)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What is done meanwhile belongs to this phase."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - begin

    def move(self, seconds: float, source: str, target: str) -> None:
        """So much of one phase belongs to another."""
        self._seconds[source] -= seconds
        self._seconds[target] += seconds

    def columns(self) -> Row:
        """When it began, and the seconds of each phase."""
        total = time.perf_counter() - self._start
        other = max(0.0, total - sum(self._seconds.values()))
        return {f"{name}_seconds": value for name, value in (self._seconds | {"other": other}).items()} | {
            "begun_at": self.begin
        }


def process_clip(row: Row, work: Work, save: Callable[[Row, int, Any], str] | None = None) -> Row:
    """The results of one clip; if it fails, what went wrong.

    >>> row = {"clip": 0, "path": "data_samples/shapes.mp4", "start_seconds": 2.0, "end_seconds": 3.0}
    >>> result = process_clip(row, Work(sampling={"num_frames": 3}))
    >>> result["frames"].shape, result["frame_indices"], result["error_type"]
    ((3, 360, 640, 3), [60, 75, 89], None)
    >>> process_clip({"clip": 1, "path": "missing.mp4"}, Work())["error_type"]
    'FileNotFoundError'

    Args:
        row: The row of the manifest.
        work: What to do.
        save: Writes an image: takes the row, the number of the frame and its pixels, returns the name.
    """
    clock, result, error = Clock(), {}, None
    try:
        result = _results(row, work, clock, save)
    except Exception as failure:  # whatever is wrong with one clip, or with the function, is its result
        error = failure
    kind, words = (None, None) if error is None else (type(error).__name__, str(error))
    return result | {"error_type": kind, "error_message": words} | clock.columns()


def _results(row: Row, work: Work, clock: Clock, save: Any) -> Row:
    with ExitStack() as stack:
        with clock.phase("transport"):
            file = stack.enter_context(fetched(_path_of(row), work.fetching))
        with clock.phase("open"):
            reader = _open(file.path, work)
            stack.callback(reader.close)
        facts = {f"video_{name}": getattr(reader.info, name) for name in _FACTS}
        if work.output == "info":
            return facts | _called(work.function, reader, row | facts)
        numbers = clip_numbers(reader, row, work.sampling)
        with clock.phase("decode"):
            frames = reader[numbers]
        clock.move(reader.convert_seconds, "decode", "convert")
    times = timeline(reader)[0][numbers]
    facts |= {"frame_indices": numbers.tolist(), "frame_timestamps": times.tolist()}
    if work.function is not None:
        return facts | _called(work.function, frames, row | facts)
    if save is not None:
        return facts | {
            "images": [save(row, number, frame) for number, frame in zip(numbers, frames, strict=True)]
        }
    return facts | {"frames": frames}


def _path_of(row: Row) -> str:
    path = row["path"]
    if not path:
        raise ValueError(f"clip {row.get('clip')} has no path")
    return str(path)


def _open(path: str, work: Work) -> Reader:
    """One thread, as there is a worker for each processor; nothing is asked twice, so nothing is cached."""
    options: dict[str, Any] = {} if os.path.isdir(path) else {"num_threads": 1, "cache_bytes": 0}
    return open_video(path, **work.frame_size, **options)


def clip_numbers(reader: Any, row: Row, sampling: Mapping[str, Any]) -> Any:
    """Which frames a policy takes from the part of the video that is the clip.

    Raises:
        ValueError: No frame is in that part.
    """
    start, end = row.get("start_frame"), row.get("end_frame")
    if row.get("start_seconds") is not None or row.get("end_seconds") is not None:
        if start is not None or end is not None:
            raise ValueError(f"clip {row.get('clip')} has times and frame numbers; give one of them")
        start, end = _frames_between(reader, row.get("start_seconds"), row.get("end_seconds"))
    numbers = sample_indices(reader, start=start or 0, end=end, **sampling)
    if not numbers.size:
        raise ValueError(
            f"no frame of {shown(row['path'])} is between {start or 0} and {end}; it has {len(reader)} frames"
        )
    return numbers


def _frames_between(reader: Any, start: float | None, end: float | None) -> tuple[int, int]:
    """From the frame on screen at the start up to, not including, the first one that appears at the end."""
    pts, _ = timeline(reader)
    if start is not None and start >= reader.info.start_seconds + reader.info.duration_seconds:
        return len(pts), len(pts)
    first = 0 if start is None else np.searchsorted(pts, start + ROUNDING_SECONDS, side="right") - 1
    last = len(pts) if end is None else np.searchsorted(pts, end - ROUNDING_SECONDS, side="left")
    return max(0, int(first)), int(last)


def _called(function: Function | None, given: Any, row: Row) -> Row:
    if function is None:
        return {}
    result = function(given, row)
    if not isinstance(result, Mapping):
        raise TypeError(f"the function must return a mapping, not {type(result).__name__}: {result!r}")
    taken = sorted(set(result) & {*row, *ENDING})
    if taken:
        raise ValueError(f"the function returned {taken}, which are columns already; choose other names")
    return dict(result)
