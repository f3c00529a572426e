"""Reports of measurements: rates of readers and of workers, and which workers to take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from textwrap import shorten
from typing import Any, Literal

from ..base import Report, plot_of, text_table
from ..errors import printable
from ..load import WorkerKind
from .timed_reads import PATTERNS, Pattern


def rate_text(rate: float | None) -> str:
    """Return a rate in words: 1572.4 -> '1,572'; 9.53 -> '9.5'; None -> '-'."""
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 20 else f"{rate:.1f}"


def tsv_text(dicts: Sequence[dict[str, Any]]) -> str:
    r"""Return lines for a spreadsheet, with tabs between the cells.

    >>> tsv_text([{"reader": "pyav", "low": None}, {"reader": "opencv", "low": 1.5}])
    'reader\tlow\npyav\t\nopencv\t1.5'
    """
    lines = [list(dicts[0]), *(line.values() for line in dicts)] if dicts else []
    return "\n".join("\t".join(map(_cell, line)) for line in lines)


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


Threads = Literal["1 thread", "all cores"]
"""The number of threads that a reader may decode with."""
US = "pvio_lab"
# A decoder that is measured alone uses at least this much of a core, if it gets it.
_WHOLE_CORE = 0.8
# An error that is longer is cut short in plain text; the row has all of it.
_MOST_CHARACTERS = 90
_STARVED = "careful: some readers did not get one whole core, as other programs were busy; measure again"
THROUGHPUT_COLUMNS = (
    "pattern",
    "threads",
    "reader",
    "frames/s",
    "lowest-highest",
    "of pvio_lab",
    "cores used",
    "checked frames",
)


@dataclass(frozen=True)
class ThroughputRow:
    """One reader on one file, in one way."""

    source: str
    """The file, as it was given."""
    reader: str
    """The reader that returned the frames."""
    version: str
    """Its package and version."""
    threads: Threads
    """The number of threads it may decode with: one, or as many as there are cores."""
    pattern: Pattern
    """In which way the frames were read."""
    frames_per_second: float | None = None
    """The median over the repeats; None where nothing could be measured."""
    low: float | None = None
    """The slowest repeat."""
    high: float | None = None
    """The fastest repeat."""
    ratio: float | None = None
    """Its speed in multiples of this library's, with as many threads."""
    cores_busy: float | None = None
    """The number of cores that it really kept busy, on average."""
    wrong_frames: int = 0
    """The number of checked frames that are clearly not the one asked for."""
    checked_frames: int = 0
    """The number of timed frames that were compared with the true ones, over all repeats."""
    note: str = ""
    """Other differences of its frames: colours, size, number."""
    error: str | None = None
    """The reason why it could not go on."""

    @property
    def verdict(self) -> str:
        """The correctness of its frames in words.

        >>> row = ThroughputRow("clip.mp4", "pyav", "av 18", "1 thread", "random", 9.0)
        >>> replace(row, wrong_frames=3, checked_frames=60).verdict
        '3 of 60 frames wrong'
        """
        if self.wrong_frames:
            right = f"{self.wrong_frames} of {self.checked_frames} frames wrong"
        else:
            right = f"{self.checked_frames} right" if self.checked_frames else ""
        return "; ".join(part for part in (right, self.note, self.error or "") if part)


