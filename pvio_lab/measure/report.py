"""What `measure_throughput` returns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from textwrap import shorten
from typing import Any, Literal

from .. import show
from ..errors import printable
from .pieces import PATTERNS, Pattern
from .tables import rate_text, text_table

Threads = Literal["1 thread", "all cores"]
"""How many threads a reader is allowed to decode with."""
US = "pvio_lab"
# A decoder that is measured alone uses at least one core, if it gets it.
_WHOLE_CORE = 0.8
# An error that is longer is cut short in plain text; the row has all of it.
_MOST_WORDS = 90
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
    """Whose frames these are."""
    version: str
    """Its package and version."""
    threads: Threads
    """How many threads it may decode with: one, or as many as there are cores."""
    pattern: Pattern
    """How the frames were read."""
    frames_per_second: float | None = None
    """The median over the repeats; None where nothing could be measured."""
    low: float | None = None
    """The slowest repeat."""
    high: float | None = None
    """The fastest repeat."""
    ratio: float | None = None
    """How many times as fast as this library it is, with as many threads."""
    cores_busy: float | None = None
    """How many cores it really kept busy, on average."""
    wrong_frames: int = 0
    """How many of the checked frames are clearly another frame than the one asked for."""
    checked_frames: int = 0
    """How many of the timed frames were compared with the true ones, over all repeats."""
    note: str = ""
    """What else is different about its frames: colours, size, how many there are."""
    error: str | None = None
    """Why it could not go on."""

    @property
    def verdict(self) -> str:
        """In words, whether its frames are right.

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
class ThroughputReport:
    """Frames per second, side by side; a table in a notebook."""

    rows: tuple[ThroughputRow, ...]
    """One for each file, pattern, number of threads and reader; the fastest first."""
    missing: dict[str, str] = field(default_factory=dict)
    """The readers that could not be loaded, and why."""
    num_cores: int = 1
    """How many cores there were."""

    @classmethod
    def of(cls, rows: Iterable[ThroughputRow], missing: dict[str, str], num_cores: int) -> ThroughputReport:
        """Sorts the rows, and relates them to this library's."""
        rows = list(rows)
        places = {source: place for place, source in enumerate(dict.fromkeys(row.source for row in rows))}
        ours = {_lane(row): row.frames_per_second for row in rows if row.reader == US}
        related = (replace(row, ratio=_ratio(row.frames_per_second, ours.get(_lane(row)))) for row in rows)

        def order(row: ThroughputRow) -> tuple[Any, ...]:
            return *_group(row, places), -(row.frames_per_second or 0)

        return cls(tuple(sorted(related, key=order)), missing, num_cores)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Plain dictionaries, as for `pandas.DataFrame` or JSON."""
        return [asdict(row) for row in self.rows]

    def plot(self) -> Any:
        """A bar for each reader and number of threads, with the spread; wrong frames are marked."""
        return show.plot("throughput", self)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ThroughputRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        parts = [f"ThroughputReport({len(self)} rows, {self.num_cores} cores)"]
        for source, rows in groupby(self.rows, key=lambda row: row.source):
            lines = [(*cells, shorten(last, _MOST_WORDS)) for *cells, last in sparse_cells(rows)]
            table = text_table(THROUGHPUT_COLUMNS, lines, right=(3, 4, 5, 6))
            parts.append(f"{printable(os.path.basename(source) or source)}\n{table}")
        return "\n".join([*parts, *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """What to know about the figures: whose they are, what is left out, and whether to trust them."""
        versions = ", ".join(dict.fromkeys(row.version for row in self.rows))
        starved = any((row.cores_busy or 1) < _WHOLE_CORE for row in self.rows if row.threads == "1 thread")
        return [
            *([f"measured: {versions}"] if versions else []),
            *(f"left out: {name}: {reason}" for name, reason in self.missing.items()),
            *([_STARVED] if starved else []),
        ]

    def _repr_html_(self) -> str:
        return show.html("throughput", self)


def sparse_cells(rows: Iterable[ThroughputRow]) -> Iterator[tuple[str, ...]]:
    """The cells of a table; pattern and threads only where they change."""
    before: tuple[str, ...] = ("", "")
    for row in rows:
        lane = (row.pattern, row.threads)
        yield (*(("", "") if lane == before else lane), row.reader, *_figures(row), row.verdict)
        before = lane


def _figures(row: ThroughputRow) -> tuple[str, ...]:
    spread = "" if row.low is None else f"{rate_text(row.low)}-{rate_text(row.high)}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    cores = "" if row.cores_busy is None else f"{row.cores_busy:.1f}"
    return rate_text(row.frames_per_second), spread, ratio, cores


def _lane(row: ThroughputRow) -> tuple[str, str, str]:
    return row.source, row.pattern, row.threads


def _group(row: ThroughputRow, places: dict[str, int]) -> tuple[int, int, bool]:
    return places[row.source], PATTERNS.index(row.pattern), row.threads == "all cores"


def _ratio(rate: float | None, ours: float | None) -> float | None:
    return rate / ours if rate and ours else None
