"""`compare_workers` and `suggest_workers`: the same batches at several numbers and kinds of workers.

The suggestion is found by short probes that become fewer and longer, as in a tournament.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import Any, NamedTuple, get_args

from ..base import checked_seconds, not_negative_integer, num_cpus, positive_integer, some_of
from ..load import VideoCollectionDataLoader, VideoCollectionDataset, WorkerKind
from .reports import AS_FAST, Setting, WorkerChoice, WorkerReport, WorkerRow, cost, rate_text
from .rounds import Step, Stop, last_rows, measured, spread

MakeLoader = Callable[[Setting], Any]

# Each round: which share of the time it takes, how much slower than the best one may be to take part, and how
# many may.
_ROUNDS = ((0.35, 0.0, 99), (0.3, 0.8, 5), (0.35, 0.92, 3))
# Processes are tried in other numbers where the first try came this near to the best.
_NEAR = 0.75


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
    """Measure how many frames a second a loader delivers, at each number and kind of workers.

    They take turns, and each begins at the first video. Starting and the first batch are measured apart; from
    then on batches are counted, in as many loops over the videos as it takes.

    >>> dataset = VideoCollectionDataset(["data_samples/gop2.mp4"])
    >>> report = compare_workers(dataset, num_workers=[0, 2], worker_kinds=["thread"], seconds=0.02,
    ...     repeats=1, progress=False)
    >>> [str(row.setting) for row in report]
    ['the calling thread', '2 threads']

    Args:
        dataset: The videos, and the transform of their frames.
        num_workers: The numbers of workers; 0 is the calling thread.
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
    steps = worker_steps(
        dataset,
        num_workers=num_workers,
        worker_kinds=worker_kinds,
        batch_size=batch_size,
        seconds=seconds,
        repeats=repeats,
        **loader_options,
    )
    rows, _ = last_rows(steps, lambda row: row.setting, lambda row: str(row.setting), progress=progress)
    return WorkerReport(tuple(rows), batch_size, num_cpus())


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
) -> Generator[Step]:
    """Do the same, and yield each result as it comes; closing this, or `stop`, ends all workers."""
    settings = _settings(num_workers, worker_kinds)
    make = _checked_maker(settings[0], dataset, batch_size, loader_options)
    return run_steps(settings, make, checked_seconds(seconds), positive_integer(repeats, "repeats"), stop)


def run_steps(
    settings: Sequence[Setting], make: MakeLoader, seconds: float, repeats: int, stop: Stop | None = None
) -> Generator[Step]:
    """Let the settings take turns; one that fails is not tried again."""
    stop, tallies = stop or Stop(), [WorkerTally(setting, make) for setting in settings]
    rounds = measured(tallies, repeats, lambda tally: tally.measure(seconds, stop), stop)
    for done, tally in enumerate(rounds, 1):
        yield Step(done, repeats * len(tallies), tally.row())


def _checked_maker(first: Setting, dataset: Any, batch_size: int, options: dict[str, Any]) -> MakeLoader:
    """Return a function that makes loaders which differ in their workers only."""

    def make(setting: Setting) -> VideoCollectionDataLoader:
        return VideoCollectionDataLoader(
            dataset, batch_size, setting.num_workers, worker_kind=setting.worker_kind, **options
        )

    make(first)  # wrong options are an error now, not a row
    return make


class Sample(NamedTuple):
    """The result of one piece."""

    num_frames: int
    """Frames that were made, whether delivered or waiting for those before them."""
    seconds: float
    """The time it took."""
    first_batch_seconds: float
    """The time of the first batch, which is not counted."""
    decode: float
    """The time that the workers spent decoding."""
    transform: float
    """The time that they spent transforming."""


def _sum(samples: Sequence[Sample]) -> Sample:
    return Sample(*map(sum, zip(*samples, strict=True)))


class WorkerTally:
    """The results of one setting."""

    def __init__(self, setting: Setting, make: MakeLoader):
        self.setting, self._make = setting, make
        self.samples: list[Sample] = []
        self.error: str | None = None

    @property
    def rate(self) -> float:
        """Frames per second over all samples together, so that the longer ones count for more."""
        seconds = sum(sample.seconds for sample in self.samples)
        return sum(sample.num_frames for sample in self.samples) / seconds if seconds else 0.0

    def measure(self, seconds: float, stop: Stop) -> None:
        """Measure one more piece, unless there was an error."""
        if self.error is None:
            try:
                with warnings.catch_warnings():  # of more processes than processors: tried on purpose
                    warnings.filterwarnings("ignore", message="This DataLoader will create")
                    self.samples.append(take_sample(self._make(self.setting), seconds, stop))
            except Exception as error:
                self.error = f"{type(error).__name__}: {error}"

    def row(self) -> WorkerRow:
        """Return the result so far."""
        kind, count = self.setting.worker_kind, self.setting.num_workers
        if not self.samples:
            return WorkerRow(kind, count, error=self.error)
        frames, seconds, _, decode, transform = _sum(self.samples)
        return WorkerRow(
            kind,
            count,
            **spread([sample.num_frames / sample.seconds for sample in self.samples]),
            first_batch_seconds=statistics.median(sample.first_batch_seconds for sample in self.samples),
            decode_seconds=decode / frames,
            transform_seconds=transform / frames,
            hand_over_seconds=max(max(count, 1) * seconds - decode - transform, 0.0) / frames,
            error=self.error,
        )