@dataclass(frozen=True)
class ThroughputReport(Report[ThroughputRow]):
    """Frames per second, side by side; a table in a notebook."""

    rows: tuple[ThroughputRow, ...]
    """One for each file, pattern, number of threads and reader; the fastest first."""
    missing: dict[str, str] = field(default_factory=dict)
    """The readers that could not be loaded, and why."""
    num_cores: int = 1
    """The number of cores."""

    drawn_as = "throughput"

    @classmethod
    def of(cls, rows: Iterable[ThroughputRow], missing: dict[str, str], num_cores: int) -> ThroughputReport:
        """Sort the rows, and relate them to this library's."""
        rows = list(rows)
        sources = list(dict.fromkeys(row.source for row in rows))

        def group(row: ThroughputRow) -> tuple[int, int, bool]:
            return sources.index(row.source), PATTERNS.index(row.pattern), row.threads == "all cores"

        def related(row: ThroughputRow) -> ThroughputRow:
            rate, own = row.frames_per_second, ours.get(group(row))
            return replace(row, ratio=rate / own if rate and own else None)

        ours = {group(row): row.frames_per_second for row in rows if row.reader == US}
        rows.sort(key=lambda row: (group(row), -(row.frames_per_second or 0)))
        return cls(tuple(map(related, rows)), missing, num_cores)

    def plot(self) -> Any:
        """Draw a bar for each reader and number of threads, with the spread; wrong frames are marked."""
        return plot_of("throughput", self)

    def __repr__(self) -> str:
        parts = [f"ThroughputReport({len(self)} rows, {self.num_cores} cores)"]
        for source, rows in groupby(self.rows, key=lambda row: row.source):
            lines = [(*cells, shorten(last, _MOST_CHARACTERS)) for *cells, last in sparse_cells(rows)]
            table = text_table(THROUGHPUT_COLUMNS, lines, right=(3, 4, 5, 6))
            parts.append(f"{printable(os.path.basename(source) or source)}\n{table}")
        return "\n".join([*parts, *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """Remarks on the figures: whose they are, what is left out, and whether to trust them."""
        versions = ", ".join(dict.fromkeys(row.version for row in self.rows))
        starved = any((row.cores_busy or 1) < _WHOLE_CORE for row in self.rows if row.threads == "1 thread")
        return [
            *([f"measured: {versions}"] if versions else []),
            *(f"left out: {name}: {reason}" for name, reason in self.missing.items()),
            *([_STARVED] if starved else []),
        ]


def sparse_cells(rows: Iterable[ThroughputRow]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a table; pattern and threads only where they change."""
    before: tuple[str, ...] = ("", "")
    for row in rows:
        group = (row.pattern, row.threads)
        yield (
            *(("", "") if group == before else group),
            row.reader,
            rate_text(row.frames_per_second),
            _spread_text(row),
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.cores_busy is None else f"{row.cores_busy:.1f}",
            row.verdict,
        )
        before = group


def _spread_text(row: ThroughputRow | WorkerRow) -> str:
    return "" if row.low is None else f"{rate_text(row.low)}-{rate_text(row.high)}"


WORKER_COLUMNS = (
    *("workers", "frames/s", "lowest-highest", "of the best", "start (ms)"),
    *("decode (ms)", "transform (ms)", "hand-over (ms)", "remark"),
)
PHASES = ("decode", "transform", "hand_over")
# Of those that are as fast as the best, within what can be measured, the least costly is taken.
AS_FAST = 0.98
# One whose fastest repeat is as fast counts too, unless it is slower than this.
_NEARLY = 0.9


@dataclass(frozen=True)
class Setting:
    """A number and kind of workers."""

    worker_kind: WorkerKind
    """Threads or processes."""
    num_workers: int
    """The number of workers; 0 is the calling thread."""

    def __str__(self) -> str:
        """Return the setting in words.

        >>> print(Setting("thread", 0), Setting("process", 2), sep="; ")
        the calling thread; 2 processes
        """
        if not self.num_workers:
            return "the calling thread"
        plural = {"thread": "threads", "process": "processes"}[self.worker_kind]
        return f"{self.num_workers} {plural if self.num_workers > 1 else self.worker_kind}"


def cost(setting: Setting) -> tuple[bool, int]:
    """Return a key that sorts the cheap before the costly: threads before processes, few before many."""
    return setting.worker_kind == "process", setting.num_workers


@dataclass(frozen=True)
class WorkerRow:
    """One number and kind of workers. Times a frame are those of the workers, added up."""

    worker_kind: WorkerKind
    """Threads or processes."""
    num_workers: int
    """The number of workers; 0 is the calling thread, with all processors decoding."""
    frames_per_second: float | None = None
    """The median over the repeats, from the first batch on; None where nothing could be measured."""
    low: float | None = None
    """The slowest repeat."""
    high: float | None = None
    """The fastest repeat."""
    first_batch_seconds: float | None = None
    """The time of the first batch: starting the workers, opening files."""
    decode_seconds: float = 0.0
    """For each frame: reading, decoding and converting it."""
    transform_seconds: float = 0.0
    """For each frame: making a tensor of it, and the transform."""
    hand_over_seconds: float = 0.0
    """For each frame: bringing it to the consumer, and waiting for work, memory and each other."""
    error: str | None = None
    """The reason why it could not go on."""

    @property
    def setting(self) -> Setting:
        """The number and kind of workers."""
        return Setting(self.worker_kind, self.num_workers)


@dataclass(frozen=True)
class WorkerReport(Report[WorkerRow]):
    """Frames per second at several numbers and kinds of workers; a table in a notebook."""

    rows: tuple[WorkerRow, ...]
    """One for each, threads first, few first."""
    batch_size: int
    """The number of frames in a batch."""
    num_cores: int
    """The number of processors."""

    drawn_as = "workers"

    @property
    def best(self) -> WorkerRow:
        """The fastest.

        Raises:
            ValueError: None could be measured.
        """
        able = [row for row in self.rows if row.frames_per_second is not None]
        if not able:
            errors = {str(row.setting): row.error for row in self.rows}
            raise ValueError(f"nothing could be measured: {errors}")
        return max(able, key=lambda row: row.frames_per_second or 0.0)

    @property
    def suggested(self) -> WorkerRow:
        """The least costly of those that are as fast as the fastest, within what can be measured.

        Raises:
            ValueError: None could be measured.
        """
        most = self.best.frames_per_second or 0.0

        def is_as_fast(row: WorkerRow) -> bool:
            rate = row.frames_per_second or 0.0
            return rate >= AS_FAST * most or (rate >= _NEARLY * most and (row.high or 0.0) >= most)

        return min(filter(is_as_fast, self.rows), key=lambda row: cost(row.setting))

    @property
    def suggestion(self) -> str:
        """A sentence that says which workers to take, and why.

        Raises:
            ValueError: None could be measured.
        """
        best, chosen = self.best, self.suggested
        rate = chosen.frames_per_second or 0.0
        reasons = [] if chosen is best else [f"as fast as {best.setting}, within what can be measured"]
        alone = next((row for row in self.rows if not row.num_workers), chosen)
        if alone is not chosen and alone.frames_per_second:
            reasons.append(f"{rate / alone.frames_per_second:.2f} times as fast as {alone.setting}")
        return "; ".join([f"take {chosen.setting}: {rate_text(rate)} frames/s", *reasons])

    def plot(self) -> Any:
        """Draw the rate against the number of workers, with the spread, and where the workers' time goes."""
        return plot_of("workers", self)

    def __repr__(self) -> str:
        heading = f"WorkerReport({len(self)} rows, batches of {self.batch_size}, {self.num_cores} cores)"
        return f"{heading}\n{text_table(WORKER_COLUMNS, list(worker_cells(self)), right=range(1, 8))}"


@dataclass(frozen=True)
class WorkerChoice(Report[WorkerRow]):
    """The answer to 'how many workers?'."""

    num_workers: int
    """The number of workers; 0 is the calling thread."""
    worker_kind: WorkerKind
    """Threads or processes."""
    frames_per_second: float
    """The rate that was measured with them."""
    reason: str
    """The reason for them, in a sentence."""
    rows: tuple[WorkerRow, ...]
    """All that was tried, the fastest first."""

    drawn_as = "worker_choice"

    def __str__(self) -> str:
        setting = Setting(self.worker_kind, self.num_workers)
        return f"{setting}, {rate_text(self.frames_per_second)} frames/s: {self.reason}"

    def __repr__(self) -> str:
        return f"WorkerChoice({self})"


def worker_cells(report: Report[WorkerRow]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a table."""
    most = max((row.frames_per_second or 0.0 for row in report.rows), default=0.0)
    for row in report.rows:
        rate = row.frames_per_second
        yield (
            str(row.setting),
            rate_text(rate),
            _spread_text(row),
            "" if rate is None else f"{rate / most:.2f}",
            "" if row.first_batch_seconds is None else f"{1e3 * row.first_batch_seconds:,.0f}",
            *("" if rate is None else f"{1e3 * getattr(row, f'{phase}_seconds'):.2f}" for phase in PHASES),
            row.error or ("best" if rate == most else ""),
        )
