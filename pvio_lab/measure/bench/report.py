"""`run_bench`: the claims of this project are measured again, and reported beside what was claimed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from ...base import Report, num_cpus, text_table
from .claims import BENCHMARKS, CLAIMS, Claim, chosen, is_variant
from .contenders import Figure, compare

Verdict = Literal["holds", "nearly", "does not hold", "not measured", "failed"]
# Medians of the same work differ by some per cent from run to run.
TOLERANCE = 0.1
# How much of a processor may go to other programs.
_MOST_DISTURBED = 0.1
_DISTURBED = "careful: other programs kept {0.others_busy:.1f} of {0.num_cores} cores busy; measure again"


@dataclass(frozen=True)
class BenchRow:
    """One claim, and the measurement of it."""

    name: str
    benchmark: str
    unit: str
    direction: str
    claimed: float
    measured: float | None
    """The ratio of the two figures, or the figure."""
    verdict: Verdict
    """Whether the claim holds; "nearly" is within 10% of it."""
    ours: Figure | None = None
    theirs: Figure | None = None
    """The figure of the other, where the claim is about a ratio."""
    reason: str = ""
    """The reason why there is no number."""
    is_relative: bool = True
    """It is not a time, and so has to hold on any machine."""

    @classmethod
    def of(cls, claim: Claim, figures: Sequence[Figure]) -> BenchRow:
        """Judge a claim by the figures of its benchmark: of several variants the best counts.

        Of a figure that stands by itself, the worst counts.
        """
        own, other = (
            [each for each in figures if each.unit == claim.unit and is_variant(each.contender, name)]
            for name in (claim.ours, claim.theirs)
        )
        ours, theirs = _extreme(own, best=bool(claim.theirs)), _extreme(other, best=True)
        value = ours.value if ours else None
        if claim.theirs:
            value = value / theirs.value if value is not None and theirs and theirs.value else None
        reasons = [] if value is not None else [*own, *other]
        verdict = judge(value, claim.direction, claim.bound)
        if value is None and not any(each.missing for each in reasons):
            verdict = "failed"
        return cls(
            claim.name,
            claim.benchmark.title,
            claim.unit,
            claim.direction,
            claim.bound,
            value,
            verdict,
            ours,
            theirs,
            "; ".join(sorted({each.missing or each.error for each in reasons} - {""})),
            claim.is_relative,
        )

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        unit = "" if self.theirs or self.measured is None else f" {self.unit}"
        sides = [f"{each.contender} {number_text(each.value)}" for each in (self.ours, self.theirs) if each]
        claimed = f"{self.direction} {number_text(self.claimed)}"
        of_what = self.reason or " / ".join(sides)
        return self.name, claimed, number_text(self.measured) + unit, self.verdict, of_what


@dataclass(frozen=True)
class BenchReport(Report[BenchRow]):
    """All claims that were measured again."""

    rows: tuple[BenchRow, ...]
    figures: tuple[Figure, ...] = ()
    """Everything that was measured."""
    num_cores: int = 1
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
        verdicts = {row.verdict for row in self.rows if row.is_relative and not self.is_quick}
        return "does not hold" not in verdicts and not any(row.verdict == "failed" for row in self.rows)

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
    wanted: dict[str, list[str]] = {}  # the contenders that a claim is about, by benchmark
    for claim in claims:
        wanted.setdefault(claim.benchmark.title, []).extend(claim.names)
    figures: dict[str, list[Figure]] = {}
    with (
        _terminable(),
        TemporaryDirectory(prefix="pvio_bench_", ignore_cleanup_errors=True) as folder,
        tqdm(desc="measuring", unit="benchmark", leave=False, disable=not progress) as bar,
    ):
        benchmarks = {claim.benchmark.title: claim.benchmark for claim in claims}
        if full and not names:
            benchmarks = {each.title: each for each in BENCHMARKS}
        bar.total = len(benchmarks)
        for title, benchmark in benchmarks.items():
            entrants = [
                name
                for name in benchmark.entrants
                if full or any(is_variant(name, each) for each in wanted[title])
            ]
            figures[title] = compare(
                benchmark, entrants, Path(folder), is_quick=quick, note=bar.set_postfix_str
            )
            bar.update()
    rows = tuple(BenchRow.of(claim, figures[claim.benchmark.title]) for claim in claims)
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


def _extreme(figures: Sequence[Figure], *, best: bool) -> Figure | None:
    """Return the most favourable of them, or the least; None if none has a value."""
    known = [figure for figure in figures if figure.value is not None]
    if not known:
        return None
    pick = max if ("/s" in known[0].unit) == best else min
    return pick(known, key=lambda figure: figure.value or 0.0)


def number_text(value: float | None) -> str:
    """Return a number in words: 1572.4 -> '1,572'; 9.534 -> '9.53'; None -> '-'."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _figure_cells(figure: Figure) -> tuple[str, ...]:
    if figure.value is None:
        return figure.contender, "-", figure.missing or figure.error, figure.unit
    spread = f"{number_text(figure.low)}-{number_text(figure.high)}"
    return figure.contender, number_text(figure.value), spread, figure.unit


class OtherPrograms:
    """A watch on all other programs; not on this one, nor on those it has started and seen ending."""

    def __init__(self) -> None:
        self._begin = self._now()

    def cores(self) -> float | None:
        """Return how many processors they have kept busy since then; None where the system does not say."""
        busy, own, clock = (now - then for now, then in zip(self._now(), self._begin, strict=True))
        if not self._begin[0] or clock <= 0:
            return None
        return max(0.0, busy - own) / clock

    def _now(self) -> tuple[float, float, float]:
        return _busy_seconds(), sum(os.times()[:4]), time.perf_counter()


def _busy_seconds() -> float:
    """Return the time that all processors have worked so far: neither idle, nor waiting for a disk."""
    with suppress(OSError, ValueError, AttributeError):
        ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return (sum(ticks[:3]) + sum(ticks[5:8])) / os.sysconf("SC_CLK_TCK")
    return 0.0
