"""A job on Ray Data: shards are its tasks, and its checkpoint says which clips are done."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..arrow import imported
from .process_clip import Row
from .read_manifest import CLIP
from .shards import ShardMaker, Task
from .store import DEATHS, MOST_DEATHS, Store, died

if TYPE_CHECKING:
    import pyarrow as pa

# Ray sets aside this much for the list of finished clips, beside the list itself.
_FILTER_BYTES = 64 * 2**20


class RayRunner:
    """Ray, which may be a cluster; see `on_ray`.

    Args:
        ray: The module.
        num_workers: How many clips may be processed at the same time; as many as there are cores when None.
        progress: Show Ray's progress bars.
    """

    name = "ray"

    def __init__(self, ray: Any, num_workers: int | None, progress: bool):
        self._ray, self._num_workers, self._progress = ray, num_workers, progress
        num_cpus = int(ray.cluster_resources().get("CPU", 1))
        self.num_cpus = num_cpus if num_workers is None else min(num_workers, num_cpus)
        """The number of clips that are processed at the same time."""

    def run(self, task: Task, store: Store, size: int, num_clips: int) -> None:
        """Do all clips that are not done, in shards of this size."""
        from ray.data import DataContext, TaskPoolStrategy
        from ray.data.checkpoint import CheckpointConfig

        checkpoint = CheckpointConfig(
            CLIP,
            store.uri + "/done",
            override_filesystem=store.filesystem,
            delete_checkpoint_on_success=False,
        )
        checkpoint.checkpoint_actor_pool_max_size = 1
        checkpoint.checkpoint_actor_memory_bytes = _FILTER_BYTES
        context = DataContext.get_current().copy()
        context.checkpoint_config, context.enable_progress_bars = checkpoint, self._progress
        # The newer way to read Parquet starts a dozen more processes: seconds before the first clip.
        context.use_datasource_v2 = False

        def process(rows: pa.Table) -> pa.Table:
            maker = ShardMaker(task, store)
            return maker.table(rows, list(watched(rows.to_pylist(), store, maker.process)))

        with DataContext.current(context):
            # `num_cpus=0`, as Ray reserves cores for each step until that ends: the clips need them.
            options = {"num_cpus": 0, "override_num_blocks": len(store.names("manifest"))}
            clips = self._ray.data.read_parquet(
                store.path("manifest"), filesystem=store.filesystem, **options
            )
            clips = clips.repartition(target_num_rows_per_block=size)
            results = clips.map_batches(
                process,
                batch_size=size,
                batch_format="pyarrow",
                num_cpus=1,
                compute=TaskPoolStrategy(size=self._num_workers),
            )
            results.write_parquet(store.make_folder("clips"), filesystem=store.filesystem, compression="zstd")


@contextmanager
def on_ray(num_workers: int | None, progress: bool) -> Iterator[RayRunner]:
    """Use Ray if it is running; otherwise start it, and end it again."""
    imported("ray.data.checkpoint", "processing a manifest with runner='ray' needs Ray, with checkpoints")
    import ray

    was_running, logger = ray.is_initialized(), logging.getLogger("ray.data")
    if not was_running:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    level = logger.level
    try:
        logger.setLevel(level if progress else logging.ERROR)
        yield RayRunner(ray, num_workers, progress)
    finally:
        logger.setLevel(level)
        if not was_running:
            ray.shutdown()


def watched(rows: Sequence[Row], store: Store, process: Callable[[Row], Row]) -> Iterator[Row]:
    """Process the rows of a task. Once a worker has died in it, a note says which clip is being processed.

    Decoders may crash: a clip at which workers die gets a row that says so, and the job continues.
    """
    name = f"{DEATHS}/{rows[0][CLIP]}.json"
    note = store.read_json(name)
    deaths = Counter[str](note["deaths"] if note else {})
    if note and note["at"] is not None:  # the clip at which the last try ended
        deaths[note["at"]] += 1
    store.make_folder(DEATHS)

    def write_note(at: str | None) -> None:
        store.write(name, json.dumps({"at": at, "deaths": deaths}).encode())

    write_note(None)
    for row in rows:
        clip = str(row[CLIP])
        if deaths[clip] >= MOST_DEATHS:
            yield died()
            continue
        if note:
            write_note(clip)
        yield process(row)
    store.filesystem.delete_file(store.path(name))
