"""`process_manifest`: a job that takes every clip of a manifest through this library, here or on Ray."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, get_args

from ...base import checked_size, line_timer, one_of, positive_integer
from ...read import Fetching
from .local_runner import on_this_machine
from .process_clip import Function, Output, Work, column_types
from .ray_runner import on_ray
from .read_manifest import Manifest, draw_rows, freeze_manifest
from .shards import Task
from .store import LINES, JobReport, Store

if TYPE_CHECKING:
    import pyarrow as pa

Runner = Literal["auto", "local", "ray"]
# A shard is in memory before it is written, one for each core; frames are large, facts are not. Between two
# shards, a core waits for up to 0.2 seconds, as Ray Data looks for finished tasks ten times a second.
_CLIPS_PER_SHARD = {"frames": 16, "images": 64, "info": 256, "function": 256}
_SHARDS_PER_CORE = 4
_JOB = "job.json"


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
    runner: Runner = "auto",
    num_workers: int | None = None,
    profile: bool = False,
    progress: bool = True,
    fetching: Fetching | None = None,
) -> JobReport:
    """Take every clip of a manifest into Parquet shards, here or on Ray; started again, it continues.

    Each core works on one clip and decodes it with one thread. A clip that fails is a row with `error_type`
    and `error_message`, and so is one at which a worker died twice. In the folder `output`, `clips/` has the
    shards, `done/` says which clips they have, as Ray Data's checkpoint does, and `manifest/` has the clips
    with their numbers: the manifest as it was when the job first began. The user names, passwords and queries
    of URLs stay there; the column `path` of the shards has none.

    Ctrl-C ends the workers, and the same call continues. A job may go on with another runner.

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
            "info", the open reader and the row, and returns a mapping. It may be a lambda or come from a
            notebook's cell: cloudpickle takes it to the workers. What it prints is not shown.
        schema: The types of what the function returns. Without it each shard has the types that were found.
        path_column: The column of the manifest with the paths; its name becomes `path`.
        width: The width of the frames, as for `VideoReader`.
        height: The height of the frames, as for `VideoReader`.
        clips_per_shard: How many clips a task takes and a file has; when left out, at most 16 with frames, 64
            with images, otherwise 256, and fewer in a small job. A shard should take a second or more; one
            that takes longer than half a minute is written earlier, but not by Ray.
        runner: "local" for processes of this machine, which start in a second; "ray" for Ray Data, which is
            started for the time of the call if it is not running. "auto" means Ray if you have connected to
            it (`ray.init`, or `RAY_ADDRESS` is set), as you want its cluster then; otherwise "local", as a
            second Ray on one machine would only cost time. The report says which one it was.
        num_workers: How many clips are processed at the same time; when left out, one for each core that this
            process, or Ray, may use.
        profile: Time the lines of the function in the workers, by the package line_profiler, and sum them in
            `report.profile`. That makes a function slower in which many short lines run.
        progress: Show a progress bar.
        fetching: How URLs are fetched, and what may be opened; see `Fetching`. A run that continues may
            have another one; headers reach the workers, and are never written to a file.

    Raises:
        FileNotFoundError: There is no such manifest.
        ImportError: pyarrow, Ray or line_profiler is needed and missing.
        RuntimeError: No worker process can be started.
        ValueError: An option is wrong, or the function cannot go to another process, or the folder has
            another job, or something else.
    """
    chosen = {"num_frames": 8} if sampling is None else dict(sampling)
    work = Work(make, chosen, width, height, function, fetching)
    checked_size(clips_per_shard, "clips_per_shard")
    checked_size(num_workers, "num_workers")
    timer = line_timer(profile, function)
    task = Task(work, schema, profile)
    is_on_ray = _chosen(runner) == "ray"
    opened = on_ray(num_workers, progress) if is_on_ray else on_this_machine(task, num_workers, progress)
    with opened as running:
        store = Store(output)
        num_clips = _begin(store, manifest, path_column, work)
        num_before = store.settle(num_clips)
        if profile:
            store.empty(LINES)
        begun_at, begin = time.time(), time.perf_counter()
        if num_before < num_clips:
            size = clips_per_shard or _usual_size(work, num_clips - num_before, running.num_cpus)
            running.run(task, store, size, num_clips)
        seconds = time.perf_counter() - begin
        num_done = store.settle(num_clips)
    if num_done < num_clips:
        raise RuntimeError(f"{num_clips - num_done} clips of {num_clips} are not done; run the job again")
    return JobReport.of(
        store,
        num_before=num_before,
        begun_at=begun_at,
        num_cpus=running.num_cpus,
        seconds=seconds,
        runner=running.name,
        profile=None if timer is None else store.line_profile(timer.file),
    )


def _chosen(runner: Runner) -> str:
    """Return what "auto" means here."""
    if one_of(runner, get_args(Runner), "runner") != "auto":
        return runner
    ray = sys.modules.get("ray")
    is_connected = ray is not None and ray.is_initialized()
    return "ray" if is_connected or os.environ.get("RAY_ADDRESS") else "local"


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
        progress: Show a progress bar.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.
        options: The options of `process_manifest` that the job will have.

    Raises:
        ImportError: pyarrow, or what the options need, is missing.
        ValueError: An option is wrong.
    """
    rows = draw_rows(manifest, positive_integer(num_clips, "num_clips"), seed)
    with tempfile.TemporaryDirectory(prefix="pvio_lab_") as folder:
        return process_manifest(rows, folder, progress=progress, fetching=fetching, **options)


def _usual_size(work: Work, num_clips: int, num_cpus: int) -> int:
    """Return how many clips a shard has by default: each core has some shards, so that none waits long."""
    kind = work.output if work.function is None or work.output == "info" else "function"
    return min(_CLIPS_PER_SHARD[kind], math.ceil(num_clips / (_SHARDS_PER_CORE * num_cpus)))


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
