"""`measure_throughput`: frames per second of this library and of its peers, side by side."""

from __future__ import annotations

import errno
import os
import statistics
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from os import PathLike
from typing import Any

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
) -> Generator[Step]:
    """Do the same, and yield each result as it comes; closing this, or `stop`, ends all processes."""
    chosen = some_of(patterns, PATTERNS, "patterns")
    names = some_of(PEERS if readers is None else readers, tuple(PEERS), "readers")
    limit, count = checked_seconds(seconds), positive_integer(repeats, "repeats")
    return run_steps(_openable(sources, fetching), chosen, names, limit, count, ReaderProcess, stop, fetching)


# --- one after the other ---


def run_steps(
    files: Sequence[str],
    patterns: Sequence[Any],
    names: Sequence[str],
    seconds: float,
    repeats: int,
    make_runner: Callable[[str, int], ReaderProcess],
    stop: Stop | None = None,
    fetching: Fetching | None = None,
) -> Generator[Step]:
    """Start the readers, and let them take turns."""
    counts: dict[Threads, int] = {"1 thread": 1, "all cores": num_cpus()}
    if counts["all cores"] == 1:
        del counts["all cores"]
    stop, missing = stop or Stop(), dict[str, str]()
    runners: list[tuple[ReaderProcess, str, Threads]] = []
    able: list[tuple[ReaderProcess, str, str, Threads]] = []
    with ExitStack() as endings:
        for reader, threads in product(names, counts):
            runner = make_runner(reader, counts[threads])
            endings.callback(runner.close)
            endings.enter_context(stop.ends(runner.close))
            runners.append((runner, reader, threads))
        for runner, reader, threads in runners:  # they load side by side
            try:
                able.append((runner, reader, runner.version(), threads))
            except ChildError as error:
                missing[reader] = str(error)
        if stop.is_wanted:
            return
        total, done = len(files) * len(patterns) * repeats * len(able), 0
        yield Step(done, total, None, missing)
        for source, file in zip(public_names(files), files, strict=True) if able else ():
            course = plan_course(file, tuple(patterns), seconds, fetching)
            for pattern in patterns:
                tallies = [
                    Tally(runner, ThroughputRow(source, reader, version, threads, pattern), course)
                    for runner, reader, version, threads in able
                ]
                for tally in measured(tallies, repeats, Tally.measure, stop):
                    done += 1
                    yield Step(done, total, tally.row(), missing)


class Tally:
    """The results of one reader on one file, in one pattern; they begin as a row without figures."""

    def __init__(self, runner: ReaderProcess, row: ThroughputRow, course: Course):
        self._runner, self._row, self._course = runner, row, course
        self._rates: list[float] = []
        self._cores: list[float] = []
        self._notes: dict[str, None] = {}

    def measure(self) -> None:
        """Measure one more piece, unless there was an error."""
        if self._row.error is None:
            try:
                self._add(self._runner.run(self._course.tasks[self._row.pattern]))
            except ChildError as error:
                self._row = replace(self._row, error=str(error))

    def row(self) -> ThroughputRow:
        """Return the result so far."""
        cores = statistics.median(self._cores) if self._cores else None
        return replace(self._row, **spread(self._rates), cores_busy=cores, note="; ".join(self._notes))

    def _add(self, piece: Piece) -> None:
        self._rates.append(piece.num_frames / piece.seconds)
        self._cores.append(piece.cpu_seconds / piece.seconds)
        if not piece.checked:
            return
        verdict = self._course.truth.judge(np.array(piece.checked, np.int64), piece.prints)
        wrong = verdict.wrong if piece.size == self._course.shape[1:3] else verdict.checked
        self._row = replace(
            self._row,
            wrong_frames=self._row.wrong_frames + wrong,
            checked_frames=self._row.checked_frames + verdict.checked,
        )
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
