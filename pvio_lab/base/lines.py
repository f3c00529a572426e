"""A line profiler around one's own function: the package line_profiler counts, a table shows the lines."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from .report import Report, text_table

Count = tuple[str, str, int, int, float]
"""File, function, line, how often it ran, and the seconds that it took; JSON makes a list of it."""
LINE_COLUMNS = ("line", "hits", "seconds", "us a hit", "share", "code")


class LineTimer:
    """A context that times the lines of a function whenever it is called in this thread.

    Args:
        function: A function written in Python, or an object with such a method `__call__`.

    Raises:
        ImportError: The package line_profiler is missing.
        ValueError: The function has no lines of Python.
    """

    def __init__(self, function: Callable[..., Any]):
        try:
            from line_profiler import LineProfiler
        except ImportError as error:
            raise ImportError(
                f'profile=True needs line_profiler ({error}): pip install "pvio_lab[profile]"'
            ) from error
        self._profiler = LineProfiler()
        if not self._profiler.add_callable(function):
            raise ValueError(
                f"profile=True: {function!r} has no lines of Python; pass a function of your own"
            )

    def __enter__(self) -> LineTimer:
        self._profiler.enable_by_count()
        return self

    def __exit__(self, *raised: object) -> None:
        self._profiler.disable_by_count()

    @property
    def file(self) -> str:
        """The file of the function, as this process knows it."""
        return str(next(iter(self._profiler.get_stats().timings))[0])

    def counts(self) -> list[Count]:
        """Return what has been counted so far."""
        found = self._profiler.get_stats()
        return [
            (file, name, line, hits, spent * found.unit)
            for (file, _, name), lines in found.timings.items()
            for line, hits, spent in lines
        ]


def line_timer(profile: bool, function: Callable[..., Any] | None) -> LineTimer | None:
    """Return a timer for a function, or None where the times of its lines are not asked for."""
    if profile and function is None:
        raise ValueError("profile=True times the lines of your own function: pass function=, too")
    return LineTimer(function) if profile and function is not None else None


@dataclass(frozen=True)
class LineTime:
    """One line of the function, and its time."""

    file: str
    """The file of the function."""
    function: str
    """Its name."""
    line: int
    """The number of the line in the file."""
    hits: int
    """The number of times it ran."""
    seconds: float
    """The time that it took, over all calls and workers."""
    code: str
    """Its text; empty where the file cannot be read here."""


@dataclass(frozen=True, repr=False)
class LineProfile(Report[LineTime]):
    """The time of each line of a function, summed over all its calls; a table in a notebook.

    >>> print(LineProfile.of([("f.py", "mean", 3, 10, 0.3), ("f.py", "mean", 3, 10, 0.1)]))
    LineProfile(mean: 0.4 s)
    line  hits  seconds  us a hit  share  code
       3    20   0.4000     20000   100%
    """

    drawn_as: ClassVar[str] = "lines"

    rows: tuple[LineTime, ...]
    """The lines that ran, in the order of the file."""

    @classmethod
    def of(cls, counts: Iterable[Any], file: str | None = None) -> LineProfile:
        """Add up counts, of several workers for example.

        Args:
            counts: See `LineTimer.counts`.
            file: The file that all lines are in, as workers may know another one, or none.
        """
        hits, seconds = Counter[tuple[str, str, int]](), Counter[tuple[str, str, int]]()
        for place, name, line, often, spent in counts:
            hits[file or place, name, line] += often
            seconds[file or place, name, line] += spent
        return cls(
            tuple(
                LineTime(*key, often, seconds[key], linecache.getline(key[0], key[2]).rstrip().expandtabs(4))
                for key, often in sorted(hits.items())
            )
        )

    @property
    def total_seconds(self) -> float:
        """The time of all lines."""
        return sum(row.seconds for row in self.rows)

    @property
    def title(self) -> str:
        """The names of what was profiled, and the time."""
        names = ", ".join(dict.fromkeys(row.function for row in self.rows)) or "never called"
        return f"{names}: {self.total_seconds:.3g} s"

    def __repr__(self) -> str:
        table = text_table(LINE_COLUMNS, line_cells(self), right=range(5))
        return f"LineProfile({self.title})\n{table}"


def line_cells(profile: LineProfile) -> list[tuple[str, ...]]:
    """Return the rows of a table: line, hits, seconds, microseconds a hit, share, code."""
    total = profile.total_seconds or 1.0
    return [
        (
            str(row.line),
            str(row.hits),
            f"{row.seconds:.4f}",
            f"{1e6 * row.seconds / row.hits:.0f}",
            f"{row.seconds / total:.0%}",
            row.code,
        )
        for row in profile.rows
    ]
