"""`run_bench`: the claims of this project are measured again, and reported beside what was claimed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from ...base import Report, num_cpus, text_table
from .claims import BENCHMARKS, CLAIMS, Claim, chosen
from .lab import Benchmark, Figure, Lab, best, find, is_variant
from .media import OtherPrograms

Verdict = Literal["holds", "nearly", "does not hold", "not measured", "failed"]
# Medians of the same work differ by some per cent from run to run.
TOLERANCE = 0.1
# How much of a processor may go to other programs.
_MOST_DISTURBED = 0.1
_DISTURBED = "careful: other programs kept {0.others_busy:.1f} of {0.num_cores} cores busy; measure again"
_SPOILT: tuple[Verdict, ...] = ("does not hold", "failed")


@dataclass(frozen=True)
class BenchRow:
    """One claim, and the measurement of it."""

    name: str
    """The claim."""
    benchmark: str
    """The title of the benchmark."""
    unit: str
    """The unit; of a ratio, on both sides."""
    direction: str
    """The kind of bound: "at least" or "at most"."""
    claimed: float
    """The bound."""
    measured: float | None
    """The ratio of the two figures, or the figure."""
    verdict: Verdict
    """The verdict on the claim; "nearly" is within 10% of it."""
    ours: Figure | None = None
    """The figure of this library."""
    theirs: Figure | None = None
    """The figure of the other, where the claim is about a ratio."""
    reason: str = ""
    """The reason why there is no number."""
    is_relative: bool = True
    """It is not a time, and so has to hold on any machine."""

    @classmethod
    def of(cls, claim: Claim, figures: list[Figure]) -> BenchRow:
        """Judge a claim by the figures of its benchmark."""
        own, other = (find(figures, name, claim.unit) if name else [] for name in (claim.ours, claim.theirs))
        ours, theirs = best(own, worst=not claim.theirs), best(other)
        value = _ratio(ours, theirs) if claim.theirs else (ours.value if ours else None)
        troubled = [] if value is not None else [*own, *other]
        reasons = {each.missing or each.error for each in troubled} - {""}
        is_error = value is None and not any(each.missing for each in troubled)
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
        """Return the cells of the table."""
        unit = "" if self.theirs or self.measured is None else f" {self.unit}"
        sides = " / ".join(
            f"{each.contender} {number_text(each.value)}" for each in (self.ours, self.theirs) if each
        )
        claimed = f"{self.direction} {number_text(self.claimed)}"
        return self.name, claimed, number_text(self.measured) + unit, self.verdict, self.reason or sides


@dataclass(frozen=True)
class BenchReport(Report[BenchRow]):
    """All claims that were measured again."""

    rows: tuple[BenchRow, ...]
    """One row per claim."""
    figures: tuple[Figure, ...] = ()
    """Everything that was measured."""
    num_cores: int = 1
    """The number of processors."""
    is_quick: bool = False
    """A fraction of the work was done, so no number here is worth quoting."""
    is_full: bool = False
    """Print all figures, too."""
    others_busy: float | None = None
    """The number of processors that other programs kept busy; None where the system does not say."""

    @property
    def is_good(self) -> bool:
        """True if no ratio, size or count misses its claim by more than a tenth, and nothing failed.

        A quick run shows that everything works; only what failed counts in it.
        """
        return not any(
            row.verdict == "failed" or (row.verdict in _SPOILT and row.is_relative and not self.is_quick)
            for row in self.rows
        )

    def table(self) -> str:
        """Return all figures of all benchmarks in plain text."""
        parts = []
        for title, figures in groupby(self.figures, key=lambda figure: figure.benchmark):
            lines = [_figure_cells(figure) for figure in figures]
            parts.append(f"{title}\n{text_table(('contender', 'median', 'lowest-highest', 'unit'), lines)}")
        return "\n\n".join(parts)

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


def run_bench(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    full: bool = False,
    progress: bool = True,
) -> BenchReport:
    """Run the benchmarks behind the claims of this project, and show each number beside its claim.

    All contenders do the same work, in turns, each in a process of its own; another one is first each time,
    and medians count. Files are made in a temporary folder. Peers that are not installed are named.

    Args:
        names: Which claims: "load.clips.0", or all whose names begin so: "load.clips", "load".
        quick: Do a fraction of the work, once, to see that everything runs.
        full: Measure also the benchmarks and contenders that no claim is about, and print all figures.
        progress: Show a progress bar.

    Raises:
        ValueError: There is no such claim.
    """
    from tqdm.auto import tqdm

    claims, others = chosen(CLAIMS, names), OtherPrograms()
    with (
        _terminable(),
        TemporaryDirectory(prefix="pvio_bench_", ignore_cleanup_errors=True) as folder,
        tqdm(desc="measuring", unit="benchmark", leave=False, disable=not progress) as bar,
    ):
        lab = Lab(Path(folder), quick, note=lambda words: bar.set_postfix_str(words))
        needed = {id(claim.benchmark): claim.benchmark for claim in claims}
        benchmarks = BENCHMARKS if full and not names else tuple(needed.values())
        bar.total = len(benchmarks)
        figures: dict[int, list[Figure]] = {}
        for benchmark in benchmarks:
            figures[id(benchmark)] = benchmark.measure(
                lab, benchmark.title, _entrants(benchmark, claims, is_full=full)
            )
            bar.update()
    rows = tuple(BenchRow.of(claim, figures[id(claim.benchmark)]) for claim in claims)
    every = tuple(figure for each in figures.values() for figure in each)
    return BenchReport(rows, every, num_cpus(), quick, full, others.cores())


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, so that neither leaves anything."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _entrants(benchmark: Benchmark, claims: Sequence[Claim], *, is_full: bool) -> dict[str, Any]:
    """Return those that a claim is about."""
    wanted = [name for claim in claims if claim.benchmark is benchmark for name in claim.names]
    return {
        name: entrant
        for name, entrant in benchmark.entrants.items()
        if is_full or any(is_variant(name, each) for each in wanted)
    }


def judge(value: float | None, direction: str, bound: float) -> Verdict:
    """Return the verdict on a number that has a bound.

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
    """Return a number in words: 1572.4 -> '1,572'; 9.534 -> '9.53'; None -> '-'."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(ours: Figure | None, theirs: Figure | None) -> float | None:
    if ours is None or theirs is None or ours.value is None or not theirs.value:
        return None
    return ours.value / theirs.value


def _figure_cells(figure: Figure) -> tuple[str, ...]:
    if figure.value is None:
        return figure.contender, "-", figure.missing or figure.error, figure.unit
    spread = f"{number_text(figure.low)}-{number_text(figure.high)}"
    return figure.contender, number_text(figure.value), spread, figure.unit
