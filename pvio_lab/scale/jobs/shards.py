"""The work on a shard, with any runner: clips become rows, and a shard of them becomes a table."""

from __future__ import annotations

import io
import json
import uuid
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ...base import line_timer
from .process_clip import Row, Save, Work, packed, process_clip, results_table
from .read_manifest import CLIP
from .store import LINES, Store

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Task:
    """The work to do on the clips of a job; it is sent to the workers."""

    work: Work
    """The work on each clip."""
    schema: pa.Schema | None = None
    """The types of what a function returns."""
    profile: bool = False
    """The lines of the function are timed."""


class ShardMaker:
    """Processes clips in a worker, and makes tables of them."""

    def __init__(self, task: Task, store: Store):
        work, self._task, self._store = task.work, task, store
        self._save = image_saver(store) if work.output == "images" else None
        self._timer = line_timer(task.profile, work.function)
        self._name = f"{LINES}/{uuid.uuid4().hex}.json"

    def process(self, row: Row) -> Row:
        """Return the results of a clip as they are stored."""
        with self._timer or nullcontext():
            return packed(process_clip(row, self._task.work, self._save))

    def table(self, rows: pa.Table, results: list[Row]) -> pa.Table:
        """Return a shard; how long the lines of the function took so far is noted beside it."""
        if self._timer is not None:
            self._store.write(self._name, json.dumps({"counts": self._timer.counts()}).encode())
        return results_table(rows, results, self._task.work, self._task.schema)


def image_saver(store: Store) -> Save:
    """Return what writes images, a thousand clips per folder: images/000012/12345_frame_000067.png."""

    @cache
    def folder_of(thousand: int) -> str:
        folder = f"images/{thousand:06d}"
        store.make_folder(folder)
        store.clear(folder)
        return folder

    def save(row: Row, number: int, frame: Any) -> str:
        from PIL import Image

        name = f"{folder_of(row[CLIP] // 1000)}/{row[CLIP]}_frame_{number:06d}.png"
        encoded = io.BytesIO()
        Image.fromarray(frame).save(encoded, "png")
        store.write(name, encoded.getvalue())
        return name

    return save
