"""What `compare_workers` and `suggest_workers` return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .. import show
from ..load.loader import WorkerKind
from .tables import rate_text, text_table

WORKER_COLUMNS = (
    *("workers", "frames/s", "lowest-highest", "of the best", "start (ms)"),
    *("decode (ms)", "transform (ms)", "hand-over (ms)", "remark"),
)
PHASES = ("decode", "transform", "hand_over")
# Of those that are as fast as the best, within what can be measured, the least costly is taken.
AS_FAST = 0.98
# So slow, what varies as much may be as fast.
_NEARLY = 0.9


@dataclass(frozen=True)
class Setting:
    """How many workers of which kind."""

    worker_kind: WorkerKind
    """Threads or processes."""
    num_workers: int
    """How many; 0 is the calling thread."""

    def __str__(self) -> str:
        """In words.

        >>> print(Setting("thread", 0), Setting("process", 2), sep="; ")
        the calling thread; 2 processes
        """
        if not self.num_workers:
            return "the calling thread"
        plural = {"thread": "threads", "process": "processes"}[self.worker_kind]
        return f"{self.num_workers} {plural if self.num_workers > 1 else self.worker_kind}"


def cost(setting: Setting) -> tuple[bool, int]:
    """What is small is cheap: threads before processes, few before many."""
    return setting.worker_kind == "process", setting.num_workers


@dataclass(frozen=True)
class WorkerRow:
    """One number and kind of workers. Times a frame are those of the workers, added up."""

    worker_kind: WorkerKind
    """Threads or processes."""
    num_workers: int
    """How many; 0 is the calling thread, with all processors decoding."""
    frames_per_second: float | None = None
    """The median over the repeats, from the first batch on; None where nothing could be measured."""
    low: float | None = None
    """The slowest repeat."""
    high: float | None = None
    """The fastest repeat."""
    first_batch_seconds: float | None = None
    """How long the first batch took: starting the workers, opening files."""
    decode_seconds: float = 0.0
    """For each frame: reading, decoding and converting it."""
    transform_seconds: float = 0.0
    """For each frame: making a tensor of it, and the transform."""
    hand_over_seconds: float = 0.0
    """For each frame: bringing it to the consumer, and waiting for work, memory and each other."""
    error: str | None = None
    """Why it could not go on."""

    @property
    def setting(self) -> Setting:
        """How many workers of which kind."""
        return Setting(self.worker_kind, self.num_workers)


@dataclass(frozen=True)
class WorkerReport:
    """Frames per second at several numbers and kinds of workers; a table in a notebook."""

    rows: tuple[WorkerRow, ...]
    """One for each, threads first, few first."""
    batch_size: int
    """How many frames the batches had."""
    num_cores: int
    """How many processors there were."""

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
        as_fast = (row for row in self.rows if _is_as_fast(row, most))
        return min(as_fast, key=lambda row: cost(row.setting))

    @property
    def suggestion(self) -> str:
        """Which workers to take, and why, in a sentence.

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

    def to_dicts(self) -> list[dict[str, Any]]:
        """Plain dictionaries, as for `pandas.DataFrame` or JSON."""
        return [asdict(row) for row in self.rows]

    def plot(self) -> Any:
        """The rate against the number of workers, with the spread, and where the workers' time goes."""
        return show.plot("workers", self)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[WorkerRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        heading = f"WorkerReport({len(self)} rows, batches of {self.batch_size}, {self.num_cores} cores)"
        return f"{heading}\n{text_table(WORKER_COLUMNS, list(cells(self)), right=range(1, 8))}"

    def _repr_html_(self) -> str:
        return show.html("workers", self)


@dataclass(frozen=True)
class WorkerChoice:
    """The answer to 'how many workers?'."""

    num_workers: int
    """How many; 0 is the calling thread."""
    worker_kind: WorkerKind
    """Threads or processes."""
    frames_per_second: float
    """What was measured with them."""
    reason: str
    """Why these, in a sentence."""
    rows: tuple[WorkerRow, ...]
    """All that was tried, the fastest first."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """What was tried, as plain dictionaries."""
        return [asdict(row) for row in self.rows]

    def __str__(self) -> str:
        setting = Setting(self.worker_kind, self.num_workers)
        return f"{setting}, {rate_text(self.frames_per_second)} frames/s: {self.reason}"

    def __repr__(self) -> str:
        return f"WorkerChoice({self})"

    def _repr_html_(self) -> str:
        return show.html("worker_choice", self)


def cells(report: Any) -> Iterator[tuple[str, ...]]:
    """The cells of a table; `report` has `rows`."""
    most = max((row.frames_per_second or 0.0 for row in report.rows), default=0.0)
    for row in report.rows:
        rate = row.frames_per_second
        yield (
            str(row.setting),
            rate_text(rate),
            "" if row.low is None else f"{rate_text(row.low)}-{rate_text(row.high)}",
            "" if rate is None else f"{rate / most:.2f}",
            "" if row.first_batch_seconds is None else f"{1e3 * row.first_batch_seconds:,.0f}",
            *(_milliseconds(row, phase) for phase in PHASES),
            row.error or ("best" if rate == most else ""),
        )


def _is_as_fast(row: WorkerRow, most: float) -> bool:
    """Within what can be measured, or as its own repeats differ, if that is not by much."""
    rate = row.frames_per_second or 0.0
    return rate >= AS_FAST * most or (rate >= _NEARLY * most and (row.high or 0.0) >= most)


def _milliseconds(row: WorkerRow, phase: str) -> str:
    if row.frames_per_second is None:
        return ""
    return f"{1e3 * getattr(row, f'{phase}_seconds'):.2f}"
