"""One clip becomes a row of results: its video is opened, and the frames asked for are decoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, get_args

import numpy as np

from ...base import one_of
from ...read import (
    ROUNDING_SECONDS,
    Fetching,
    HeldSource,
    Numbers,
    Times,
    VideoInfo,
    open_video,
    public_name,
    sample_indices,
    shown,
)
from ..arrow import pa, packed_array, packed_type

Output = Literal["frames", "images", "info"]
Row = dict[str, Any]
Function = Callable[[Any, Row], Mapping[str, Any]]
Save = Callable[[Row, int, Any], str]

PHASES = ("transport", "open", "decode", "convert", "other")
"""The phases of a clip whose seconds are counted; "other" is all the rest: a function, encoding images."""
ENDING = ("error_type", "error_message", *(f"{name}_seconds" for name in PHASES), "begun_at")
"""The columns that say what became of a clip, and when."""
_SAMPLING = ("step", "fps", "num_frames", "first", "max_frames")
_FACTS = {
    "num_frames": "int64",
    "height": "int64",
    "width": "int64",
    "fps": "float64",
    "duration_seconds": "float64",
    "codec": "string",
    "is_variable_rate": "bool",
}


@dataclass(frozen=True)
class Work:
    """The work to do on every clip; it travels to the workers."""

    output: Output = "frames"
    """The result made of the frames: a tensor in the row, image files, or nothing."""
    sampling: Mapping[str, Any] = field(default_factory=lambda: {"num_frames": 8})
    """The frames of a clip to take, as for `sample_indices`."""
    width: int | None = None
    """The width of the frames, as for `VideoReader`."""
    height: int | None = None
    """The height of the frames, as for `VideoReader`."""
    function: Function | None = None
    """Makes the results instead, from the frames and the row; with `output="info"` from the open reader."""
    fetching: Fetching | None = None
    """Limits on what may be opened and how URLs are fetched."""

    def __post_init__(self) -> None:
        one_of(self.output, get_args(Output), "output")
        unknown = sorted(set(self.sampling) - set(_SAMPLING))
        if unknown:
            raise ValueError(f"sampling has {unknown}; allowed are {', '.join(_SAMPLING)}")
        sample_indices(SimpleNamespace(num_frames=1, fps=1.0), **self.sampling)
        if self.function is not None and self.output == "images":
            raise ValueError("function= makes the results itself; output must be 'frames' or 'info'")


def process_clip(row: Row, work: Work, save: Save | None = None) -> Row:
    """Return the results of one clip; if it fails, what went wrong.

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
    begun_at, begin = time.time(), time.perf_counter()
    seconds, result, kind, message = dict.fromkeys(PHASES, 0.0), {}, None, None
    try:
        result = _results(row, work, seconds, save)
    except Exception as error:  # everything that is wrong with one clip, or with the function, is its result
        kind, message = type(error).__name__, str(error)
    seconds["other"] = max(0.0, time.perf_counter() - begin - sum(seconds.values()))
    spent = {f"{name}_seconds": value for name, value in seconds.items()}
    return result | {"error_type": kind, "error_message": message} | spent | {"begun_at": begun_at}


def _results(row: Row, work: Work, seconds: dict[str, float], save: Save | None) -> Row:
    if not row["path"]:
        raise ValueError(f"clip {row.get('clip')} has no path")
    with ExitStack() as stack:
        with _timed(seconds, "transport"):
            file = stack.enter_context(HeldSource(str(row["path"]), work.fetching))
        with _timed(seconds, "open"):  # with one thread, as there is a worker for each processor
            reader = open_video(file.path, width=work.width, height=work.height, num_threads=1, cache_bytes=0)
            stack.enter_context(closing(reader))
        info = reader.info
        facts = {f"video_{name}": getattr(info, name) for name in _FACTS}
        if work.output == "info":
            return facts | _called(work.function, reader, row | facts)
        times = reader.times
        numbers = _clip_numbers(info, times, row, work.sampling)
        with _timed(seconds, "decode"):
            frames = reader[numbers]
        seconds["convert"] = reader.convert_seconds
        seconds["decode"] -= seconds["convert"]
    facts |= {"frame_indices": numbers.tolist(), "frame_timestamps": times.pts_seconds[numbers].tolist()}
    if work.function is not None:
        return facts | _called(work.function, frames, row | facts)
    if save is not None:
        return facts | {"images": [save(row, *each) for each in zip(numbers, frames, strict=True)]}
    return facts | {"frames": frames}


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] = time.perf_counter() - begin


