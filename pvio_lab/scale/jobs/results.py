"""The results of some clips as one Arrow table, with the same columns whatever became of the clips."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...read import public_name
from ..arrow import pa, packed_array, packed_type
from .clip import ENDING, Row, Work


def column_types(work: Work) -> dict[str, Any]:
    """The columns that a job adds, but for those of a function."""
    made = {} if work.function is not None else _made_types().get(work.output, {})
    return _fact_types() | (_sampled_types() if work.output != "info" else {}) | made | _ending_types()


def _fact_types() -> dict[str, Any]:
    return {
        "video_num_frames": pa.int64(),
        "video_height": pa.int64(),
        "video_width": pa.int64(),
        "video_fps": pa.float64(),
        "video_duration_seconds": pa.float64(),
        "video_codec": pa.string(),
        "video_is_variable_rate": pa.bool_(),
    }


def _sampled_types() -> dict[str, Any]:
    return {"frame_indices": pa.list_(pa.int64()), "frame_timestamps": pa.list_(pa.float64())}


def _made_types() -> dict[str, dict[str, Any]]:
    return {"frames": {"frames": packed_type()}, "images": {"images": pa.list_(pa.string())}}


def _ending_types() -> dict[str, Any]:
    return {name: pa.string() if name.startswith("error") else pa.float64() for name in ENDING}


def results_table(rows: pa.Table, results: list[Row], work: Work, schema: pa.Schema | None) -> pa.Table:
    """The rows of the manifest beside their results.

    Args:
        rows: As many rows of the manifest as there are results.
        results: What `process_clip` returned, packed.
        work: What was to be done.
        schema: The types of the columns of a function; found out from what it returned when left out.
    """
    types, at = column_types(work), rows.column_names.index("path")
    # What workers need is in the manifest; results go further.
    paths = [None if path is None else public_name(path) for path in rows["path"].to_pylist()]
    rows = rows.set_column(at, "path", pa.array(paths, pa.string()))
    given = {field.name: field.type for field in schema or ()}
    others = dict.fromkeys(name for result in results for name in result if name not in types)
    for name, kind in (types | dict.fromkeys(others) | given).items():
        rows = rows.append_column(name, _column(name, [result.get(name) for result in results], kind))
    return rows


def _column(name: str, values: list[Any], kind: Any) -> Any:
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
        expected = "one type" if kind is None else f"the type {kind}"
        raise TypeError(f"the column {name!r} must have values of {expected}: {error}") from None


def packed(result: Row) -> Row:
    """A result as it is stored: arrays as lists, but pixels in `frames` as shape and bytes.

    >>> packed({"frames": np.full((1, 1, 1, 3), 65, np.uint8), "mean": np.float32(0.5)})
    {'frames': {'shape': (1, 1, 1, 3), 'data': b'AAA'}, 'mean': 0.5}
    """
    return {name: _stored(value, name == "frames") for name, value in result.items()}


def _stored(value: Any, is_frames: bool) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        return value
    is_pixels = is_frames and isinstance(value, np.ndarray) and value.dtype == np.uint8
    return packed_array(value) if is_pixels else value.tolist()
