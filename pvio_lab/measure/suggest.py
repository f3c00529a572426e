"""`suggest_workers`: short probes that become fewer and longer, as in a tournament."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ..base import num_cpus
from ..load import VideoCollectionDataset
from .reports import AS_FAST, Setting, WorkerChoice, cost, rate_text
from .stopping import checked_seconds
from .workers import MakeLoader, WorkerTally, loader_maker

# Each round: which share of the time it takes, how much slower than the best one may be to take part, and how
# many may.
_ROUNDS = ((0.35, 0.0, 99), (0.3, 0.8, 5), (0.35, 0.92, 3))
# Processes are tried in other numbers where the first try came so near to the best.
_NEAR = 0.75


def suggest_workers(
    dataset: VideoCollectionDataset, *, seconds: float = 5.0, batch_size: int = 32, **loader_options: Any
) -> WorkerChoice:
    """Answers 'how many workers, and of which kind?' for these videos on this machine, by trying.

    All that is promising is tried briefly, then the better ones again and longer. It stops early when one is
    far ahead.

    >>> choice = suggest_workers(VideoCollectionDataset(["data_samples/gop2.mp4"]), seconds=0.3)
    >>> choice.worker_kind in ("thread", "process"), choice.frames_per_second > 0
    (True, True)

    Args:
        dataset: The videos, and what becomes of their frames.
        seconds: How long it may take, about; starting processes and opening files come on top.
        batch_size: How many frames a batch has.
        loader_options: More options of `VideoCollectionDataLoader`.

    Raises:
        TypeError: The dataset is not a `VideoCollectionDataset`.
        ValueError: An option is out of range, or nothing can be read.
    """
    limit, make = checked_seconds(seconds), loader_maker(dataset, batch_size, loader_options)
    make(Setting("thread", 0))  # wrong options are an error now
    return hold_tournament(make, limit, num_cpus())


def hold_tournament(make: MakeLoader, seconds: float, cores: int) -> WorkerChoice:
    """Rounds of probes, until one setting is left or the time is up."""
    tallies = {setting: WorkerTally(setting) for setting in first_settings(cores)}
    deadline = time.perf_counter() + seconds
    for share, least, most in _ROUNDS:
        playing = _promising(tallies.values(), least, most)
        if len(playing) < 2:
            break
        _play(playing, make, share * seconds, deadline)
        if not least and _is_near(tallies, Setting("process", cores)):
            more = {each: WorkerTally(each) for each in process_settings(cores) if each not in tallies}
            _play(list(more.values()), make, 0.1 * seconds, deadline)
            tallies |= more
    return _choice(list(tallies.values()), cores)


def first_settings(cores: int) -> list[Setting]:
    """What is tried in any case."""
    counts = sorted({0, 1, -(-cores // 2), cores, cores + 1, 2 * cores})
    return [*(Setting("thread", count) for count in counts), Setting("process", cores)]


def process_settings(cores: int) -> list[Setting]:
    """More processes and fewer."""
    return [Setting("process", count) for count in sorted({1, -(-cores // 2), cores + 1, 2 * cores})]


def _play(tallies: list[WorkerTally], make: MakeLoader, seconds: float, deadline: float) -> None:
    """One probe each; those who were not measured yet are, whatever the time."""
    for tally in tallies:
        if not tally.samples or time.perf_counter() < deadline:
            tally.measure(make, seconds / len(tallies))


def _promising(tallies: Iterable[WorkerTally], least: float, most: int) -> list[WorkerTally]:
    """Those that are near to the best, the best first; before the first round all."""
    able = sorted((tally for tally in tallies if tally.error is None), key=lambda tally: -_rate(tally))
    return [tally for tally in able if _rate(tally) >= least * _rate(able[0])][:most]


def _rate(tally: WorkerTally) -> float:
    """Over all probes together: the longer ones count for more."""
    seconds = sum(sample.seconds for sample in tally.samples)
    return sum(sample.num_frames for sample in tally.samples) / seconds if seconds else 0.0


def _is_near(tallies: dict[Setting, WorkerTally], setting: Setting) -> bool:
    return _rate(tallies[setting]) >= _NEAR * max(map(_rate, tallies.values()))


def _choice(tallies: list[WorkerTally], cores: int) -> WorkerChoice:
    able = _promising(tallies, 1e-9, len(tallies))
    if not able:
        errors = {str(tally.setting): tally.error for tally in tallies}
        raise ValueError(f"nothing could be measured: {errors}")
    as_fast = [tally for tally in able if _rate(tally) >= AS_FAST * _rate(able[0])]
    best = min(as_fast, key=lambda tally: cost(tally.setting))
    rows = sorted((tally.row() for tally in tallies), key=lambda row: -(row.frames_per_second or 0.0))
    return WorkerChoice(
        best.setting.num_workers,
        best.setting.worker_kind,
        _rate(best),
        _reason(best, able, cores),
        tuple(rows),
    )


def _reason(best: WorkerTally, able: list[WorkerTally], cores: int) -> str:
    """'the calling thread alone 2,080 (0.77 of that), 3 threads 2,690 (0.99); 2 processors may be used'."""
    others = {tally.setting: tally for tally in able if tally is not best}
    shown = [tally for setting, tally in others.items() if not setting.num_workers]
    shown += [tally for tally in others.values() if tally not in shown][:2]
    if best.setting.worker_kind == "thread":
        shown += [tally for setting, tally in others.items() if setting.worker_kind == "process"][:1]
    tried = ", ".join(
        f"{tally.setting} {rate_text(_rate(tally))} ({_rate(tally) / _rate(best):.2f} of that)"
        for tally in dict.fromkeys(shown)
    )
    processors = f"{cores} processor{'s' * (cores > 1)} may be used"
    return f"beside {tried}; {processors}" if tried else processors
