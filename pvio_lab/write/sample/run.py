"""The sampling of one video, or of many side by side."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...base import LockFile, clear_partials, in_words, num_cpus, waiting
from ...errors import VideoError, printable
from ...marks import FrameNotes, find_notes
from ...read import open_video, public_name, shown
from ..images import in_order, video_name
from .manifest import Inventory, Origin, manifest_path
from .plan import Job, Plan
from .report import SampleRow

_log = logging.getLogger("pvio_lab")
# Faults of one video, which do not concern the others.
_FAULTS = (VideoError, OSError, ValueError, IndexError)
# So many frames may wait for each thread that writes images.
_WAITING = 3
_PAUSE_SECONDS = 0.2


class Stopped(Exception):
    """The end of a run, from outside."""


class Busy(Exception):
    """Another run is at work on the same images."""


def sample_one(job: Job, plan: Plan, *, progress: bool) -> SampleRow:
    """Sample one video; what is wrong with it is raised."""
    _clear([job])
    with ThreadPoolExecutor(num_cpus(), "pvio_lab images") as pool:
        row, error = Run(plan, pool, progress).sample(job)
    if error is not None:
        raise error
    return row


def sample_all(jobs: list[Job], plan: Plan, *, progress: bool) -> list[SampleRow]:
    """Sample many videos, as many at a time as there are processors; return a row for each.

    Videos that another process is at work on come last, so that processes share the work.
    """
    from tqdm.auto import tqdm

    _clear(jobs)
    abreast = min(num_cpus(), len(jobs))
    rows: dict[Job, SampleRow] = {}
    with (
        ThreadPoolExecutor(num_cpus(), "pvio_lab images") as pool,
        ThreadPoolExecutor(abreast, "pvio_lab sampling") as samplers,
        tqdm(total=len(jobs), desc="sampling", unit="video", disable=not progress) as bar,
    ):
        run = Run(plan, pool, progress, max(1, num_cpus() // abreast))

        def sample(job: Job, waits: bool) -> bool:
            try:
                rows[job], _ = run.sample(job, waits=waits)
            except Busy:
                return False
            return True

        try:
            for waits in (False, True):
                done: queue.Queue[Future[bool]] = queue.Queue()
                left = [job for job in jobs if job not in rows]
                for job in left:
                    samplers.submit(sample, job, waits).add_done_callback(done.put)
                for _ in left:
                    bar.update(waiting.take(done).result())
        except BaseException:
            run.stop.set()
            samplers.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[job] for job in jobs]


def _clear(jobs: Iterable[Job]) -> None:
    """Remove what killed runs have left of images and manifests, listing each folder once."""
    names: dict[Path, list[str]] = {}
    for job in jobs:
        names.setdefault(job.directory, []).append(f"{job.stem}_frame")
    for directory, beginnings in names.items():
        clear_partials(directory, tuple(beginnings), is_prefix=True)


@dataclass(frozen=True)
class Run:
    """The part of the work that is the same for all videos."""

    plan: Plan
    """The work to be done on each video."""
    pool: Executor
    """Writes the images."""
    progress: bool
    """Show bars."""
    num_threads: int | None = None
    """The number of threads that decode each video."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Ends the run."""

    def sample(self, job: Job, *, waits: bool = True) -> tuple[SampleRow, Exception | None]:
        """Sample one video; return its row, and the error that says why something is missing.

        Raises:
            Busy: Another run is at work on these images, and this one should not wait.
            Stopped: The run was ended.
        """
        begin, facts, error = time.perf_counter(), dict[str, Any](), None
        try:
            self._sample(job, facts, waits=waits)
        except _FAULTS as fault:
            error = fault
        seconds = time.perf_counter() - begin
        words = None if error is None else in_words(error)
        return SampleRow(public_name(job.source), error is None, error=words, seconds=seconds, **facts), error

    def _sample(self, job: Job, facts: dict[str, Any], *, waits: bool) -> None:
        """Do the work, and put what the row says into `facts` as soon as it is known."""
        plan = self.plan
        with open_video(job.source, fetching=plan.fetching, num_threads=self.num_threads) as reader:
            notes = find_notes(plan.annotations, job.source, folder=job.folder or "", reader=reader)
            if notes is None and job.folder is None and plan.only_annotated:
                raise ValueError(
                    f"there are no annotations of {shown(job.source)}; say where by annotations="
                )
            facts["num_frames"] = len(reader)
            if notes is not None:  # first: what they say may be endless
                notes.check(len(reader))
            numbers = plan.numbers(reader, notes)
            job.directory.mkdir(parents=True, exist_ok=True)
            with LockFile(manifest_path(job.directory, job.stem)) as lock:
                self._take_turn(lock, job, waits=waits)
                self._write(job, reader, numbers, notes, facts)

    def _take_turn(self, lock: LockFile, job: Job, *, waits: bool) -> None:
        is_announced = False
        while not lock.acquire():
            if not waits:
                raise Busy
            if not is_announced:
                words = "%s is being sampled into %s by %s; waiting for that"
                _log.warning(words, shown(job.source), printable(job.directory), lock.holder())
                is_announced = True
            if self.stop.wait(_PAUSE_SECONDS):
                raise Stopped

    def _write(
        self, job: Job, reader: Any, numbers: list[int], notes: FrameNotes | None, facts: dict[str, Any]
    ) -> None:
        """Write the images that are missing; however it ends, the manifest says what there is."""
        from tqdm.auto import tqdm

        own = reader.shape[2], reader.shape[1]
        size = self.plan.image_size(*own)
        origin = Origin(video_name(job.source), reader.info.size_bytes, len(reader), own, size)
        times, _ = reader.times
        images = Inventory(job.directory, job.stem, job.source, origin, times, notes or FrameNotes())
        has_shares = self.plan.copy_annotations and notes is not None
        missing = images.missing(numbers, with_shares=has_shares)
        num_kept = len(numbers) - len(missing)
        facts |= {"manifest": str(images.manifest), "num_images": num_kept, "num_kept": num_kept}
        stream = reader.stream(missing, size=size)
        jobs = (partial(images.save, number, next(stream)) for number in missing)
        name = printable(job.stem)
        bar = tqdm(
            total=len(missing), desc=name, unit="frame", disable=not self.progress, delay=2, leave=False
        )
        is_complete = False
        images.begin(missing)
        try:
            for number in set(numbers).difference(missing):
                images.save_share(number)
            with closing(in_order(jobs, self.pool, _WAITING * num_cpus())) as saved, bar:
                for number in saved:
                    images.save_share(number)
                    bar.update()
                    facts["num_images"] += 1
                    if self.stop.is_set():
                        raise Stopped
            is_complete = True
        finally:
            images.end(is_complete=is_complete)
