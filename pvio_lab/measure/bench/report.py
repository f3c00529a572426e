"""What `run_bench` returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

from ..reports import text_table
from .claims import Claim
from .lab import Figure, best, find

Verdict = Literal["holds", "nearly", "does not hold", "not measured", "failed"]
# Medians of the same work differ by some per cent from run to run.
TOLERANCE = 0.1
# So much of a processor may go to other programs.
_MOST_DISTURBED = 0.1
_DISTURBED = "careful: other programs kept {0.others_busy:.1f} of {0.num_cores} cores busy; measure again"
_SPOILT: tuple[Verdict, ...] = ("does not hold", "failed")


@dataclass(frozen=True)
class BenchRow:
    """One claim, and what was measured."""

    name: str
    """The claim."""
    benchmark: str
    """What was done."""
    unit: str
    """What was measured; of a ratio, on both sides."""
    direction: str
    """Whether the claim is a lower or an upper bound."""
    claimed: float
    """The bound."""
    measured: float | None
    """The ratio of the two figures, or the figure."""
    verdict: Verdict
    """Whether it holds; "nearly" is within 10% of it."""
    ours: Figure | None = None
    """The figure of this library."""
    theirs: Figure | None = None
    """The figure of the other, where the claim is about a ratio."""
    reason: str = ""
    """Why there is no number."""
    is_relative: bool = True
    """It is no time, and so has to hold on any machine."""

    @classmethod
    def of(cls, claim: Claim, figures: list[Figure]) -> BenchRow:
        """Judges a claim by the figures of its benchmark."""
        own, other = (find(figures, name, claim.unit) if name else [] for name in (claim.ours, claim.theirs))
        ours, theirs = best(own, worst=not claim.theirs), best(other)
        value = _ratio(ours, theirs) if claim.theirs else (ours.value if ours else None)
        reasons = {each.reason for each in (*own, *other) if each.reason} if value is None else set()
        is_error = value is None and (not any(each.missing for each in (*own, *other)))
        return cls(
            claim.name,
            claim.benchmark.title,
            claim.unit,
            claim.direction,
            claim.bound,
            value,
            "failed" if is_error else judge(value, claim.direction, claim.bound),
            ours,
            theirs,
            "; ".join(sorted(reasons)),
            claim.is_relative,
        )

    def cells(self) -> tuple[str, ...]:
        """The cells of the table."""
        unit = "" if self.theirs or self.measured is None else f" {self.unit}"
        sides = " / ".join(
            f"{each.contender} {number_text(each.value)}" for each in (self.ours, self.theirs) if each
        )
        claimed = f"{self.direction} {number_text(self.claimed)}"
        return self.name, claimed, number_text(self.measured) + unit, self.verdict, self.reason or sides


@dataclass(frozen=True)
class BenchReport:
    """All claims that were measured again."""

    rows: tuple[BenchRow, ...]
    """One for each claim."""
    figures: tuple[Figure, ...] = ()
    """Everything that was measured."""
    num_cores: int = 1
    """How many processors there were."""
    is_quick: bool = False
    """A fraction of the work was done, so no number here is worth quoting."""
    is_full: bool = False
    """Print all figures, too."""
    others_busy: float | None = None
    """How many processors other programs kept busy meanwhile; None where the system does not tell."""

    @property
    def is_good(self) -> bool:
        """No ratio, size or count misses its claim by more than a tenth, and nothing failed.

        A quick run shows that everything works; only what failed counts in it.
        """
        return not any(
            row.verdict == "failed" or (row.verdict in _SPOILT and row.is_relative and not self.is_quick)
            for row in self.rows
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """Plain dictionaries, as for `pandas.DataFrame` or JSON."""
        return [asdict(row) for row in self.rows]

    def table(self) -> str:
        """All figures of all benchmarks, in plain text."""
        parts = []
        for title, figures in groupby(self.figures, key=lambda figure: figure.benchmark):
            lines = [_figure_cells(figure) for figure in figures]
            parts.append(f"{title}\n{text_table(('contender', 'median', 'lowest-highest', 'unit'), lines)}")
        return "\n\n".join(parts)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[BenchRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        columns = ("claim", "claimed", "measured", "verdict", "of what")
        kept = sum(row.verdict in ("holds", "nearly") for row in self.rows)
        quick = "; a quick run: these numbers are worth little" if self.is_quick else ""
        return "\n".join(
            [
                *([self.table(), ""] if self.is_full else []),
                f"BenchReport({kept} of {len(self)} claims hold, {self.num_cores} cores{quick})",
                text_table(columns, [row.cells() for row in self.rows], right=(2,)),
                *([_DISTURBED.format(self)] if (self.others_busy or 0) > _MOST_DISTURBED else []),
            ]
        )


def judge(value: float | None, direction: str, bound: float) -> Verdict:
    """Whether a number keeps to a bound.

    >>> judge(1.9, "at least", 2), judge(1.7, "at least", 2), judge(0, "at most", 0)
    ('nearly', 'does not hold', 'holds')
    """
    if value is None:
        return "not measured"
    excess = bound - value if direction == "at least" else value - bound
    if excess <= 0:
        return "holds"
    return "nearly" if excess <= TOLERANCE * abs(bound) else "does not hold"


def number_text(value: float | None) -> str:
    """1572.4 -> '1,572'; 9.534 -> '9.53'; None -> '-'."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(ours: Figure | None, theirs: Figure | None) -> float | None:
    if ours is None or theirs is None or ours.value is None or not theirs.value:
        return None
    return ours.value / theirs.value


def _figure_cells(figure: Figure) -> tuple[str, ...]:
    if figure.value is None:
        return figure.contender, "-", figure.reason, figure.unit
    spread = f"{number_text(figure.low)}-{number_text(figure.high)}"
    return figure.contender, number_text(figure.value), spread, figure.unit
