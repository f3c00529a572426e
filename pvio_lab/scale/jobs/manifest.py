"""Manifests of clips: in every form that is allowed they become Parquet, with a number for each clip."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from glob import glob, has_magic
from os import PathLike
from typing import Any

import numpy as np

from ...base import in_short
from ...read import is_url, natural_key, outline, shown, source_name
from ..arrow import dataset, fs, pa, parquet

Manifest = str | PathLike[str] | Iterable[str | PathLike[str] | Mapping[str, Any]]
CLIP = "clip"
"""The column with the number of each clip, which identifies it from the first run to the last."""
# This many clips share a file and a group of rows, which one task reads.
_ROWS = 65_536


def freeze_manifest(
    manifest: Manifest, folder: str, filesystem: fs.FileSystem, *, path_column: str, reserved: Iterable[str]
) -> int:
    """Write a manifest as Parquet files, with the column `clip`: 0, 1, 2 ... A run reads nothing else.

    Args:
        manifest: See `process_manifest`.
        folder: Where the files go; it exists.
        filesystem: The file system of the folder.
        path_column: The column of the paths; it is named `path` in the files, and all paths are absolute.
        reserved: Columns that the manifest must not have, because the results go there.

    Returns:
        How many clips there are.

    Raises:
        FileNotFoundError: There is no such manifest, or no file fits the pattern.
        ValueError: It has no column of paths, a column with a reserved name, or no clips.
    """
    number = part = 0
    for batch in manifest_batches(manifest):
        table = _checked(pa.Table.from_batches([batch]), path_column, {CLIP, *reserved})
        numbers = pa.array(range(number, number + table.num_rows), pa.int64())
        target = f"{folder}/part-{part:06d}.parquet"
        parquet.write_table(table.add_column(0, CLIP, numbers), target, filesystem=filesystem)
        number, part = number + table.num_rows, part + 1
    if not number:
        raise ValueError(f"there are no clips in the manifest {outline(manifest)}")
    return number


def manifest_batches(manifest: Manifest) -> Iterator[pa.RecordBatch]:
    """Return the rows of a manifest, some ten thousand at a time.

    >>> (batch,) = manifest_batches(["a.mp4", {"path": "b.mp4", "label": "cat"}])  # doctest: +SKIP
    >>> batch.to_pydict()  # doctest: +SKIP
    {'path': ['a.mp4', 'b.mp4'], 'label': [None, 'cat']}
    """
    if isinstance(manifest, str | PathLike):
        return _batches_of_name(os.fspath(manifest))
    return iter(_table_of_rows(list(manifest)).to_batches(max_chunksize=_ROWS))


def draw_rows(manifest: Manifest, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Draw rows at random, each as likely as the others, in one pass that holds only these.

    >>> len(draw_rows([f"{number}.mp4" for number in range(1000)], 3))  # doctest: +SKIP
    3
    """
    random, keys, drawn = np.random.default_rng(seed), np.zeros(0), None
    for batch in manifest_batches(manifest):
        rows = pa.Table.from_batches([batch])
        keys = np.concatenate([keys, random.random(batch.num_rows)])
        best = np.argsort(keys, kind="stable")[:count]
        drawn = (rows if drawn is None else pa.concat_tables([drawn, rows])).take(best)
        keys = keys[best]
    return [] if drawn is None else drawn.to_pylist()


def _batches_of_name(name: str) -> Iterator[pa.RecordBatch]:
    if name.endswith((".csv", ".parquet")) or not has_magic(name) or os.path.exists(name):
        return _batches(name, _opened(name))
    paths = sorted((path for path in glob(name, recursive=True) if os.path.isfile(path)), key=natural_key)
    if not paths:
        raise FileNotFoundError(f"no file fits the pattern {shown(name)!r}")
    return iter(pa.table({"path": [os.path.abspath(path) for path in paths]}).to_batches(max_chunksize=_ROWS))


def _batches(name: str, found: dataset.Dataset) -> Iterator[pa.RecordBatch]:
    """Yield the rows; some of what is wrong with a file shows only here."""
    try:
        yield from (batch for batch in found.to_batches(batch_size=_ROWS) if batch.num_rows)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{shown(name)} is not a manifest: {in_short(error)}") from None


def _opened(name: str) -> dataset.Dataset:
    """Open a Parquet file, a folder of them, or a CSV file; also at a URL that pyarrow knows, as `s3://`."""
    form = "csv" if name.endswith(".csv") else "parquet"
    if not is_url(name) and os.path.exists(name) and not (os.path.isfile(name) or os.path.isdir(name)):
        raise ValueError(f"{shown(name)} is not a manifest: it is not a regular file")
    try:
        return dataset.dataset(name, format=form)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no manifest {shown(name)}") from None
    except pa.ArrowInvalid as error:
        allowed = "a .csv or .parquet file, a folder of Parquet files, or a pattern as 'clips/**/*.mp4'"
        raise ValueError(
            f"{shown(name)} is not a manifest: {in_short(error)}; allowed are {allowed}"
        ) from None


def _table_of_rows(rows: list[Any]) -> pa.Table:
    for row in rows:
        if not isinstance(row, str | PathLike | Mapping):
            raise TypeError(f"a clip must be a path or a mapping, not {type(row).__name__}: {outline(row)}")
    dicts = [dict(row) if isinstance(row, Mapping) else {"path": source_name(row)} for row in rows]
    columns = dict.fromkeys(name for row in dicts for name in row)
    return pa.table({name: _column(name, [row.get(name) for row in dicts]) for name in columns})


def _column(name: Any, values: list[Any]) -> pa.Array:
    if not isinstance(name, str):
        raise TypeError(f"the names of columns must be text, not {name!r}")
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, RecursionError, TypeError, UnicodeError) as error:
        raise ValueError(f"the column {name!r} of the manifest cannot be kept: {in_short(error)}") from None


def _checked(table: pa.Table, path_column: str, reserved: set[str]) -> pa.Table:
    names = table.column_names
    if path_column not in names:
        raise ValueError(f"the manifest has no column {path_column!r}, only {', '.join(map(repr, names))}")
    if path_column != "path":
        reserved = {*reserved, "path"}
    taken = sorted(reserved & set(names))
    if taken:
        raise ValueError(f"the manifest must not have the columns {taken}: results go there; rename them")
    if names.count(path_column) > 1:
        raise ValueError(f"the manifest has the column {path_column!r} twice")
    at = names.index(path_column)
    paths = [None if path is None else _absolute(path) for path in table.column(at).to_pylist()]
    return table.set_column(at, "path", pa.array(paths, pa.string()))


def _absolute(path: Any) -> str:
    """Make a path good for workers elsewhere, which have other current directories."""
    if not isinstance(path, str):
        raise ValueError(f"a path in the manifest must be text, not {type(path).__name__}: {outline(path)}")
    return path if is_url(path) else os.path.abspath(path)