def take_sample(loader: Any, seconds: float, stop: Stop) -> Sample:
    """Go over the loader again and again until the time is up, or the end is requested."""
    loops = [_one_loop(loader, seconds, stop)]
    while (left := seconds - sum(loop.seconds for loop in loops)) > 0 and not stop.is_wanted:
        loops.append(_one_loop(loader, left, stop))
    return _sum(loops)._replace(first_batch_seconds=loops[0].first_batch_seconds)


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
        return Sample(len(first["frame_indices"]), end - begin, started - begin, *after)
    spent = after.decode - before.decode, after.transform - before.transform
    return Sample(made - made_before, end - started, started - begin, *spent)


def _settings(num_workers: Sequence[int], worker_kinds: Sequence[Any]) -> list[Setting]:
    given = [worker_kinds] if isinstance(worker_kinds, str) else list(worker_kinds)
    counts = sorted({not_negative_integer(count, "num_workers") for count in num_workers})
    if not given or not counts:
        raise ValueError("num_workers and worker_kinds must name at least one each")
    kinds: list[WorkerKind] = some_of(given, get_args(WorkerKind), "worker_kinds")
    alone = [Setting("thread", 0)] if 0 in counts else []
    return [*alone, *(Setting(kind, count) for kind in kinds for count in counts if count)]


# --- the suggestion ---


def suggest_workers(
    dataset: VideoCollectionDataset, *, seconds: float = 5.0, batch_size: int = 32, **loader_options: Any
) -> WorkerChoice:
    """Answer 'how many workers, and of which kind?' for these videos on this machine, by trying.

    Everything promising is tried briefly, then the better settings again and for longer. It stops early when
    one is far ahead.

    >>> choice = suggest_workers(VideoCollectionDataset(["data_samples/gop2.mp4"]), seconds=0.3)
    >>> choice.worker_kind in ("thread", "process"), choice.frames_per_second > 0
    (True, True)

    Args:
        dataset: The videos, and the transform of their frames.
        seconds: How long it may take, about; starting processes and opening files come on top.
        batch_size: How many frames a batch has.
        loader_options: More options of `VideoCollectionDataLoader`.

    Raises:
        TypeError: The dataset is not a `VideoCollectionDataset`.
        ValueError: An option is out of range, or nothing can be read.
    """
    limit = checked_seconds(seconds)
    make = _checked_maker(Setting("thread", 0), dataset, batch_size, loader_options)
    return hold_tournament(make, limit, num_cpus())


def hold_tournament(make: MakeLoader, seconds: float, cores: int) -> WorkerChoice:
    """Run rounds of probes, until one setting is left or the time is up."""
    tallies = [WorkerTally(setting, make) for setting in first_settings(cores)]
    deadline = time.perf_counter() + seconds
    for share, least, most in _ROUNDS:
        playing = _promising(tallies, least, most)
        if len(playing) < 2:
            break
        _play(playing, share * seconds, deadline)
        processes = tallies[-1]
        if not least and processes.rate >= _NEAR * max(tally.rate for tally in tallies):
            counts = sorted(_counts(cores) - {0, processes.setting.num_workers})
            more = [WorkerTally(Setting("process", count), make) for count in counts]
            _play(more, 0.1 * seconds, deadline)
            tallies += more
    return _choice(tallies, cores)


def first_settings(cores: int) -> list[Setting]:
    """Return the settings that are tried in any case; the last is the one with processes."""
    return [*(Setting("thread", count) for count in sorted(_counts(cores))), Setting("process", cores)]


def _counts(cores: int) -> set[int]:
    return {0, 1, -(-cores // 2), cores, cores + 1, 2 * cores}


def _play(tallies: Sequence[WorkerTally], seconds: float, deadline: float) -> None:
    """Probe each once; past the deadline only those that have not been measured yet."""
    for tally in tallies:
        if not tally.samples or time.perf_counter() < deadline:
            tally.measure(seconds / len(tallies), Stop())


def _promising(tallies: Iterable[WorkerTally], least: float, most: int) -> list[WorkerTally]:
    """Return those that are near the best, the best first; before the first round, all."""
    able = sorted((tally for tally in tallies if tally.error is None), key=lambda tally: -tally.rate)
    return [tally for tally in able if tally.rate >= least * able[0].rate][:most]


def _choice(tallies: list[WorkerTally], cores: int) -> WorkerChoice:
    able = _promising(tallies, 1e-9, len(tallies))
    if not able:
        errors = {str(tally.setting): tally.error for tally in tallies}
        raise ValueError(f"nothing could be measured: {errors}")
    as_fast = [tally for tally in able if tally.rate >= AS_FAST * able[0].rate]
    best = min(as_fast, key=lambda tally: cost(tally.setting))
    rows = sorted((tally.row() for tally in tallies), key=lambda row: -(row.frames_per_second or 0.0))
    kind, count = best.setting.worker_kind, best.setting.num_workers
    return WorkerChoice(count, kind, best.rate, _reason(best, able, cores), tuple(rows))


def _reason(best: WorkerTally, able: list[WorkerTally], cores: int) -> str:
    """Return the others' rates: 'compared with 3 threads 2,690 (99%); 2 processors may be used'."""
    others = [tally for tally in able if tally is not best]
    shown = [tally for tally in others if not tally.setting.num_workers]
    shown += [tally for tally in others if tally not in shown][:2]
    if best.setting.worker_kind == "thread":
        shown += [tally for tally in others if tally.setting.worker_kind == "process"][:1]
    tried = ", ".join(
        f"{tally.setting} {rate_text(tally.rate)} ({tally.rate / best.rate:.0%})"
        for tally in dict.fromkeys(shown)
    )
    processors = f"{cores} processor{'s' * (cores > 1)} may be used"
    return f"compared with {tried}; {processors}" if tried else processors
