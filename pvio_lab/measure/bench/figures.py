"""What a benchmark finds out: a number for each contender, and how it varied."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One contender's number."""

    benchmark: str
    """The title of the benchmark."""
    contender: str
    """Whose number it is."""
    unit: str
    """Of what; one that contains "/s" is the better the higher it is, all others the lower."""
    value: float | None = None
    """The median over the rounds; None where nothing could be measured."""
    low: float | None = None
    """The lowest round."""
    high: float | None = None
    """The highest round."""
    missing: str = ""
    """Why the contender does not load: it is not installed, for one."""
    error: str = ""
    """What went wrong while it was measured."""

    @classmethod
    def of(cls, benchmark: str, contender: str, unit: str, values: Sequence[float]) -> Figure:
        """The median of what was measured."""
        return cls(benchmark, contender, unit, statistics.median(values), min(values), max(values))

    @property
    def reason(self) -> str:
        """Why there is no value, in words."""
        return self.missing or self.error


def is_rate(unit: str) -> bool:
    """'frames/s' is a rate: more is better; 'ms' and 'MB' are not."""
    return "/s" in unit


def find(figures: Iterable[Figure], contender: str, unit: str) -> list[Figure]:
    """The figures of a contender in all its variants.

    'pvio_lab' finds 'pvio_lab', and 'pvio_lab, 2 workers'; not 'pvio_lab float32'.
    """
    return [
        each
        for each in figures
        if each.unit in (unit, "")
        and (each.contender == contender or each.contender.startswith(f"{contender},"))
    ]


def best(figures: Sequence[Figure], *, worst: bool = False) -> Figure | None:
    """The most favourable of them, or the least; None if none has a value."""
    measured = [each for each in figures if each.value is not None]
    if not measured:
        return None
    pick = max if is_rate(measured[0].unit) != worst else min
    return pick(measured, key=lambda each: each.value or 0.0)
