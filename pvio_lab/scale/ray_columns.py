"""The results of some clips as one Arrow table, with the same columns whatever became of the clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from ray.data.extensions import ArrowVariableShapedTensorArray

from .clip import PHASES, Row, Work

_FACTS = {
    "video_num_frames": pa.int64(),
    "video_height": pa.int64(),
    "video_width": pa.int64(),
    "video_fps": pa.float64(),
    "video_duration_seconds": pa.float64(),
    "video_codec": pa.string(),
    "video_is_variable_rate": pa.bool_(),
}
_SAMPLED = {"frame_indices": pa.list_(pa.int64()), "frame_timestamps": pa.list_(pa.float64())}
_ENDING = {
    "error_type": pa.string(),
    "error_message": pa.string(),
    **{f"{name}_seconds": pa.float64() for name in PHASES},
    "begun_at": pa.float64(),
}
_NO_FRAMES = np.zeros((0, 0, 0, 3), np.uint8)


def column_types(work: Work) -> dict[str, Any]:
    """The columns that a job adds, but for those of a function; None for frames, which are tensors."""
    made: dict[str, Any] = {}
    if work.function is None:
        made = {"frames": {"frames": None}, "images": {"images": pa.list_(pa.string())}}.get(work.output, {})
    return _FACTS | (_SAMPLED if work.output != "info" else {}) | made | _ENDING


def results_table(rows: pa.Table, results: list[Row], work: Work, schema: pa.Schema | None) -> pa.Table:
    """The rows of the manifest beside their results.

    Args:
        rows: As many rows of the manifest as there are results.
        results: What `process_clip` returned.
        work: What was to be done.
        schema: The types of the columns of a function; found out from what it returned when left out.
    """
    types = column_types(work)
    given = {field.name: field.type for field in schema or ()}
    others = dict.fromkeys(name for result in results for name in result if name not in types)
    for name, kind in (types | dict.fromkeys(others, None) | given).items():
        rows = rows.append_column(name, _column([result.get(name) for result in results], name, kind))
    return rows


def _column(values: list[Any], name: str, kind: pa.DataType | None) -> pa.Array:
    is_tensor = name == "frames" or any(isinstance(value, np.ndarray) and value.ndim > 1 for value in values)
    if kind is not None or not is_tensor:
        return pa.array(values, kind)
    arrays = [_NO_FRAMES if value is None else value for value in values]
    tensors = np.empty(len(arrays), object)
    tensors[:] = arrays
    return ArrowVariableShapedTensorArray.from_numpy(tensors)
