"""`measure_throughput`: frames per second of this library and of its peers, side by side."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from ..base import ChildError, checked_seconds, num_cpus, positive_integer, some_of
from ..read import Fetching, VideoReader, check_may_be_local, is_url, public_names, shown, source_name
from .frame_check import GOOD_COLOURS_DB, Course, plan_course
from .peer_readers import PEERS
from .reports import Threads, ThroughputReport, ThroughputRow
from .rounds import Step, Stop, last_rows, measured, spread
from .timed_reads import PATTERNS, Pattern, Piece, ReaderProcess

Sources = str | PathLike[str] | Iterable[str | PathLike[str]]


def measure_throughput(
    sources: Sources,
    *,
    patterns: Sequence[Pattern] = PATTERNS,
    readers: Sequence[str] | None = None,
    seconds: float = 1.0,
    repeats: int = 3,
    progress: bool = True,
    fetching: Fetching | None = None,
) -> ThroughputReport:
    """Measure how many frames a second this library and every installed peer read, side by side.

    All readers read the same frames of the same files, in turns, each in a process of its own. Opening, and
    the first call, are not counted. Some of the timed frames are compared with the true ones, as a reader
    that returns other frames than those asked for is not fast. This library's memory of recent frames is
    off, so that every frame has to be decoded.

    >>> report = measure_throughput("data_samples/gop2.mp4", patterns=["random"], readers=["pvio_lab"],
    ...     seconds=0.02, repeats=1, progress=False)
    >>> report.rows[0].reader, report.rows[0].wrong_frames
    ('pvio_lab', 0)

    Args:
        sources: A video file, its URL, or many of these.
        patterns: Which of "sequential" (in order), "random" (single frames) and "batch" (32 frames in one
            call); of a long file, in order, only a part is read.
        readers: Which of "pvio_lab", "decord", "torchcodec", "pyav", "opencv" and "imageio"; all of them
            when left out. Those that are not installed are named in the report.
        seconds: How long each piece takes.
        repeats: How many pieces there are for each reader, file and pattern.
        progress: Show a progress bar.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Raises:
        FileNotFoundError: There is no such file.
        OpenError: It is not a video.
        ValueError: An argument is out of range.
    """
    steps = throughput_steps(
        sources, patterns=patterns, readers=readers, seconds=seconds, repeats=repeats, fetching=fetching
    )
    rows, missing = last_rows(
        steps,
        lambda row: (row.source, row.pattern, row.reader, row.threads),
        lambda row: f"{row.reader}, {row.pattern}",
        progress=progress,
    )
    return ThroughputReport.of(rows, missing, num_cpus())


def throughput_steps(
    sources: Sources,
    *,
    patterns: Sequence[Pattern] = PATTERNS,
    readers: Sequence[str] | None = None,
    seconds: float = 1.0,
    repeats: int = 3,
    stop: Stop | None = None,
    fetching: Fetching | None = None,
) -> Generator[Step[ThroughputRow | None]]:
    """Do the same, and yield each result as it comes; closing this, or `stop`, ends all processes."""
    chosen = some_of(patterns, PATTERNS, "patterns")
    names = some_of(PEERS if readers is None else readers, tuple(PEERS), "readers")
    limit, count = checked_seconds(seconds), positive_integer(repeats, "repeats")
    return run_steps(_openable(sources, fetching), chosen, names, limit, count, ReaderProcess, stop, fetching)


# --- one after the other ---


class Contender(NamedTuple):
    """A reader, and the number of threads it may decode with."""

    reader: str
    threads: Threads
    runner: ReaderProcess
    version: str = ""


def run_steps(
    files: Sequence[str],
    patterns: Sequence[Any],
    names: Sequence[str],
    seconds: float,
    repeats: int,
    make_runner: Callable[[str, int], ReaderProcess],
    stop: Stop | None = None,
    fetching: Fetching | None = None,
) -> Generator[Step[ThroughputRow | None]]:
    """Start the readers, and let them take turns."""
    stop, contenders = stop or Stop(), list[Contender]()
    with ExitStack() as endings:
        for name in names:
            for threads, count in _thread_counts():
                runner = make_runner(name, count)
                endings.callback(runner.close)
                endings.enter_context(stop.ends(runner.close))
                contenders.append(Contender(name, threads, runner))
        able, missing = _loaded(contenders)
        if stop.is_wanted:
            return
        total, done = len(files) * len(patterns) * repeats * len(able), 0
        yield Step(done, total, None, missing)
        for name, file in zip(public_names(files), files, strict=True) if able else ():
            course = replace(plan_course(file, tuple(patterns), seconds, fetching), source=name)
            for pattern in patterns:
                tallies = [Tally(contender, course, pattern) for contender in able]
                for tally in measured(tallies, repeats, Tally.measure, stop):
                    done += 1
                    yield Step(done, total, tally.row(), missing)


def _thread_counts() -> list[tuple[Threads, int]]:
    cores = num_cpus()
    return [("1 thread", 1), ("all cores", cores)] if cores > 1 else [("1 thread", 1)]


def _loaded(contenders: Sequence[Contender]) -> tuple[list[Contender], dict[str, str]]:
    """Return those whose reader loads, and why the others do not."""
    able, missing = [], {}
    for contender in contenders:
        try:
            able.append(contender._replace(version=contender.runner.version()))
        except ChildError as error:
            missing[contender.reader] = str(error)
    return able, missing


class Tally:
    """The results of one reader on one file, in one pattern."""

    def __init__(self, contender: Contender, course: Course, pattern: Pattern):
        self._contender, self._course = contender, course
        self._task = course.tasks[pattern]
        self._rates: list[float] = []
        self._cores: list[float] = []
        self._wrong = self._checked = 0
        self._notes: dict[str, None] = {}
        self._error: str | None = None

    def measure(self) -> None:
        """Measure one more piece, unless there was an error."""
        if self._error is None:
            try:
                self._add(self._contender.runner.run(self._task))
            except ChildError as error:
                self._error = str(error)

    def row(self) -> ThroughputRow:
        """Return the result so far."""
        rates = self._rates
        return ThroughputRow(
            source=self._course.source,
            reader=self._contender.reader,
            version=self._contender.version,
            threads=self._contender.threads,
            pattern=self._task.pattern,
            **spread(rates),
            cores_busy=spread(self._cores)["frames_per_second"],
            wrong_frames=self._wrong,
            checked_frames=self._checked,
            note="; ".join(self._notes),
            error=self._error,
        )

    def _add(self, piece: Piece) -> None:
        self._rates.append(piece.num_frames / piece.seconds)
        self._cores.append(piece.cpu_seconds / piece.seconds)
        if not piece.checked:
            return
        verdict = self._course.truth.judge(np.array(piece.checked, np.int64), piece.prints)
        is_other_size = piece.size != self._course.shape[1:3]
        self._wrong += verdict.checked if is_other_size else verdict.wrong
        self._checked += verdict.checked
        self._notes |= dict.fromkeys(_notes(piece, self._course, verdict.colours_db))


def _notes(piece: Piece, course: Course, colours_db: float) -> list[str]:
    (height, width), total = piece.size, course.shape[0]
    if (height, width) != course.shape[1:3]:
        return [f"its frames are {width}x{height}, not {course.shape[2]}x{course.shape[1]}"]
    short = [f"{piece.missing} of {total} frames do not come"] if piece.missing else []
    return [*short, *(["colours differ"] if colours_db < GOOD_COLOURS_DB else [])]


# --- arguments ---


def _openable(sources: Sources, fetching: Fetching | None) -> list[str]:
    """Return the sources, each of which is opened once, as an error after minutes would be too late."""
    names = named_files(sources, fetching)
    for name in names:
        VideoReader(name, num_threads=1, fetching=fetching).close()
    return names


def named_files(sources: Sources, fetching: Fetching | None = None) -> list[str]:
    """Return each source once; they exist, but may be no videos."""
    given = [sources] if isinstance(sources, str | PathLike) else list(sources)
    names = list(dict.fromkeys(map(source_name, given)))
    if not names:
        raise ValueError("sources is empty; name at least one video file")
    for name in names:
        if is_url(name):
            continue
        check_may_be_local(name, fetching)
        if os.path.isdir(name):
            raise ValueError(
                f"{shown(name)} is a directory; readers are compared on video files, so name these"
            )
        if not os.path.exists(name):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return names
