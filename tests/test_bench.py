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
from pvio_lab.measure.bench import run as run_module
from pvio_lab.measure.bench.claims import BENCHMARKS, CLAIMS, Claim, chosen
from pvio_lab.measure.bench.lab import Benchmark, ContenderProcess, Figure, Lab, Missing, best, find
from pvio_lab.measure.bench.media import OtherPrograms, open_files, peak_bytes, resident_bytes, tree_bytes
from pvio_lab.measure.bench.run import BenchReport, BenchRow, judge, run_bench

BENCHMARK = Benchmark("a race", {"pvio_lab": ("good",), "peer, 1": ("good",)}, lambda *given: [])
CLAIM = Claim("race", "at least", 2, BENCHMARK, "pvio_lab", "peer")


def figures(ours=10.0, *theirs, unit="frames/s"):
    values = {"pvio_lab": ours, **{f"peer, {number}": value for number, value in enumerate(theirs)}}
    return [Figure("a race", name, unit, value, value, value) for name, value in values.items()]


# --- the lab, with fakes ---


@pytest.fixture
def log():
    return []


def compare(tmp_path, log, results, tasks=(("go", 1), ("go", 2), ("go", 3)), **options):
    def make(room, kind, arguments, folder):
        assert (room, arguments, folder) == ("room", (str(tmp_path), 7), tmp_path)
        return FakeRunner(log, results, kind)

    entrants = {name: (name, 7) for name in results}
    lab = Lab(tmp_path, make_runner=make)
    return lab.compare("a race", "room", entrants, tmp_path, tasks, ["frames/s"], **options)


def test_medians_without_the_warm_up(tmp_path, log):
    found = compare(tmp_path, log, {"a": [99.0, 1.0, 5.0, 2.0], "b": 4.0})
    assert found == [
        Figure("a race", "a", "frames/s", 2.0, 1.0, 5.0),
        Figure("a race", "b", "frames/s", 4.0, 4.0, 4.0),
    ]
    assert [kind for event, kind, *_ in log if event == "start"] == ["a", "b"]
    turns = [f"{kind}{task}" for event, kind, *task in log if event == "go"]
    assert turns == "a[1] b[1] b[1] a[1] a[2] b[2] b[3] a[3]".split()


def test_fresh_contenders_start_for_each_turn_alone(tmp_path, log):
    compare(tmp_path, log, {"a": 1.0, "b": 1.0}, [("go",)], fresh=True, warm_up=False)
    assert log == [(event, kind) for kind in "ab" for event in ("start", "go", "close")]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_ends_all_that_run(tmp_path, log, fresh, error):
    with pytest.raises(error):
        compare(tmp_path, log, {"a": 1.0, "b": error()}, fresh=fresh)
    ends = {event: sorted(kind for each, kind, *_ in log if each == event) for event in ("start", "close")}
    assert ends["start"] == ends["close"]


@pytest.mark.parametrize(
    ("error", "field"), [(Missing("not here"), "missing"), (ChildError("it breaks"), "error")]
)
def test_one_that_fails_is_not_asked_again(tmp_path, log, error, field):
    found = compare(tmp_path, log, {"a": 1.0, "b": error})
    assert found[1] == replace(Figure("a race", "b", "frames/s"), **{field: str(error)})
    assert sum(event == "go" and kind == "b" for event, kind, *_ in log) == 1


def test_a_place_is_made_once(tmp_path):
    lab, made = Lab(tmp_path), []
    assert lab.place("clips", made.append) == lab.place("clips", made.append) == tmp_path / "clips"
    assert made == [tmp_path / "clips"]


# --- real processes, and the figures of this one ---


def test_a_process_measures(tmp_path):
    with ContenderProcess(fake_bench.ROOM, "good", (str(tmp_path),), tmp_path) as process:
        found = process.run("count", 50)
        assert found["frames/s"] == pytest.approx(50 / (found["ms"] / 1e3))
        assert found["MB"] > 1 or sys.platform == "win32"
        assert process.run("own")["apples"] == 3


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [("absent", Missing, "no_such_package_1.*; pip install it"), ("picky", ChildError, "ZeroDivisionError")],
)
def test_a_contender_that_cannot_be_made(tmp_path, kind, error, words):
    with (
        ContenderProcess(fake_bench.ROOM, kind, (str(tmp_path),), tmp_path) as process,
        pytest.raises(error, match=words),
    ):
        process.run("own")


