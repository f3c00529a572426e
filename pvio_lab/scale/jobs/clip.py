"""The work on one clip: it is opened, the frames asked for are decoded, and a row of results comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
_FACTS = ("num_frames", "height", "width", "fps", "duration_seconds", "codec", "is_variable_rate")


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


class Clock:
    """The seconds of each phase of a clip."""

    def __init__(self) -> None:
        self.begun_at, self._start = time.time(), time.perf_counter()
        self._seconds = dict.fromkeys(PHASES[:-1], 0.0)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block towards this phase."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - begin

    def move(self, seconds: float, source: str, target: str) -> None:
        """Count some seconds of one phase towards another."""
        self._seconds[source] -= seconds
        self._seconds[target] += seconds

    def columns(self) -> Row:
        """Return the seconds of each phase, and when the clip began."""
        total = time.perf_counter() - self._start
        seconds = self._seconds | {"other": max(0.0, total - sum(self._seconds.values()))}
        return {f"{name}_seconds": value for name, value in seconds.items()} | {"begun_at": self.begun_at}


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
    clock, result, kind, words = Clock(), {}, None, None
    try:
        result = _results(row, work, clock, save)
    except Exception as error:  # everything that is wrong with one clip, or with the function, is its result
        kind, words = type(error).__name__, str(error)
    return result | {"error_type": kind, "error_message": words} | clock.columns()


def _results(row: Row, work: Work, clock: Clock, save: Save | None) -> Row:
    if not row["path"]:
        raise ValueError(f"clip {row.get('clip')} has no path")
    with ExitStack() as stack:
        with clock.phase("transport"):
            file = stack.enter_context(HeldSource(str(row["path"]), work.fetching))
        with clock.phase("open"):  # with one thread, as there is a worker for each processor
            reader = open_video(file.path, width=work.width, height=work.height, num_threads=1, cache_bytes=0)
            stack.callback(reader.close)
        facts = {f"video_{name}": getattr(reader.info, name) for name in _FACTS}
        if work.output == "info":
            return facts | _called(work.function, reader, row | facts)
        numbers = clip_numbers(reader, row, work.sampling)
        with clock.phase("decode"):
            frames = reader[numbers]
        clock.move(reader.convert_seconds, "decode", "convert")
    times = reader.times[0][numbers]
    facts |= {"frame_indices": numbers.tolist(), "frame_timestamps": times.tolist()}
    if work.function is not None:
        return facts | _called(work.function, frames, row | facts)
    if save is not None:
        return facts | {"images": [save(row, *each) for each in zip(numbers, frames, strict=True)]}
    return facts | {"frames": frames}


def clip_numbers(reader: Any, row: Row, sampling: Mapping[str, Any]) -> Numbers:
    """Return the frames that a policy takes from the part of the video that is the clip.

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
    """Return the frame on screen at the start, and the first one that appears at the end or later."""
    pts, _ = reader.times
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


def column_types(work: Work) -> dict[str, Any]:
    """Return the columns that a job adds, except those of a function, with their types."""
    types = {
        "video_num_frames": pa.int64(),
        "video_height": pa.int64(),
        "video_width": pa.int64(),
        "video_fps": pa.float64(),
        "video_duration_seconds": pa.float64(),
        "video_codec": pa.string(),
        "video_is_variable_rate": pa.bool_(),
    }
    if work.output != "info":
        types |= {"frame_indices": pa.list_(pa.int64()), "frame_timestamps": pa.list_(pa.float64())}
        if work.function is None:
            types[work.output] = packed_type() if work.output == "frames" else pa.list_(pa.string())
    return types | {name: pa.string() if name.startswith("error") else pa.float64() for name in ENDING}


def results_table(rows: pa.Table, results: list[Row], work: Work, schema: pa.Schema | None) -> pa.Table:
    """Return the rows of the manifest beside their results, with the same columns for good and bad clips.

    Args:
        rows: As many rows of the manifest as there are results.
        results: What `process_clip` returned, packed.
        work: What was to be done.
        schema: The types of the columns of a function; when left out, they follow from what it returned.
    """
    types, at = column_types(work), rows.column_names.index("path")
    # The manifest has what workers need; results travel further.
    paths = [None if path is None else public_name(path) for path in rows["path"].to_pylist()]
    rows = rows.set_column(at, "path", pa.array(paths, pa.string()))
    given = {field.name: field.type for field in schema or ()}
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
    return {name: _stored(value, name == "frames") for name, value in result.items()}


def _stored(value: Any, is_frames: bool) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        return value
    is_pixels = is_frames and isinstance(value, np.ndarray) and value.dtype == np.uint8
    return packed_array(value) if is_pixels else value.tolist()
