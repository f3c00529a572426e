"""`process_manifest`: a job of Ray Data that takes every clip of a manifest through this library."""

from __future__ import annotations

import io
import json
import logging
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING, Any

from ...base import positive_integer
from ...read import Fetching
from ..arrow import imported
from .process_clip import Function, Output, Row, Save, Work, column_types, packed, process_clip, results_table
from .read_manifest import CLIP, Manifest, draw_rows, freeze_manifest
from .store import DEATHS, JobReport, Store

if TYPE_CHECKING:
    import pyarrow as pa

# A shard is in memory before it is written, one for each core; frames are large, facts are not. Between two
# shards, a core waits for up to 0.2 seconds, as Ray Data looks for finished tasks ten times a second.
_CLIPS_PER_SHARD = {"frames": 16, "images": 64, "info": 256, "function": 256}
_SHARDS_PER_CORE = 4
_JOB = "job.json"
# Ray sets aside this much for the list of finished clips, beside the list itself.
_FILTER_BYTES = 64 * 2**20
# A clip is given up when workers have died at it this many times.
_MOST_DEATHS = 2


def process_manifest(
    manifest: Manifest,
    output: str | PathLike[str],
    *,
    make: Output = "frames",
    sampling: Mapping[str, Any] | None = None,
    function: Function | None = None,
    schema: pa.Schema | None = None,
    path_column: str = "path",
    width: int | None = None,
    height: int | None = None,
    clips_per_shard: int | None = None,
    progress: bool = True,
    fetching: Fetching | None = None,
) -> JobReport:
    """Take every clip of a manifest through Ray Data into Parquet shards; started again, it continues.

    If Ray is running (`ray.init`, `RAY_ADDRESS`), it is used; otherwise it is started on this machine for the
    time of the call. Each core works on one clip and decodes it with one thread. A clip that fails is a row
    with `error_type` and `error_message`. In the folder `output`, `clips/` has the shards, `done/` Ray Data's
    checkpoint and `manifest/` the clips with their numbers: the manifest as it was when the job first began.
    The user names, passwords and queries of URLs stay there; the column `path` of the shards has none.

    Args:
        manifest: A `.csv` or `.parquet` file, a folder of Parquet files, a pattern such as
            `"clips/**/*.mp4"`, or paths and mappings. The columns `start_seconds`, `end_seconds`, or
            `start_frame`, `end_frame`, say which part of the video a clip is; all other columns are carried
            along.
        output: A folder that all workers reach, or a URL that pyarrow knows, such as `s3://bucket/folder`.
        make: "frames" for the pixels in the column `frames`, which `video_arrays` reads, "images" for PNG
            files in the folder `images/`, "info" for facts of the video only.
        sampling: Which frames, as for `sample_indices`: one of `num_frames`, `fps`, `step`, `first`, and
            `max_frames`. `{"num_frames": 8}` when left out.
        function: Makes the results instead: takes the frames `(n, H, W, 3)` and the row, or, where `make` is
            "info", the open reader and the row, and returns a mapping. Ray must be able to pickle it.
        schema: The types of what the function returns. Without it each shard has the types that were found.
        path_column: The column of the manifest with the paths; its name becomes `path`.
        width: The width of the frames, as for `VideoReader`.
        height: The height of the frames, as for `VideoReader`.
        clips_per_shard: How many clips a task takes and a file has; when left out, at most 16 with frames, 64
            with images, otherwise 256, and fewer in a small job. A shard should take a second or more.
        progress: Show Ray's progress bars.
        fetching: How URLs are fetched, and what may be opened; see `Fetching`. A run that continues may
            have another one; headers reach the workers, and are never written to a file.

    Raises:
        FileNotFoundError: There is no such manifest.
        ImportError: Ray is missing.
        ValueError: An option is wrong, or the folder has another job, or something else.
    """
    chosen = {"num_frames": 8} if sampling is None else dict(sampling)
    work = Work(make, chosen, width, height, function, fetching)
    if clips_per_shard is not None:
        positive_integer(clips_per_shard, "clips_per_shard")
    with _ray(progress) as ray:
        store = Store(output)
        num_clips = _begin(store, manifest, path_column, work)
        num_before = store.settle(num_clips)
        begun_at, begin = time.time(), time.perf_counter()
        num_cpus = int(ray.cluster_resources().get("CPU", 1))
        if num_before < num_clips:
            size = clips_per_shard or _usual_size(work, num_clips - num_before, num_cpus)
            _run(ray, store, work, schema, size, progress)
        seconds = time.perf_counter() - begin
        num_done = store.settle(num_clips)
    if num_done < num_clips:
        raise RuntimeError(f"{num_clips - num_done} clips of {num_clips} are not done; run the job again")
    return JobReport.of(store, num_before=num_before, begun_at=begun_at, num_cpus=num_cpus, seconds=seconds)


