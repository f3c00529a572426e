from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import fake_bench
import pytest
from fake_bench import FakeRunner

from pvio_lab.measure import __main__ as program
from pvio_lab.measure.bench import lab as lab_module
from pvio_lab.measure.bench import run as run_module
from pvio_lab.measure.bench.child import Child, Failed, Missing
from pvio_lab.measure.bench.claims import BENCHMARKS, CLAIMS, Claim, chosen
from pvio_lab.measure.bench.lab import Benchmark, Figure, Lab, best, find, turns
from pvio_lab.measure.bench.media import Others, open_files, peak_bytes, resident_bytes, tree_bytes
from pvio_lab.measure.bench.report import BenchReport, BenchRow, judge
from pvio_lab.measure.bench.run import run_bench

BENCHMARK = Benchmark("a race", {"pvio_lab": ("good",), "peer, 1": ("good",)}, lambda *given: [])
CLAIM = Claim("race", "at least", 2, BENCHMARK, "pvio_lab", "peer")


def figures(ours=10.0, *theirs, unit="frames/s"):
    values = {"pvio_lab": ours, **{f"peer, {number}": value for number, value in enumerate(theirs)}}
    return [Figure("a race", name, unit, value, value, value) for name, value in values.items()]


# --- turns ---


def test_another_one_is_first_each_time():
    order = list(turns("abc", 3))
    assert [name for number, name in order if number == 1] == ["b", "c", "a"]
    assert [order[3 * number][1] for number in range(4)] == ["a", "b", "c", "a"]


def test_all_have_the_same_number_of_turns():
    assert sorted(turns("ab", 2)) == [(0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"), (2, "b")]


def test_the_warm_up_can_be_left_out():
    assert {number for number, _ in turns("ab", 2, warm_up=False)} == {1, 2}


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


def test_kept_contenders_start_once(tmp_path, log):
    compare(tmp_path, log, {"a": 1.0, "b": 1.0})
    assert [kind for event, kind, *_ in log if event == "start"] == ["a", "b"]
    assert [tuple(rest) for event, *rest in log if event == "go"] == [
        ("a", 1),
        ("b", 1),
        ("b", 1),
        ("a", 1),
        ("a", 2),
        ("b", 2),
        ("b", 3),
        ("a", 3),
    ]


def test_fresh_contenders_start_for_each_turn_alone(tmp_path, log):
    compare(tmp_path, log, {"a": 1.0, "b": 1.0}, [("go",)], fresh=True)
    assert log[:6] == [
        ("start", "a"),
        ("go", "a"),
        ("close", "a"),
        ("start", "b"),
        ("go", "b"),
        ("close", "b"),
    ]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_ends_all_that_run(tmp_path, log, fresh, error):
    with pytest.raises(error):
        compare(tmp_path, log, {"a": 1.0, "b": error()}, fresh=fresh)
    ends = {event: sorted(kind for each, kind, *_ in log if each == event) for event in ("start", "close")}
    assert ends["start"] == ends["close"]


@pytest.mark.parametrize(
    ("error", "field"), [(Missing("not here"), "missing"), (Failed("it breaks"), "error")]
)
def test_who_fails_is_not_asked_again(tmp_path, log, error, field):
    found = compare(tmp_path, log, {"a": 1.0, "b": error})
    assert found[1] == replace(Figure("a race", "b", "frames/s"), **{field: str(error)})
    assert sum(event == "go" and kind == "b" for event, kind, *_ in log) == 1


def test_a_place_is_made_once(tmp_path):
    lab, made = Lab(tmp_path), []
    assert lab.place("clips", made.append) == lab.place("clips", made.append) == tmp_path / "clips"
    assert made == [tmp_path / "clips"]


# --- real processes ---


@pytest.fixture
def start(tmp_path):
    children = []

    def make(kind="good"):
        children.append(Child(fake_bench.ROOM, kind, (str(tmp_path),), tmp_path))
        return children[-1]

    yield make
    for child in children:
        child.close()


def test_a_child_measures(start):
    child = start()
    found = child.run("count", 50)
    assert found["frames/s"] == pytest.approx(50 / (found["ms"] / 1e3))
    assert found["MB"] > 1 or sys.platform == "win32"
    assert child.run("own")["apples"] == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_may_fork_workers(start):
    assert start().run("fork")["ms"] > 0


def test_an_error_is_told_and_the_child_lives(start):
    child = start()
    with pytest.raises(Failed, match="ValueError: no such frame"):
        child.run("wrong")
    assert child.run("own")["apples"] == 3


@pytest.mark.parametrize(
    ("kind", "task", "error", "words"),
    [
        ("absent", "own", Missing, "no_such_package_1.*; pip install it"),
        ("picky", "own", Failed, "ZeroDivisionError"),
        ("good", "crash", Failed, r"its process crashed \(exit code 3\)"),
    ],
)
def test_what_goes_wrong_in_a_child(start, kind, task, error, words):
    with pytest.raises(error, match=words):
        start(kind).run(task)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no groups of processes")
def test_an_interrupted_child_clears_up_and_takes_its_processes_along(start, tmp_path, monkeypatch):
    child = start()
    interrupt = threading.Thread(target=interrupt_when, args=(tmp_path / "pids", threading.get_ident()))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        child.run("wait")
    interrupt.join()
    child.close()
    assert (tmp_path / "farewell").exists()
    assert wait_for(lambda: not any(map(is_alive, (tmp_path / "pids").read_text().split())))


def interrupt_when(path, thread):
    assert wait_for(path.exists)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def is_alive(pid):
    """A process that has ended, but whose parent has not looked yet, is not alive."""
    try:
        os.kill(int(pid), 0)
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


# --- memory ---


def test_memory_of_this_process():
    if not Path("/proc/self/statm").exists():
        pytest.skip("there is no /proc here")
    assert 0 < resident_bytes() <= peak_bytes()
    assert tree_bytes(os.getpid()) >= 0.9 * resident_bytes()
    assert open_files() > 2


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
        (2.19, "at most", 2, "nearly"),
        (2.21, "at most", 2, "does not hold"),
        (1, "at most", 0, "does not hold"),
        (-5, "at most", 0, "holds"),
        (None, "at most", 0, "not measured"),
    ],
)
def test_judge(value, direction, bound, verdict):
    assert judge(value, direction, bound) == verdict


