"""Manifests of clips: each form that is allowed becomes Parquet, with a number for each clip."""

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
    """Write a manifest as Parquet files, and return how many clips there are. A run reads nothing else.

    The files have the column `clip`: 0, 1, 2 ..., and absolute paths in the column `path`. The manifest must
    not have the columns that are reserved, as results go there.
    """
    number = 0
    for part, rows in enumerate(manifest_tables(manifest)):
        table = _checked(rows, path_column, {CLIP, *reserved})
        numbers = pa.array(range(number, number + table.num_rows), pa.int64())
        target = f"{folder}/part-{part:06d}.parquet"
        parquet.write_table(table.add_column(0, CLIP, numbers), target, filesystem=filesystem)
        number += table.num_rows
    if not number:
        raise ValueError(f"there are no clips in the manifest {outline(manifest)}")
    return number


def draw_rows(manifest: Manifest, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Draw rows at random, each as likely as the others, in one pass that holds only these.

    >>> len(draw_rows([f"{number}.mp4" for number in range(1000)], 3))  # doctest: +SKIP
    3
    """
    random, keys, drawn = np.random.default_rng(seed), np.zeros(0), None
    for rows in manifest_tables(manifest):
        keys = np.concatenate([keys, random.random(rows.num_rows)])
        best = np.argsort(keys, kind="stable")[:count]
        drawn = (rows if drawn is None else pa.concat_tables([drawn, rows])).take(best)
        keys = keys[best]
    return [] if drawn is None else drawn.to_pylist()


def manifest_tables(manifest: Manifest) -> Iterator[pa.Table]:
    """Yield the rows of a manifest, some ten thousand at a time.

    >>> (table,) = manifest_tables(["a.mp4", {"path": "b.mp4", "label": "cat"}])  # doctest: +SKIP
    >>> table.to_pydict()  # doctest: +SKIP
    {'path': ['a.mp4', 'b.mp4'], 'label': [None, 'cat']}
    """
    if not isinstance(manifest, str | PathLike):
        table = _table_of_rows(list(manifest))
    else:
        name = os.fspath(manifest)
        if name.endswith((".csv", ".parquet")) or not has_magic(name) or os.path.exists(name):
            yield from _stored_tables(name)
            return
        paths = sorted(filter(os.path.isfile, glob(name, recursive=True)), key=natural_key)
        if not paths:
            raise FileNotFoundError(f"no file fits the pattern {shown(name)!r}")
        table = pa.table({"path": paths})
    yield from (table.slice(begin, _ROWS) for begin in range(0, table.num_rows, _ROWS))


def _stored_tables(name: str) -> Iterator[pa.Table]:
    """Yield the rows of Parquet files or a CSV file; also at a URL that pyarrow knows, as `s3://`."""
    if not is_url(name) and os.path.exists(name) and not (os.path.isfile(name) or os.path.isdir(name)):
        raise ValueError(f"{shown(name)} is not a manifest: it is not a regular file")
    try:
        found = dataset.dataset(name, format="csv" if name.endswith(".csv") else "parquet")
        for batch in found.to_batches(batch_size=_ROWS):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no manifest {shown(name)}") from None
    except (pa.ArrowException, UnicodeDecodeError) as error:
        allowed = "a .csv or .parquet file, a folder of Parquet files, or a pattern as 'clips/**/*.mp4'"
        fault = f"{shown(name)} is not a manifest: {in_short(error)}"
        raise ValueError(f"{fault}; allowed are {allowed}") from None


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
    """Name the column of paths `path`, and make these good for workers with other current directories."""
    names = table.column_names
    if path_column not in names:
        raise ValueError(f"the manifest has no column {path_column!r}, only {', '.join(map(repr, names))}")
    taken = sorted((reserved | {"path"} - {path_column}) & set(names))
    if taken:
        raise ValueError(f"the manifest must not have the columns {taken}: results go there; rename them")
    if names.count(path_column) > 1:
        raise ValueError(f"the manifest has the column {path_column!r} twice")
    at = names.index(path_column)
    paths = [None if path is None else _absolute(path) for path in table.column(at).to_pylist()]
    return table.set_column(at, "path", pa.array(paths, pa.string()))


def _absolute(path: Any) -> str:
    if not isinstance(path, str):
        raise ValueError(f"a path in the manifest must be text, not {type(path).__name__}: {outline(path)}")
    return path if is_url(path) else os.path.abspath(path)