def measure_clips(
    manifest: Manifest,
    *,
    num_clips: int = 300,
    seed: int = 0,
    progress: bool = True,
    fetching: Fetching | None = None,
    **options: Any,
) -> JobReport:
    """Do a job with clips drawn at random, for `estimate_job`. The results themselves are thrown away.

    Args:
        manifest: See `process_manifest`.
        num_clips: How many clips to draw; all, if there are fewer.
        seed: The seed of the drawing.
        progress: Show Ray's progress bars.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.
        options: The options of `process_manifest` that the job will have.

    Raises:
        ImportError: Ray is missing.
        ValueError: An option is wrong.
    """
    rows = draw_rows(manifest, positive_integer(num_clips, "num_clips"), seed)
    with tempfile.TemporaryDirectory(prefix="pvio_lab_") as folder:
        return process_manifest(rows, folder, progress=progress, fetching=fetching, **options)


def _usual_size(work: Work, num_clips: int, num_cpus: int) -> int:
    """Return how many clips a shard has by default: each core has some shards, so that none waits long."""
    kind = work.output if work.function is None or work.output == "info" else "function"
    return min(_CLIPS_PER_SHARD[kind], math.ceil(num_clips / (_SHARDS_PER_CORE * num_cpus)))


@contextmanager
def _ray(progress: bool) -> Iterator[Any]:
    """Use Ray if it is running; otherwise start it, and end it again."""
    imported("ray.data.checkpoint", "processing a manifest needs Ray, with checkpoints")
    import ray

    was_running, logger = ray.is_initialized(), logging.getLogger("ray.data")
    if not was_running:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    level = logger.level
    try:
        logger.setLevel(level if progress else logging.ERROR)
        yield ray
    finally:
        logger.setLevel(level)
        if not was_running:
            ray.shutdown()


def _begin(store: Store, manifest: Manifest, path_column: str, work: Work) -> int:
    """Note what the job is, or check that it is the one that the first run noted; return its clips."""
    function = work.function
    name = None if function is None else getattr(function, "__qualname__", type(function).__qualname__)
    asked = {
        "make": work.output,
        "sampling": dict(work.sampling),
        "width": work.width,
        "height": work.height,
        "function": name,
        "path_column": path_column,
    }
    noted = store.read_json(_JOB)
    if noted is None:
        if any(store.names(folder) for folder in ("", "clips", "done")):
            raise ValueError(f"{store.uri} is not empty, and has no job; take another folder")
        # If this is cut short, there is no note yet, and the next run starts over.
        folder, reserved = store.make_folder("manifest"), column_types(Work(output=work.output))
        store.filesystem.delete_dir_contents(folder)
        count = freeze_manifest(
            manifest, folder, store.filesystem, path_column=path_column, reserved=reserved
        )
        store.write(_JOB, json.dumps({**asked, "num_clips": count}, indent=2).encode())
        return count
    num_clips = noted.pop("num_clips", None)
    if not isinstance(num_clips, int) or num_clips < 1:
        raise ValueError(f"{store.uri}/{_JOB} is damaged: num_clips={num_clips!r}; take another folder")
    if noted != asked:
        differing = [f"{key}={noted.get(key)!r}" for key in asked if noted.get(key) != asked[key]]
        raise ValueError(
            f"{store.uri} has a job with {', '.join(differing)}; repeat it so, or take another folder"
        )
    return num_clips


def _run(ray: Any, store: Store, work: Work, schema: pa.Schema | None, size: int, progress: bool) -> None:
    from ray.data import DataContext
    from ray.data.checkpoint import CheckpointConfig

    checkpoint = CheckpointConfig(
        CLIP, store.uri + "/done", override_filesystem=store.filesystem, delete_checkpoint_on_success=False
    )
    checkpoint.checkpoint_actor_pool_max_size = 1
    checkpoint.checkpoint_actor_memory_bytes = _FILTER_BYTES
    context = DataContext.get_current().copy()
    context.checkpoint_config, context.enable_progress_bars = checkpoint, progress
    # The newer way to read Parquet starts a dozen more processes: seconds before the first clip.
    context.use_datasource_v2 = False

    def process(rows: pa.Table) -> pa.Table:
        save = _saver(store) if work.output == "images" else None
        results = watched(rows.to_pylist(), store, lambda row: packed(process_clip(row, work, save)))
        return results_table(rows, list(results), work, schema)

    with DataContext.current(context):
        # `num_cpus=0`, as Ray reserves cores for each step until that ends: the clips need them.
        options = {"num_cpus": 0, "override_num_blocks": len(store.names("manifest"))}
        clips = ray.data.read_parquet(store.path("manifest"), filesystem=store.filesystem, **options)
        clips = clips.repartition(target_num_rows_per_block=size)
        results = clips.map_batches(process, batch_size=size, batch_format="pyarrow", num_cpus=1)
        results.write_parquet(store.make_folder("clips"), filesystem=store.filesystem, compression="zstd")


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
        if deaths[clip] >= _MOST_DEATHS:
            message = f"the worker died {_MOST_DEATHS} times while it was at this clip"
            yield {"error_type": "WorkerDied", "error_message": message}
            continue
        if note:
            write_note(clip)
        yield process(row)
    store.filesystem.delete_file(store.path(name))


def _saver(store: Store) -> Save:
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
