"""`compare_workers`: the same batches at several numbers and kinds of workers."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, get_args

from ..base import not_negative_integer, num_cpus, positive_integer
from ..load import Spent, VideoCollectionDataLoader, VideoCollectionDataset, WorkerKind
from .reports import Setting, WorkerReport, WorkerRow
from .stopping import Stop, checked_seconds

MakeLoader = Callable[[Setting], Any]


class WorkerStep(NamedTuple):
    """What is known after one more piece was measured."""

    done: int
    """How many pieces are done."""
    total: int
    """How many there are."""
    row: WorkerRow
    """What all pieces of this setting say so far."""


def compare_workers(
    dataset: VideoCollectionDataset,
    *,
    num_workers: Sequence[int] = (0, 1, 2, 4),
    worker_kinds: Sequence[WorkerKind] = ("thread", "process"),
    batch_size: int = 32,
    seconds: float = 1.0,
    repeats: int = 3,
    progress: bool = True,
    **loader_options: Any,
) -> WorkerReport:
    """Measures how many frames a second a loader delivers, at each number and kind of workers.

    They take turns, and each begins at the first video. Starting and the first batch are measured apart; from
    then on the batches are counted, in as many loops over the videos as it takes.

    >>> dataset = VideoCollectionDataset(["data_samples/gop2.mp4"])
    >>> report = compare_workers(dataset, num_workers=[0, 2], worker_kinds=["thread"], seconds=0.02,
    ...     repeats=1, progress=False)
    >>> [str(row.setting) for row in report]
    ['the calling thread', '2 threads']

    Args:
        dataset: The videos, and what becomes of their frames.
        num_workers: How many workers; 0 is the calling thread.
        worker_kinds: "thread", "process" or both.
        batch_size: How many frames a batch has.
        seconds: How long each piece takes.
        repeats: How many pieces there are for each.
        progress: Show a progress bar.
        loader_options: More options of `VideoCollectionDataLoader`.

    Raises:
        TypeError: The dataset is not a `VideoCollectionDataset`.
        ValueError: An option is out of range, or there are no frames.
    """
    from tqdm.auto import tqdm

    rows: dict[Setting, WorkerRow] = {}
    steps = worker_steps(
        dataset,
        num_workers=num_workers,
        worker_kinds=worker_kinds,
        batch_size=batch_size,
        seconds=seconds,
        repeats=repeats,
        **loader_options,
    )
    with closing(steps), tqdm(desc="measuring", unit="piece", leave=False, disable=not progress) as bar:
        for step in steps:
            rows[step.row.setting], bar.total = step.row, step.total
            bar.set_postfix_str(str(step.row.setting), refresh=False)
            bar.update(step.done - bar.n)
    return WorkerReport(tuple(rows.values()), batch_size, num_cpus())


def worker_steps(
    dataset: VideoCollectionDataset,
    *,
    num_workers: Sequence[int] = (0, 1, 2, 4),
    worker_kinds: Sequence[WorkerKind] = ("thread", "process"),
    batch_size: int = 32,
    seconds: float = 1.0,
    repeats: int = 3,
    stop: Stop | None = None,
    **loader_options: Any,
) -> Generator[WorkerStep]:
    """The same, one result after the other as they come; closing it, or `stop`, ends all workers."""
    settings = _settings(num_workers, worker_kinds)
    make = loader_maker(dataset, batch_size, loader_options)
    make(settings[0])  # wrong options are an error now, not a row
    return run_steps(settings, make, checked_seconds(seconds), positive_integer(repeats, "repeats"), stop)


def run_steps(
    settings: Sequence[Setting], make: MakeLoader, seconds: float, repeats: int, stop: Stop | None = None
) -> Generator[WorkerStep]:
    """In each repeat another one goes first; one that fails is not asked again."""
    stop, tallies = stop or Stop(), [WorkerTally(setting) for setting in settings]
    for repeat in range(repeats):
        first = repeat % len(tallies)
        for turn, tally in enumerate(tallies[first:] + tallies[:first]):
            if not stop.is_wanted:
                tally.measure(make, seconds, stop)
            if stop.is_wanted:
                return
            yield WorkerStep(repeat * len(tallies) + turn + 1, repeats * len(tallies), tally.row())


def loader_maker(dataset: Any, batch_size: int, options: dict[str, Any]) -> MakeLoader:
    """Makes loaders that differ in their workers only."""

    def make(setting: Setting) -> VideoCollectionDataLoader:
        return VideoCollectionDataLoader(
            dataset, batch_size, setting.num_workers, worker_kind=setting.worker_kind, **options
        )

    return make


class Sample(NamedTuple):
    """What one piece has shown."""

    num_frames: float
    """Frames that were made, whether delivered or waiting for those before them."""
    seconds: float
    """In so much time."""
    first_batch_seconds: float
    """How long the first batch took, which is not counted."""
    spent: Spent
    """What the workers did in that time."""


class WorkerTally:
    """What was measured with one setting."""

    def __init__(self, setting: Setting):
        self.setting = setting
        self.samples: list[Sample] = []
        self.error: str | None = None

    def measure(self, make: MakeLoader, seconds: float, stop: Stop | None = None) -> None:
        """One more piece, unless there was an error."""
        if self.error is None:
            try:
                with _without_advice():
                    self.samples.append(take_sample(make(self.setting), seconds, stop or Stop()))
            except Exception as error:
                self.error = f"{type(error).__name__}: {error}"

    def row(self) -> WorkerRow:
        """What is known so far."""
        if not self.samples:
            return WorkerRow(self.setting.worker_kind, self.setting.num_workers, error=self.error)
        rates = [sample.num_frames / sample.seconds for sample in self.samples]
        frames = sum(sample.num_frames for sample in self.samples)
        lanes = max(self.setting.num_workers, 1) * sum(sample.seconds for sample in self.samples)
        decode = sum(sample.spent.decode for sample in self.samples)
        transform = sum(sample.spent.transform for sample in self.samples)
        return WorkerRow(
            self.setting.worker_kind,
            self.setting.num_workers,
            frames_per_second=statistics.median(rates),
            low=min(rates),
            high=max(rates),
            first_batch_seconds=statistics.median(sample.first_batch_seconds for sample in self.samples),
            decode_seconds=decode / frames,
            transform_seconds=transform / frames,
            hand_over_seconds=max(lanes - decode - transform, 0.0) / frames,
            error=self.error,
        )


def take_sample(loader: Any, seconds: float, stop: Stop | None = None) -> Sample:
    """Goes over the loader again and again until the time is up, or somebody wants it to stop."""
    stop, total = stop or Stop(), Sample(0, 0.0, 0.0, Spent())
    while total.seconds < seconds and not stop.is_wanted:
        loop = _one_loop(loader, seconds - total.seconds, stop)
        first = total.first_batch_seconds or loop.first_batch_seconds
        total = Sample(
            total.num_frames + loop.num_frames,
            total.seconds + loop.seconds,
            first,
            Spent(*map(sum, zip(total.spent, loop.spent, strict=True))),
        )
    return total


def _one_loop(loader: Any, seconds: float, stop: Stop) -> Sample:
    begin = time.perf_counter()
    with closing(iter(loader)) as batches:
        first = next(batches, None)
        if first is None:
            raise ValueError("there are no frames in these videos, so there is nothing to measure")
        progress = loader.progress
        started, before, made_before = time.perf_counter(), progress.spent, progress.num_frames
        is_alone = True
        for _ in batches:
            is_alone = False
            if stop.is_wanted or time.perf_counter() - started >= seconds:
                break
        end, after, made = time.perf_counter(), progress.spent, progress.num_frames
    if is_alone:
        return Sample(len(first["frame_indices"]), end - begin, started - begin, after)
    spent = Spent(after.decode - before.decode, after.transform - before.transform)
    return Sample(made - made_before, end - started, started - begin, spent)


def _settings(num_workers: Sequence[int], worker_kinds: Sequence[Any]) -> list[Setting]:
    given: Any = [worker_kinds] if isinstance(worker_kinds, str) else worker_kinds
    kinds: list[WorkerKind] = list(dict.fromkeys(given))
    for kind in kinds:
        if kind not in get_args(WorkerKind):
            raise ValueError(f"worker_kinds: there is no {kind!r}; choose from 'thread', 'process'")
    counts = sorted({not_negative_integer(count, "num_workers") for count in num_workers})
    if not kinds or not counts:
        raise ValueError("num_workers and worker_kinds must name at least one each")
    alone = [Setting("thread", 0)] if 0 in counts else []
    return [*alone, *(Setting(kind, count) for kind in kinds for count in counts if count)]


@contextmanager
def _without_advice() -> Iterator[None]:
    """Torch warns of more processes than processors, which is what is tried here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield
