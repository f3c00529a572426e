"""The sampling of one video: the plan, which is the same for all, the work, and the row that reports it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ...base import LockFile, Report, in_words, positive_integer
from ...errors import VideoError, printable
from ...marks import FrameNotes, find_notes
from ...read import Fetching, open_video, public_name, sample_indices, shown
from .image_manifest import Origin, SampledImages, manifest_path

Resize = int | tuple[int, int] | None

_log = logging.getLogger("pvio_lab")
# Faults of one video, which do not concern the others.
_FAULTS = (VideoError, OSError, ValueError, IndexError)
_PAUSE_SECONDS = 0.2


class Stopped(Exception):
    """The end of a run, from outside."""


class Busy(Exception):
    """Another run is at work on the same images."""


@dataclass(frozen=True)
class SampleRow:
    """The images sampled from one video."""

    source: str
    """The video, as it was given or found."""
    ok: bool
    """Every frame asked for has its image."""
    num_frames: int | None = None
    """The number of frames of the video; None if it cannot be opened."""
    num_images: int = 0
    """The number of frames asked for that have an image now."""
    num_kept: int = 0
    """The number of these that had one before."""
    manifest: str | None = None
    """The file that says what each image shows; the images are beside it."""
    error: str | None = None
    """The reason why something is missing."""
    seconds: float = 0.0
    """The time it took."""


@dataclass(frozen=True)
class SampleReport(Report[SampleRow]):
    """The images that were sampled, one row per video; a table in a notebook."""

    drawn_as = "samples"
    rows: tuple[SampleRow, ...]
    """One row per video, in the order of their names."""

    @property
    def bad(self) -> tuple[SampleRow, ...]:
        """The videos of which something is missing."""
        return tuple(row for row in self.rows if not row.ok)

    @property
    def num_images(self) -> int:
        """The number of images there are."""
        return sum(row.num_images for row in self.rows)

    def __repr__(self) -> str:
        lines = [f"SampleReport({len(self)} videos, {self.num_images} images, {len(self.bad)} bad)"]
        lines += [f"{printable(row.source)}: {row.error} ({row.num_images} images)" for row in self.bad[:10]]
        return "\n  ".join(lines if len(self.bad) <= 10 else [*lines, "..."])


class Policy(NamedTuple):
    """The choice of frames: the options of `sample_indices`."""

    start: int
    end: int | None
    step: int
    fps: float | None
    num_frames: int | None
    first: int | None
    max_frames: int | None
    only: Iterable[int] | None


@dataclass
class Plan:
    """The work to be done on every video, as `sample_video` has it, checked before any is opened.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option is out of range, or two options contradict each other.
    """

    policy: Policy
    only_annotated: bool
    resize: Resize
    annotations: Any  # as they were given
    copy_annotations: bool
    fetching: Fetching | None

    def __post_init__(self) -> None:
        only = self.policy.only
        if isinstance(only, Iterator):  # every video needs it
            self.policy = self.policy._replace(only=tuple(only))
        if self.only_annotated and (other := _other_policy(self.policy)):
            raise ValueError(f"only_annotated and {other} are different policies: give one of them")
        no_video = SimpleNamespace(num_frames=0, fps=25.0)
        self._chosen(no_video, () if isinstance(only, Iterable) else only)
        self.resize = _checked_resize(self.resize)

    def numbers(self, reader: Any, notes: FrameNotes | None) -> list[int]:
        """Return the frames to take of a video, in order, each once."""
        annotated = notes.numbers() if notes and self.only_annotated else ()
        return self._chosen(reader, annotated if self.only_annotated else self.policy.only)

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the images of a video of this size."""
        if self.resize is None:
            return width, height
        if isinstance(self.resize, tuple):
            return self.resize
        shorter = min(width, height)
        return max(1, round(width * self.resize / shorter)), max(1, round(height * self.resize / shorter))

    def _chosen(self, reader: Any, only: Iterable[int] | None) -> list[int]:
        policy = self.policy._replace(only=only)
        numbers: list[int] = np.unique(sample_indices(reader, **policy._asdict())).tolist()
        return numbers


