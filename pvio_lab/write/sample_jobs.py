"""Sampling many videos side by side: which there are, what each is called, and what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import VideoError, printable
from ..read.annotations import find_notes
from ..read.cpus import num_cpus
from ..read.fetching import Fetching
from ..read.frame_notes import FrameNotes
from ..read.functions import is_directory, open_video
from ..read.program import in_words
from ..read.scan import videos_in
from ..read.sources import check_may_be_local, public_name, shown, source_name
from .sample_names import shared_stems, stem_for, video_name
from .sample_report import SampleRow
from .sampler import Sampler
from .sampling_plan import Plan, image_size

# What is wrong with one video, and not with the others.
_FAULTS = (VideoError, OSError, ValueError, IndexError)
# How many frames may wait for each thread that writes images.
_WAITING = 3


class Stopped(Exception):
    """The run was ended from outside."""


@dataclass(frozen=True)
class Job:
    """One video that is to be sampled."""

    source: str
    """The video."""
    directory: Path
    """Where its images go."""
    stem: str
    """What their names begin with."""
    folder: str = ""
    """Where the video is below the top of its tree."""
    is_alone: bool = False
    """Whether it is an error that there are no annotations where some are needed."""


def jobs_of_tree(source_dir: Path, output_dir: Path, fetching: Fetching | None = None) -> list[Job]:
    """A job for each video, in natural order of their names.

    Raises:
        FileNotFoundError: There are none.
        NotADirectoryError: It is a file.
        SourceError: No local path is allowed.
    """
    check_may_be_local(str(source_dir), fetching)
    if source_dir.is_file():
        raise NotADirectoryError(f"{printable(source_dir)} is a file; sample_video takes one")
    if not source_dir.is_dir():
        raise FileNotFoundError(f"there is no directory {printable(source_dir)}")
    videos = [Path(name) for name in videos_in(source_dir)]
    if not videos:
        raise FileNotFoundError(f"there are no videos in the directory {printable(source_dir)}")
    return [_job_of_tree(video, source_dir, output_dir, shared) for video, shared in _with_shared(videos)]


def _with_shared(videos: list[Path]) -> Iterator[tuple[Path, bool]]:
    """Each video, and whether another one in its folder has the same name but for its end."""
    by_folder: dict[Path, list[str]] = {}
    for video in videos:
        by_folder.setdefault(video.parent, []).append(video.name)
    shared = {folder: shared_stems(names) for folder, names in by_folder.items()}
    return ((video, video.name in shared[video.parent]) for video in videos)


def _job_of_tree(video: Path, source_dir: Path, output_dir: Path, is_shared: bool) -> Job:
    folder = video.parent.relative_to(source_dir)
    directory = output_dir / folder
    return Job(
        source_name(video), directory, stem_for(directory, video.name, is_shared=is_shared), str(folder)
    )


def sample_one(source: str, directory: Path, plan: Plan, *, progress: bool) -> SampleRow:
    """Samples one video; what is wrong with it is raised."""
    job = Job(source, directory, stem_for(directory, video_name(source)), is_alone=True)
    with ThreadPoolExecutor(num_cpus(), "pvio_lab images") as pool:
        row, error = _sample(job, plan, pool, threading.Event(), progress)
    if error is not None:
        raise error
    return row


def sample_all(jobs: list[Job], plan: Plan, *, progress: bool) -> list[SampleRow]:
    """Samples many videos, as many at a time as there are processors; gives a row for each."""
    from tqdm.auto import tqdm

    lanes = min(num_cpus(), len(jobs))
    stop = threading.Event()
    with (
        ThreadPoolExecutor(num_cpus(), "pvio_lab images") as pool,
        ThreadPoolExecutor(lanes, "pvio_lab sampling") as crew,
        tqdm(total=len(jobs), desc="sampling", unit="video", disable=not progress) as bar,
    ):
        threads = max(1, num_cpus() // lanes)
        futures = [crew.submit(_sample, job, plan, pool, stop, progress, threads) for job in jobs]
        try:
            _wait_for(futures, bar.update)
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result()[0] for future in futures]


def _wait_for(futures: list[Future[Any]], tell: Callable[[int], object]) -> None:
    """Waits in short pieces, because on Windows a longer wait cannot be interrupted."""
    running = set(futures)
    while running:
        done, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
            tell(1)


def _sample(
    job: Job,
    plan: Plan,
    pool: Executor,
    stop: threading.Event,
    progress: bool,
    threads: int | None = None,
) -> tuple[SampleRow, Exception | None]:
    """What was done, and what was wrong with the video."""
    begin, done, error = time.perf_counter(), dict[str, Any](), None
    try:
        with closing(_steps(job, plan, pool, progress, threads)) as steps:
            for step in steps:
                done |= step
                if stop.is_set():
                    raise Stopped
    except _FAULTS as fault:
        error = fault
    seconds = time.perf_counter() - begin
    words = None if error is None else in_words(error)
    return SampleRow(public_name(job.source), error is None, error=words, seconds=seconds, **done), error


def _steps(
    job: Job, plan: Plan, pool: Executor, progress: bool, threads: int | None
) -> Generator[dict[str, Any]]:
    """Does the work; after each step, what is known for the report."""
    from tqdm.auto import tqdm

    options: dict[str, Any] = {} if is_directory(job.source, plan.fetching) else {"num_threads": threads}
    with open_video(job.source, fetching=plan.fetching, **options) as reader:
        notes = _find_notes(job, plan, reader)
        yield {"num_frames": len(reader)}
        if notes is not None:
            notes.check(len(reader))
        numbers = plan.policy.numbers(reader, notes)
        size = image_size((reader.shape[2], reader.shape[1]), plan.resize)
        target = (job.directory, job.stem)
        sampler = Sampler(reader, job.source, size, numbers, *target, notes, copies_notes=plan.copies_notes)
        missing = len(sampler.missing)
        kept = len(numbers) - missing
        yield {"manifest": str(sampler.manifest), "num_images": kept, "num_kept": kept}
        bar = tqdm(total=missing, desc=job.stem, unit="frame", disable=not progress, delay=2, leave=False)
        with closing(sampler.write(pool, _WAITING * num_cpus())) as written, bar:
            for count, _ in enumerate(written, kept + 1):
                bar.update()
                yield {"num_images": count}


def _find_notes(job: Job, plan: Plan, reader: Any) -> FrameNotes | None:
    notes = find_notes(plan.annotations, job.source, folder=job.folder, reader=reader)
    if notes is None and job.is_alone and plan.policy.only_annotated:
        raise ValueError(f"there are no annotations of {shown(job.source)}; say where by annotations=")
    return notes
