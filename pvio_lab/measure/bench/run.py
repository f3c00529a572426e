"""`run_bench`: measures again what this project claims."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...base import num_cpus
from .claims import BENCHMARKS, CLAIMS, Claim, chosen
from .lab import Benchmark, Figure, Lab
from .media import Others
from .report import BenchReport, BenchRow


def run_bench(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    full: bool = False,
    progress: bool = True,
) -> BenchReport:
    """Runs the benchmarks behind the claims of this project, and shows each number beside its claim.

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

    claims, others = chosen(CLAIMS, names), Others()
    with (
        _terminable(),
        TemporaryDirectory(prefix="pvio_bench_", ignore_cleanup_errors=True) as folder,
        tqdm(desc="measuring", unit="benchmark", leave=False, disable=not progress) as bar,
    ):
        lab = Lab(Path(folder), quick, note=lambda words: bar.set_postfix_str(words))
        benchmarks = _needed(claims, names, is_full=full)
        bar.total = len(benchmarks)
        figures: dict[int, list[Figure]] = {}
        for benchmark in benchmarks:
            figures[id(benchmark)] = benchmark.measure(
                lab, benchmark.title, _entrants(benchmark, claims, is_full=full)
            )
            bar.update()
    report = _report(claims, figures, is_quick=quick, is_full=full)
    return replace(report, others_busy=others.cores())


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, so that neither leaves anything."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _needed(claims: Sequence[Claim], names: Sequence[str], *, is_full: bool) -> list[Benchmark]:
    """The benchmarks of the claims; of all rooms and figures, if nothing is chosen."""
    if is_full and not names:
        return list(BENCHMARKS)
    return list({id(claim.benchmark): claim.benchmark for claim in claims}.values())


def _entrants(benchmark: Benchmark, claims: Sequence[Claim], *, is_full: bool) -> dict[str, Any]:
    """Those that a claim is about."""
    wanted = [name for claim in claims if claim.benchmark is benchmark for name in claim.names]
    return {
        name: entrant
        for name, entrant in benchmark.entrants.items()
        if is_full or any(name == each or name.startswith(f"{each},") for each in wanted)
    }


def _report(
    claims: Sequence[Claim], figures: dict[int, list[Figure]], *, is_quick: bool, is_full: bool
) -> BenchReport:
    rows = tuple(BenchRow.of(claim, figures[id(claim.benchmark)]) for claim in claims)
    every = tuple(figure for each in figures.values() for figure in each)
    return BenchReport(rows, every, num_cpus(), is_quick, is_full)