def test_a_claim_is_about_the_best_of_both():
    row = BenchRow.of(CLAIM, figures(10.0, 1.0, 4.0))
    assert (row.measured, row.theirs.contender, row.verdict) == (2.5, "peer, 1", "holds")


def test_without_the_other_the_worst_counts():
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
def test_a_missing_peer_is_told_and_is_no_failure(trouble, verdict, is_good):
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


@pytest.mark.parametrize(("busy", "is_told"), [(None, False), (0.05, False), (1.23, True)])
def test_other_programs_are_told(busy, is_told):
    told = "careful: other programs kept 1.2 of 2 cores busy"
    assert (told in repr(BenchReport((), num_cores=2, others_busy=busy))) == is_told


def test_own_work_is_not_that_of_others(monkeypatch):
    moments = iter([(10.0, 1.0, 100.0), (16.0, 5.0, 104.0)])
    monkeypatch.setattr(Others, "_now", lambda self: next(moments))
    assert Others().cores() == 0.5


def test_others_on_this_machine():
    assert Path("/proc/stat").exists() == (Others().cores() is not None)


def test_the_claims_are_in_order():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    for claim in CLAIMS:
        assert claim.benchmark in BENCHMARKS
        for name in claim.names:
            assert any(each.partition(",")[0] == name or each == name for each in claim.benchmark.entrants)


def test_claims_are_chosen_by_the_beginnings_of_their_names():
    assert {claim.name for claim in chosen(CLAIMS, ["write.memory", "load.clips"])} == {
        "write.memory",
        "load.clips.0",
        "load.clips.2",
    }
    assert chosen(CLAIMS, []) == list(CLAIMS)
    with pytest.raises(
        ValueError, match=r"there is no benchmark 'lo'; choose from read\.random, .*load\.clips"
    ):
        chosen(CLAIMS, ["lo"])


# --- the whole ---


def race(lab, title, entrants):
    (lab.folder / "file").touch()
    lab.note(f"in {lab.folder}")
    return figures(10.0, 4.0)


@pytest.fixture
def folders(monkeypatch):
    """Runs see one claim, which `race` measures; the folders that they use."""
    seen = []

    def measure(lab, title, entrants):
        seen.append(lab.folder)
        return race(lab, title, entrants)

    claim = replace(CLAIM, benchmark=replace(BENCHMARK, measure=measure))
    monkeypatch.setattr(run_module, "CLAIMS", (claim,))
    monkeypatch.setattr(run_module, "BENCHMARKS", (claim.benchmark,))
    return seen


def test_a_run_leaves_nothing(folders):
    report = run_bench(full=True, progress=False)
    assert [row.verdict for row in report] == ["holds"]
    assert len(folders) == 1
    assert not folders[0].exists()


def test_an_interrupted_run_leaves_nothing(folders, monkeypatch, capsys):
    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[__name__], "figures", stop)
    assert program.main(["bench", "--quiet"]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    assert not folders[0].exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there it ends a process at once")
def test_sigterm_is_like_an_interrupt(folders, monkeypatch, capsys):
    monkeypatch.setattr(
        sys.modules[__name__], "figures", lambda *given: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(9)
    )
    before = signal.getsignal(signal.SIGTERM)
    assert program.main(["bench", "--quiet"]) == 130
    assert signal.getsignal(signal.SIGTERM) is before
    assert not folders[0].exists()


def test_the_command(folders, monkeypatch, capsys):
    assert program.main("bench race --quiet --json".split()) == 0
    assert json.loads(capsys.readouterr().out)[0]["measured"] == 2.5
    monkeypatch.setattr(run_module, "CLAIMS", (replace(run_module.CLAIMS[0], bound=9),))
    assert program.main("bench race --quiet".split()) == 1
    assert program.main("bench race --quiet --quick".split()) == 0
    assert program.main("bench nothing".split()) == 2
    assert "there is no benchmark 'nothing'" in capsys.readouterr().err


def test_only_those_take_part_whom_a_claim_is_about():
    benchmark = replace(BENCHMARK, entrants={**BENCHMARK.entrants, "other": ("good",)})
    claim = replace(CLAIM, benchmark=benchmark)
    assert list(run_module._entrants(benchmark, [claim], is_full=False)) == ["pvio_lab", "peer, 1"]
    assert "other" in run_module._entrants(benchmark, [claim], is_full=True)


def test_a_real_claim(capsys):
    assert lab_module.Child is Child
    assert program.main("bench write.joining --quick --quiet".split()) == 0
    out = capsys.readouterr().out
    assert "a quick run" in out
    assert "joining" in out
    assert "not measured" not in out
