"""Arrow, which is loaded when it is used; and the columns that hold videos."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .recipe import Pixels


def imported(name: str, purpose: str, extra: str = "ray") -> Any:
    """Import a module of an extra; the error where that is missing begins with the purpose."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f'{purpose} ({error}): pip install "pvio_lab[{extra}]"') from error


if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import dataset, fs, parquet
else:

    class _Module:
        def __init__(self, name: str):
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            if attribute.startswith("__"):  # doctest and the like look around
                raise AttributeError(attribute)
            return getattr(imported(self._name, "manifests and shards need pyarrow", "jobs"), attribute)

    pa, dataset, fs, parquet = map(_Module, ("pyarrow", "pyarrow.dataset", "pyarrow.fs", "pyarrow.parquet"))

__all__ = ["dataset", "fs", "pa", "parquet"]


def video_arrays(value: Sequence[Mapping[str, Any]]) -> list[Pixels]:
    """Return the frames in one row of the column `video` of `prepare_videos`, one array for each source.

    >>> video_arrays([{"shape": [2, 1, 1, 3], "data": bytes(range(6))}])[0][1, 0, 0]
    array([3, 4, 5], dtype=uint8)
    """
    return [np.frombuffer(each["data"], np.uint8).reshape(tuple(each["shape"])) for each in value]


def video_column(rows: Sequence[Sequence[Any]], *, channels_first: bool) -> pa.Array:
    """Return rows of packed arrays, one for each source; a source that failed has an empty list."""
    none = np.empty((0, 3, 0, 0) if channels_first else (0, 0, 0, 3), np.uint8)
    packed = [[packed_array(each if len(each) else none) for each in row] for row in rows]
    return pa.array(packed, pa.list_(packed_type()))


def meta_column(rows: Sequence[Sequence[Mapping[str, Any]]]) -> pa.Array:
    """Return rows of `meta`, one for each source.

    The type is fixed, so that a block of nothing but failures has the same type as any other.
    """
    fields = {
        "source": pa.string(),
        "failed": pa.bool_(),
        "error_type": pa.string(),
        "error_message": pa.string(),
        "attempts": pa.int64(),
        "retried": pa.bool_(),
        "video_size": pa.list_(pa.int64()),
        "video_num_frames": pa.int64(),
        "frame_timestamps": pa.list_(pa.float64()),
        "frame_indices": pa.list_(pa.int64()),
        "source_fps": pa.float64(),
        "duration_seconds": pa.float64(),
    }
    return pa.array([list(row) for row in rows], pa.list_(pa.struct(fields)))


def packed_array(array: Any) -> dict[str, Any]:
    """Return shape and bytes: ten times as fast to write as a list of numbers."""
    return {"shape": array.shape, "data": array.tobytes()}


def packed_type() -> pa.DataType:
    """Return the type of a packed array, which may have more than 2 GB."""
    return pa.struct([("shape", pa.list_(pa.int64())), ("data", pa.large_binary())])
