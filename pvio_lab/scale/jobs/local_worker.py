"""A worker process of a local job: it does one clip after another, and writes shards when it is told to."""

from __future__ import annotations

import base64
import os
import pickle
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Answer = tuple[Any, str | None]
"""The result, and the pickled error if one was raised."""


def service() -> tuple[None, Callable[[list[Any]], Answer]]:
    """Return what answers the questions of `local_runner`."""
    # A worker has one core, as with Ray. This has to be set before numpy and torch are imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from . import shards

    worker = _Worker(shards)

    def answer(question: list[Any]) -> Answer:
        name, *given = question
        try:
            return getattr(worker, name)(*given), None
        except Exception as error:  # the other process has to know any of them
            return None, _portable(error)

    return None, answer


class _Worker:
    """The shard in progress; each method answers one kind of question."""

    def __init__(self, shards: Any):
        from ..arrow import pa, parquet
        from .store import Store, died

        self._shards, self._store_class, self._died = shards, Store, died
        self._concat, self._read = pa.concat_tables, parquet.read_table
        self._rows: list[pa.Table] = []
        self._results: list[dict[str, Any]] = []

    def begin(self, output: str, search: list[str], task: str) -> None:
        """Get ready: everything that can be imported in the other process can be imported here."""
        sys.path += [place for place in search if place not in sys.path]
        self._store = self._store_class(output)
        self._maker = self._shards.ShardMaker(pickle.loads(base64.b64decode(task)), self._store)
        # Most clips follow each other, so they are in one part, or in two.
        self._part = lru_cache(2)(lambda name: self._read(name, filesystem=self._store.filesystem))

    def clip(self, part: str, place: int, is_given_up: bool) -> str | None:
        """Do the clip in this row of a part of the manifest; return its error, if it has one."""
        rows = self._part(self._store.path(f"manifest/{part}")).slice(place, 1)
        (row,) = rows.to_pylist()
        result = self._died() if is_given_up else self._maker.process(row)
        self._rows.append(rows)
        self._results.append(result)
        error: str | None = result["error_type"]
        return error

    def write(self, name: str) -> None:
        """Write the clips done so far as a shard."""
        rows, results = self._concat(self._rows), self._results
        self._rows, self._results = [], []
        self._store.commit(name, self._maker.table(rows, results))


def _portable(error: Exception) -> str:
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        pickled = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return base64.b64encode(pickled).decode()