def test_memory_of_this_process():
    if not Path("/proc/self/statm").exists():
        pytest.skip("there is no /proc here")
    assert 0 < resident_bytes() <= peak_bytes()
    assert tree_bytes(os.getpid()) >= 0.9 * resident_bytes()
    assert open_files() > 2


def test_own_work_is_not_that_of_others(monkeypatch):
    assert Path("/proc/stat").exists() == (OtherPrograms().cores() is not None)
    moments = iter([(10.0, 1.0, 100.0), (16.0, 5.0, 104.0)])
    monkeypatch.setattr(OtherPrograms, "_now", lambda self: next(moments))
    assert OtherPrograms().cores() == 0.5


# --- figures, claims and the report ---


def test_variants_stand_behind_a_comma():
    every = [Figure("", name, "ms", 1.0) for name in ("pvio_lab", "pvio_lab, 2", "pvio_lab float32")]
    assert [each.contender for each in find(every, "pvio_lab", "ms")] == ["pvio_lab", "pvio_lab, 2"]
    assert find(every, "pvio_lab", "frames/s") == []


@pytest.mark.parametrize(("unit", "value", "worst"), [("frames/s", 9.0, 2.0), ("ms", 2.0, 9.0)])
def test_the_best(unit, value, worst):
    found = figures(2.0, 9.0, None, unit=unit)
    assert (best(found).value, best(found, worst=True).value, best([])) == (value, worst, None)


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


def test_a_ratio_is_that_of_the_best_and_a_figure_alone_the_worst():
    row = BenchRow.of(CLAIM, figures(10.0, 1.0, 4.0))
    assert (row.measured, row.theirs.contender, row.verdict) == (2.5, "peer, 1", "holds")
    claim = replace(CLAIM, ours="peer", theirs="", unit="MB", direction="at most", bound=5)
    row = BenchRow.of(claim, figures(0.0, 4.0, 6.0, unit="MB"))
    assert (row.measured, row.verdict) == (6.0, "does not hold")


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
def folders(monkeypatch):
    """Runs see one claim, which `figures` measures; the folders that they use."""
    seen = []

    def measure(lab, title, entrants):
        seen.append(lab.folder)
        (lab.folder / "file").touch()
        return figures(10.0, 4.0)

    claim = replace(CLAIM, benchmark=replace(BENCHMARK, measure=measure))
    monkeypatch.setattr(run_module, "CLAIMS", (claim,))
    monkeypatch.setattr(run_module, "BENCHMARKS", (claim.benchmark,))
    yield seen
    assert seen
    assert not any(folder.exists() for folder in seen)


def test_a_run_leaves_nothing(folders):
    report = run_bench(full=True, progress=False)
    assert [row.verdict for row in report] == ["holds"]


def interrupt(*given):
    raise KeyboardInterrupt


def terminate(*given):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(9)


@pytest.mark.parametrize("end", [interrupt, terminate])
def test_an_interrupted_run_leaves_nothing(folders, monkeypatch, capsys, end):
    if end is terminate and sys.platform == "win32":
        pytest.skip("there it ends a process at once")
    monkeypatch.setattr(sys.modules[__name__], "figures", end)
    before = signal.getsignal(signal.SIGTERM)
    assert program.main(["bench", "--quiet"]) == 130
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_the_command(folders, monkeypatch, capsys):
    assert program.main("bench race --quiet --json".split()) == 0
    assert json.loads(capsys.readouterr().out)[0]["measured"] == 2.5
    monkeypatch.setattr(run_module, "CLAIMS", (replace(run_module.CLAIMS[0], bound=9),))
    assert program.main("bench race --quiet".split()) == 1
    assert program.main("bench race --quiet --quick".split()) == 0
    assert program.main("bench nothing".split()) == 2
    assert "there is no benchmark 'nothing'" in capsys.readouterr().err


def test_only_those_take_part_that_a_claim_is_about():
    benchmark = replace(BENCHMARK, entrants={**BENCHMARK.entrants, "other": ("good",)})
    claim = replace(CLAIM, benchmark=benchmark)
    assert list(run_module._entrants(benchmark, [claim], is_full=False)) == ["pvio_lab", "peer, 1"]
    assert "other" in run_module._entrants(benchmark, [claim], is_full=True)


def test_a_real_claim(capsys):
    assert program.main("bench write.joining --quick --quiet".split()) == 0
    out = capsys.readouterr().out
    assert "a quick run" in out
    assert "joining" in out
    assert "not measured" not in out