def _other_policy(policy: Policy) -> str | None:
    if policy.step != 1:
        return "step"
    given = (name for name in ("fps", "num_frames", "first", "only") if getattr(policy, name) is not None)
    return next(given, None)


def _checked_resize(resize: Any) -> Resize:
    if resize is None:
        return None
    if not isinstance(resize, tuple | list):
        return positive_integer(resize, "resize")
    if len(resize) != 2:
        raise ValueError(f"resize={resize!r} must be a width and a height")
    width, height = (positive_integer(each, "resize") for each in resize)
    return width, height


@dataclass(frozen=True)
class Job:
    """A video that is to be sampled."""

    source: str
    name: str  # the last part of its path or URL
    directory: Path  # of its images
    stem: str  # the beginning of their names
    folder: str | None = None  # of the video, below the top of its tree; None if it is sampled by itself


@dataclass(frozen=True)
class Sampler:
    """The part of the work that is the same for all videos of a run."""

    plan: Plan
    pool: Executor  # writes the images
    most_waiting: int  # so many frames of a video may wait for that
    progress: bool  # show bars
    num_threads: int | None = None  # that decode each video
    stop: threading.Event = field(default_factory=threading.Event)  # ends the run

    def sample(self, job: Job, *, waits: bool = True) -> tuple[SampleRow, Exception | None]:
        """Sample one video; return its row, and the error that says why something is missing.

        Raises:
            Busy: Another run is at work on these images, and this one should not wait.
            Stopped: The run was ended.
        """
        begin, error = time.perf_counter(), None
        facts: dict[str, Any] = {"source": public_name(job.source)}
        try:
            self._sample(job, facts, waits=waits)
        except _FAULTS as fault:
            error = fault
        seconds = time.perf_counter() - begin
        message = None if error is None else in_words(error)
        return SampleRow(ok=error is None, error=message, seconds=seconds, **facts), error

    def _sample(self, job: Job, facts: dict[str, Any], *, waits: bool) -> None:
        """Do the work, and put what the row says into `facts` as soon as it is known."""
        plan = self.plan
        with open_video(job.source, fetching=plan.fetching, num_threads=self.num_threads) as reader:
            notes = find_notes(plan.annotations, job.source, folder=job.folder or "", reader=reader)
            if notes is None and job.folder is None and plan.only_annotated:
                raise ValueError(
                    f"there are no annotations of {shown(job.source)}; say where by annotations="
                )
            facts["num_frames"] = reader.info.num_frames
            if notes is not None:  # first: what they say may be endless
                notes.check(facts["num_frames"])
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
                message = "%s is being sampled into %s by %s; waiting for that"
                _log.warning(message, shown(job.source), printable(job.directory), lock.holder())
                is_announced = True
            if self.stop.wait(_PAUSE_SECONDS):
                raise Stopped

    def _write(
        self, job: Job, reader: Any, numbers: list[int], notes: FrameNotes | None, facts: dict[str, Any]
    ) -> None:
        """Write the images that are missing."""
        from tqdm.auto import tqdm

        info = reader.info
        size = self.plan.image_size(info.width, info.height)
        origin = Origin(job.name, info.size_bytes, info.num_frames, (info.width, info.height), size)
        images = SampledImages(
            job.directory,
            job.stem,
            facts["source"],
            origin,
            reader.times[0],
            notes or FrameNotes(),
            numbers,
            with_shares=self.plan.copy_annotations and notes is not None,
        )
        num_kept = len(numbers) - len(images.missing)
        facts |= {"manifest": str(images.manifest), "num_images": num_kept, "num_kept": num_kept}
        frames = reader.stream(images.missing, size=size)
        bar = tqdm(
            total=len(images.missing),
            desc=printable(job.stem),
            unit="frame",
            disable=not self.progress,
            delay=2,
            leave=False,
        )
        with closing(images.write(frames, self.pool, self.most_waiting)) as written, bar:
            for _ in written:
                bar.update()
                facts["num_images"] += 1
                if self.stop.is_set():
                    raise Stopped