def _clip_numbers(info: VideoInfo, times: Times, row: Row, sampling: Mapping[str, Any]) -> Numbers:
    """Return the frames that a policy takes from the part of the video that is the clip."""
    start, end = row.get("start_frame"), row.get("end_frame")
    from_seconds, to_seconds = row.get("start_seconds"), row.get("end_seconds")
    if from_seconds is not None or to_seconds is not None:
        if start is not None or end is not None:
            raise ValueError(f"clip {row.get('clip')} has times and frame numbers; give one of them")
        start, end = _frames_between(info, times.pts_seconds, from_seconds, to_seconds)
    video = SimpleNamespace(num_frames=info.num_frames, fps=info.fps, times=times)
    numbers = sample_indices(video, start=start or 0, end=end, **sampling)
    if not numbers.size:
        place = f"between {start or 0} and {end}; it has {info.num_frames} frames"
        raise ValueError(f"no frame of {shown(row['path'])} is {place}")
    return numbers


def _frames_between(info: VideoInfo, pts: Any, start: float | None, end: float | None) -> tuple[int, int]:
    """Return the frame on screen at the start, and the first one that appears at the end or later."""
    if start is not None and start >= info.start_seconds + info.duration_seconds:
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


def column_types(work: Work) -> dict[str, Any]:
    """Return the columns that a job adds, except those of a function, with their types."""
    types: dict[str, Any] = {f"video_{name}": kind for name, kind in _FACTS.items()}
    if work.output != "info":
        types |= {"frame_indices": pa.list_(pa.int64()), "frame_timestamps": pa.list_(pa.float64())}
        if work.function is None:
            types[work.output] = packed_type() if work.output == "frames" else pa.list_(pa.string())
    return types | {name: "string" if name.startswith("error") else "float64" for name in ENDING}


def results_table(rows: pa.Table, results: list[Row], work: Work, schema: pa.Schema | None) -> pa.Table:
    """Return rows of the manifest beside their packed results, with the same columns for good and bad clips.

    The schema has the types of what a function returns; without it, they follow from what was returned.
    """
    # The manifest has what workers need; results travel further.
    paths = [None if path is None else public_name(path) for path in rows["path"].to_pylist()]
    rows = rows.set_column(rows.column_names.index("path"), "path", pa.array(paths, pa.string()))
    types, given = column_types(work), {field.name: field.type for field in schema or ()}
    others = dict.fromkeys(name for result in results for name in result if name not in types)
    for name, kind in (types | others | given).items():
        values = [result.get(name) for result in results]
        try:
            rows = rows.append_column(name, pa.array(values, kind))
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
            expected = "one type" if kind is None else f"the type {kind}"
            raise TypeError(f"the column {name!r} must have values of {expected}: {error}") from None
    return rows


def packed(result: Row) -> Row:
    """Return a result as it is stored: arrays as lists, but pixels in `frames` as shape and bytes.

    >>> packed({"frames": np.full((1, 1, 1, 3), 65, np.uint8), "mean": np.float32(0.5)})
    {'frames': {'shape': (1, 1, 1, 3), 'data': b'AAA'}, 'mean': 0.5}
    """
    stored = {}
    for name, value in result.items():
        is_pixels = name == "frames" and isinstance(value, np.ndarray) and value.dtype == np.uint8
        is_array = isinstance(value, np.ndarray | np.generic)
        stored[name] = packed_array(value) if is_pixels else value.tolist() if is_array else value
    return stored
