"""The benchmarks of this project's claims: turns, figures, verdicts, and a run that leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import fake_bench
import pytest
from fake_bench import FakeRunner

from pvio_lab.base import ChildError
from pvio_lab.measure import __main__ as program
from pvio_lab.measure.bench import contenders
from pvio_lab.measure.bench import report as module
from pvio_lab.measure.bench.claims import BENCHMARKS, CLAIMS, Claim, chosen
from pvio_lab.measure.bench.contenders import Benchmark, ContenderProcess, Figure, Missing, compare
from pvio_lab.measure.bench.report import BenchReport, BenchRow, judge, run_bench

MADE = []
BENCHMARK = Benchmark(
    "a race",
    {name: (fake_bench.good, 7) for name in ("pvio_lab", "peer, 1", "other")},
    ("clips", lambda folder, is_quick: MADE.append(folder)),
    [(1,), (2,), (3,)],
    [(1,)],
    ["frames/s"],
    is_fresh=False,
)
CLAIM = Claim("race", "at least", 2, BENCHMARK, "pvio_lab", "peer")


def figures(ours=10.0, *theirs, unit="frames/s"):
    values = {"pvio_lab": ours, **{f"peer, {number}": value for number, value in enumerate(theirs)}}
    return [Figure("a race", name, unit, value, value, value) for name, value in values.items()]


# --- turns, with fakes ---


@pytest.fixture
def log():
    return []


def raced(tmp_path, log, results, **changes):
    def start(entrant, source, folder):
        kind, number = entrant
        assert (number, source, folder) == (7, tmp_path / "clips", tmp_path)
        return FakeRunner(log, results, kind)

    race = replace(BENCHMARK, entrants={name: (name, 7) for name in results}, **changes)
    return compare(race, results, tmp_path, start=start)


def test_medians_without_the_warm_up(tmp_path, log):
    assert raced(tmp_path, log, {"a": [99.0, 1.0, 5.0, 2.0], "b": 4.0}) == [
        Figure("a race", "a", "frames/s", 2.0, 1.0, 5.0),
        Figure("a race", "b", "frames/s", 4.0, 4.0, 4.0),
    ]
    assert [kind for event, kind, *_ in log if event == "start"] == ["a", "b"]
    turns = [f"{kind}{given}" for event, kind, *given in log if event == "go"]
    assert turns == "a[1] b[1] b[1] a[1] a[2] b[2] b[3] a[3]".split()


def test_fresh_contenders_start_for_each_turn_alone(tmp_path, log):
    raced(tmp_path, log, {"a": 1.0, "b": 1.0}, rounds=[()], is_fresh=True, warms_up=False)
    assert log == [(event, kind) for kind in "ab" for event in ("start", "go", "close")]


@pytest.mark.parametrize("is_fresh", [False, True])
def test_an_interrupt_ends_all_that_run(tmp_path, log, is_fresh):
    with pytest.raises(KeyboardInterrupt):
        raced(tmp_path, log, {"a": 1.0, "b": KeyboardInterrupt()}, is_fresh=is_fresh)
    ends = {event: sorted(kind for each, kind, *_ in log if each == event) for event in ("start", "close")}
    assert ends["start"] == ends["close"]


@pytest.mark.parametrize(
    ("error", "field"), [(Missing("not here"), "missing"), (ChildError("it breaks"), "error")]
)
def test_one_that_fails_is_not_asked_again(tmp_path, log, error, field):
    found = raced(tmp_path, log, {"a": 1.0, "b": error})
    assert found[1] == replace(Figure("a race", "b", "frames/s"), **{field: str(error)})
    assert sum(event == "go" and kind == "b" for event, kind, *_ in log) == 1


def test_files_are_made_once(tmp_path, log):
    MADE.clear()
    for _ in range(2):
        raced(tmp_path, log, {"a": 1.0})
    assert len(MADE) == 1


# --- real processes, and the figures of this one ---


def test_a_process_measures(tmp_path):
    with ContenderProcess((fake_bench.good,), tmp_path, tmp_path) as process:
        found = process.run([50])
        assert found["frames/s"] == pytest.approx(50 / (found["ms"] / 1e3))
        assert found["MB"] > 1 or sys.platform == "win32"
        assert process.run([{"apples": 3}])["apples"] == 3


@pytest.mark.parametrize(
    ("prepare", "error", "words"),
    [
        (fake_bench.absent, Missing, "no_such_package_1.*; pip install it"),
        (fake_bench.picky, ChildError, "ZeroDivisionError"),
    ],
)
def test_a_contender_that_cannot_be_made(tmp_path, prepare, error, words):
    with (
        ContenderProcess((prepare,), tmp_path, tmp_path) as process,
        pytest.raises(error, match=words),
    ):
        process.run([1])


def test_the_numbers_of_the_system(monkeypatch):
    if not Path("/proc/self/statm").exists():
        pytest.skip("there is no /proc here")
    assert 0 < contenders.resident_bytes() <= contenders.peak_bytes()
    assert contenders.tree_bytes(os.getpid()) >= 0.9 * contenders.resident_bytes()
    assert contenders.open_files() > 2
    assert module.OtherPrograms().cores() is not None
    moments = iter([(10.0, 1.0, 100.0), (16.0, 5.0, 104.0)])
    monkeypatch.setattr(module.OtherPrograms, "_now", lambda self: next(moments))
    assert module.OtherPrograms().cores() == 0.5  # own work is not that of others


# --- claims and the report ---


@pytest.mark.parametrize(
    ("value", "direction", "bound", "verdict"),
    [
        (2.0, "at least", 2, "holds"),
        (1.8, "at least", 2, "nearly"),
        (1.79, "at least", 2, "does not hold"),
        (2.21, "at most", 2, "does not hold"),
        (1, "at most", 0, "does not hold"),
        (-5, "at most", 0, "holds"),
        (None, "at most", 0, "not measured"),
    ],
)
def test_judge(value, direction, bound, verdict):
    assert judge(value, direction, bound) == verdict


@pytest.mark.parametrize(("unit", "best"), [("frames/s", "peer, 1"), ("ms", "peer, 0")])
def test_a_ratio_is_that_of_the_best_variant(unit, best):
    others = [Figure("a race", "peer too", unit, 99.0), Figure("a race", "pvio_lab", "other", 99.0)]
    row = BenchRow.of(replace(CLAIM, unit=unit), [*figures(10.0, 1.0, 4.0, None, unit=unit), *others])
    assert (row.theirs.contender, row.measured) == (best, 10 / row.theirs.value)


@pytest.mark.parametrize(("unit", "worst"), [("MB", 6.0), ("frames/s", 4.0)])
def test_a_figure_alone_is_that_of_the_worst_variant(unit, worst):
    claim = replace(CLAIM, ours="peer", theirs="", unit=unit, direction="at most", bound=3)
    row = BenchRow.of(claim, figures(0.0, 4.0, 6.0, unit=unit))
    assert (row.measured, row.verdict) == (worst, "does not hold")


@pytest.mark.parametrize(
    ("trouble", "verdict", "is_good"),
    [
        ({"missing": "no peer; pip install it"}, "not measured", True),
        ({"error": "it broke"}, "failed", False),
    ],
)
def test_a_missing_peer_is_named_and_is_no_failure(trouble, verdict, is_good):
    row = BenchRow.of(CLAIM, [*figures(), Figure("a race", "peer, 1", "frames/s", **trouble)])
    report = BenchReport((row,))
    assert (row.verdict, report.is_good) == (verdict, is_good)
    assert next(iter(trouble.values())) in repr(report)


@pytest.mark.parametrize(
    ("change", "options", "is_good"),
    [
        ({}, {}, False),
        ({}, {"is_quick": True}, True),
        ({"is_relative": False}, {}, True),
        ({"verdict": "nearly"}, {}, True),
        ({"verdict": "failed"}, {"is_quick": True}, False),
    ],
)
def test_what_makes_the_exit_code(change, options, is_good):
    row = replace(BenchRow.of(CLAIM, figures(1.0, 1.0)), **change)
    assert BenchReport((row,), **options).is_good == is_good


def test_the_tables():
    report = BenchReport((BenchRow.of(CLAIM, figures(10.0, 4.0)),), tuple(figures(10.0, 4.0)), 2)
    assert repr(report) == (
        "BenchReport(1 of 1 claims hold, 2 cores)\n"
        "claim  claimed     measured  verdict  of what\n"
        "race   at least 2       2.5  holds    pvio_lab 10 / peer, 0 4"
    )
    assert repr(replace(report, is_full=True)).startswith(f"{report.table()}\n\nBenchReport")
    assert report.table().splitlines()[:2] == ["a race", "contender  median  lowest-highest  unit"]
    assert json.loads(json.dumps(report.to_dicts()))[0]["theirs"]["value"] == 4
    assert report._repr_html_() is None
    busy = "careful: other programs kept 1.2 of 2 cores busy"
    assert [busy in repr(replace(report, others_busy=cores)) for cores in (0.05, 1.23)] == [False, True]


def test_the_claims_are_in_order():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    for claim in CLAIMS:
        assert claim.benchmark in BENCHMARKS
        for name in claim.names:
            assert any(each.partition(",")[0] == name or each == name for each in claim.benchmark.entrants)


def test_claims_are_chosen_by_the_beginnings_of_their_names():
    found = [claim.name for claim in chosen(CLAIMS, ["write.memory", "load.clips"])]
    assert sorted(found) == ["load.clips.0", "load.clips.2", "write.memory"]
    assert chosen(CLAIMS, []) == list(CLAIMS)
    with pytest.raises(ValueError, match=r"no benchmark 'lo'; choose from read\.random, .*load\.clips"):
        chosen(CLAIMS, ["lo"])


# --- the whole ---


@pytest.fixture
def runs(monkeypatch):
    """Runs see one claim, which `figures` measures; their folders, and the contenders."""
    seen = []

    def compared(benchmark, names, folder, **options):
        seen.append((folder, names))
        (folder / "file").touch()
        return figures(10.0, 4.0)

    monkeypatch.setattr(module, "compare", compared)
    monkeypatch.setattr(module, "CLAIMS", (CLAIM,))
    monkeypatch.setattr(module, "BENCHMARKS", (BENCHMARK,))
    yield seen
    assert seen
    assert not any(folder.exists() for folder, _ in seen)


@pytest.mark.parametrize("full", [False, True])
def test_a_run_leaves_nothing_and_only_those_take_part_that_a_claim_is_about(runs, full):
    report = run_bench(full=full, progress=False)
    assert [row.verdict for row in report] == ["holds"]
    assert runs[0][1] == ["pvio_lab", "peer, 1", *(["other"] if full else [])]


def interrupt(*given):
    raise KeyboardInterrupt


def terminate(*given):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(9)


@pytest.mark.parametrize("end", [interrupt, terminate])
def test_an_interrupted_run_leaves_nothing(runs, monkeypatch, capsys, end):
    if end is terminate and sys.platform == "win32":
        pytest.skip("there it ends a process at once")
    monkeypatch.setattr(sys.modules[__name__], "figures", end)
    before = signal.getsignal(signal.SIGTERM)
    assert program.main(["bench", "--quiet"]) == 130
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_the_command(runs, monkeypatch, capsys):
    assert program.main("bench race --quiet --json".split()) == 0
    assert json.loads(capsys.readouterr().out)[0]["measured"] == 2.5
    monkeypatch.setattr(module, "CLAIMS", (replace(CLAIM, bound=9),))
    assert program.main("bench race --quiet".split()) == 1
    assert program.main("bench race --quiet --quick".split()) == 0
    assert program.main("bench nothing".split()) == 2
    assert "there is no benchmark 'nothing'" in capsys.readouterr().err


def test_a_real_claim(capsys):
    assert program.main("bench write.joining --quick --quiet".split()) == 0
    out = capsys.readouterr().out
    assert "a quick run" in out
    assert "joining" in out
    assert "not measured" not in out
