"""Sampling many videos side by side: which there are, what each is called, and what became of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import LockFile, clear_partials, in_words, num_cpus
from ...errors import VideoError, printable
from ...marks import FrameNotes, find_notes
from ...read import (
    Fetching,
    check_may_be_local,
    open_video,
    public_name,
    shown,
    source_name,
    videos_in,
)
from .names import manifest_path, shared_stems, stem_for, video_name
from .plan import Plan, image_size
from .report import SampleRow
from .sampler import Sampler

_log = logging.getLogger("pvio_lab")
# What is wrong with one video, and not with the others.
_FAULTS = (VideoError, OSError, ValueError, IndexError)
# How many frames may wait for each thread that writes images.
_WAITING = 3


class Stopped(Exception):
    """The run was ended from outside."""


class _Busy(Exception):
    """Another process is at work on the same images."""


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


@dataclass(frozen=True)
class _Work:
    """The part of the work that is the same for all videos of a run."""

    plan: Plan
    pool: Executor
    """Has the images written."""
    stop: threading.Event
    """Ends the run."""
    progress: bool
    """Whether to show bars."""
    threads: int | None = None
    """How many threads decode each video."""


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
    _clear(directory, [job.stem])
    with ThreadPoolExecutor(num_cpus(), "pvio_lab images") as pool:
        row, error = _sample(_Work(plan, pool, threading.Event(), progress), job)
    if error is not None:
        raise error
    return row


def sample_all(jobs: list[Job], plan: Plan, *, progress: bool) -> list[SampleRow]:
    """Samples many videos, as many at a time as there are processors; gives a row for each.

    Videos that another process is at work on come last, so that processes share the work.
    """
    from tqdm.auto import tqdm

    stems: dict[Path, list[str]] = {}
    for job in jobs:
        stems.setdefault(job.directory, []).append(job.stem)
    for directory, names in stems.items():
        _clear(directory, names)
    lanes = min(num_cpus(), len(jobs))
    with (
        ThreadPoolExecutor(num_cpus(), "pvio_lab images") as pool,
        ThreadPoolExecutor(lanes, "pvio_lab sampling") as crew,
        tqdm(total=len(jobs), desc="sampling", unit="video", disable=not progress) as bar,
    ):
        work = _Work(plan, pool, threading.Event(), progress, max(1, num_cpus() // lanes))
        rows: dict[Job, SampleRow] = {}
        for waits in (False, True):
            left = [job for job in jobs if job not in rows]
            rows |= _run(left, work, crew, bar.update, waits=waits)
    return [rows[job] for job in jobs]


def _clear(directory: Path, stems: list[str]) -> None:
    """Remove what killed runs have left of images and manifests, listing the folder once."""
    clear_partials(directory, tuple(f"{stem}_frame" for stem in stems), is_prefix=True)


def _run(
    jobs: list[Job], work: _Work, crew: Executor, tell: Callable[[int], object], *, waits: bool
) -> dict[Job, SampleRow]:
    """Return a row for each video; unless `waits`, leave out those that another process is at work on."""
    rows = {}

    def sample(job: Job) -> int:
        with suppress(_Busy):
            rows[job], _ = _sample(work, job, waits=waits)
        return int(job in rows)

    futures = [crew.submit(sample, job) for job in jobs]
    try:
        _wait_for(futures, tell)
    except BaseException:
        work.stop.set()
        for future in futures:
            future.cancel()
        raise
    return rows


def _wait_for(futures: list[Future[int]], tell: Callable[[int], object]) -> None:
    """Waits in short pieces, because on Windows a longer wait cannot be interrupted."""
    running = set(futures)
    while running:
        done, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            tell(future.result())


def _sample(work: _Work, job: Job, *, waits: bool = True) -> tuple[SampleRow, Exception | None]:
    """What was done, and what was wrong with the video."""
    begin, done, error = time.perf_counter(), dict[str, Any](), None
    try:
        with closing(_steps(work, job, waits=waits)) as steps:
            for step in steps:
                done |= step
                if work.stop.is_set():
                    raise Stopped
    except _FAULTS as fault:
        error = fault
    seconds = time.perf_counter() - begin
    words = None if error is None else in_words(error)
    return SampleRow(public_name(job.source), error is None, error=words, seconds=seconds, **done), error


def _steps(work: _Work, job: Job, *, waits: bool) -> Generator[dict[str, Any]]:
    """Does the work; after each step, what is known for the report."""
    fetching = work.plan.fetching
    with open_video(job.source, fetching=fetching, num_threads=work.threads) as reader:
        notes = _find_notes(job, work.plan, reader)
        yield {"num_frames": len(reader)}
        (notes or FrameNotes()).check(len(reader))  # first: what they say may be endless
        numbers = work.plan.policy.numbers(reader, notes)
        job.directory.mkdir(parents=True, exist_ok=True)
        with LockFile(manifest_path(job.directory, job.stem)) as lock:
            yield from _taken(lock, job, waits=waits)
            yield from _images(work, job, reader, numbers, notes)


def _taken(lock: LockFile, job: Job, *, waits: bool) -> Iterator[dict[str, Any]]:
    """Take the lock, in steps; another process may be at work on the same images."""
    is_told = False
    while not lock.acquire():
        if not waits:
            raise _Busy
        if not is_told:
            words = "%s is being sampled into %s by %s; waiting for that"
            _log.warning(words, shown(job.source), printable(job.directory), lock.holder())
            is_told = True
        time.sleep(0.2)
        yield {}


def _images(
    work: _Work, job: Job, reader: Any, numbers: NDArray[np.int64], notes: FrameNotes | None
) -> Iterator[dict[str, Any]]:
    from tqdm.auto import tqdm

    size = image_size((reader.shape[2], reader.shape[1]), work.plan.resize)
    target, copies = (job.directory, job.stem), work.plan.copies_notes
    sampler = Sampler(reader, job.source, size, numbers, *target, notes, copies_notes=copies)
    missing = len(sampler.missing)
    kept = len(numbers) - missing
    yield {"manifest": str(sampler.manifest), "num_images": kept, "num_kept": kept}
    bar = tqdm(
        total=missing, desc=printable(job.stem), unit="frame", disable=not work.progress, delay=2, leave=False
    )
    with closing(sampler.write(work.pool, _WAITING * num_cpus())) as written, bar:
        for count, _ in enumerate(written, kept + 1):
            bar.update()
            yield {"num_images": count}


def _find_notes(job: Job, plan: Plan, reader: Any) -> FrameNotes | None:
    notes = find_notes(plan.annotations, job.source, folder=job.folder, reader=reader)
    if notes is None and job.is_alone and plan.policy.only_annotated:
        raise ValueError(f"there are no annotations of {shown(job.source)}; say where by annotations=")
    return notes
