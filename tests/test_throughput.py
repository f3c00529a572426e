from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from fake_peers import FakeRunner, children, events
from optional import needs
from truth_frames import SAMPLES, true_frames

from pvio_lab.base import ChildError, html_of
from pvio_lab.errors import OpenError
from pvio_lab.measure import (
    PEERS,
    ThroughputReport,
    ThroughputRow,
    measure_throughput,
    throughput,
    throughput_steps,
)
from pvio_lab.measure.throughput import run_steps

CLIP = str(SAMPLES / "gop2.mp4")
PNG = b"\x89PNG"
posix_only = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(throughput, "num_cpus", lambda: 2)


def steps(log, runners, repeats=3, patterns=("random",), seconds=0.01):
    """Steps over fake runners; `runners`: the results of each contender, by name and threads."""

    def make(name, threads):
        return FakeRunner(log, name, threads, **runners.get((name, threads), {}))

    names = dict.fromkeys(name for name, _ in runners)
    given = run_steps([CLIP], patterns, list(names), seconds, repeats, make)
    assert next(given).row is None
    return given


def last_rows(given):
    return {(step.row.reader, step.row.threads): step.row for step in given}


# --- turns ---


def test_readers_take_turns_and_another_one_begins_each_time():
    log = []
    list(steps(log, {("a", 1): {}, ("b", 1): {}}))
    turns = [(name, threads) for name, threads in events(log, "run")]
    lanes = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert turns == [*lanes, *lanes[1:], *lanes[:1], *lanes[2:], *lanes[:2]]


def test_with_one_core_there_is_one_lane(monkeypatch):
    monkeypatch.setattr(throughput, "num_cpus", lambda: 1)
    log = []
    assert {step.row.threads for step in steps(log, {("a", 1): {}})} == {"1 thread"}
    assert events(log, "close") == [("a", 1)]


def test_steps_count_the_pieces_and_carry_what_is_known():
    given = list(steps([], {("a", 1): {"results": [70, 300, 90]}}, patterns=("random", "batch")))
    assert [(step.done, step.total) for step in given] == [(done, 12) for done in range(1, 13)]
    rows = [step.row for step in given[:6] if step.row.threads == "1 thread"]
    assert [row.frames_per_second for row in rows] == [70, 185, 90]
    assert (rows[-1].low, rows[-1].high) == (70, 300)


def test_an_error_stays_in_its_row_and_the_others_go_on():
    log = []
    rows = last_rows(steps(log, {("a", 1): {"results": [80, ChildError("it breaks")]}, ("b", 1): {}}))
    bad, good = rows["a", "1 thread"], rows["b", "1 thread"]
    assert (bad.frames_per_second, bad.error, bad.verdict) == (80, "it breaks", "it breaks")
    assert good.error is None
    assert [events(log, "run").count((name, 1)) for name in "ab"] == [2, 3]


def test_a_reader_that_does_not_load_is_named():
    bad = {("a", threads): {"load_error": "no library"} for threads in (1, 2)}
    given = list(steps([], {**bad, ("b", 1): {}}))
    assert given[-1].missing == {"a": "no library"}
    assert {step.row.reader for step in given} == {"b"}
    assert given[-1].done == given[-1].total == 6
    assert list(steps([], bad)) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), MemoryError(), None])
def test_an_interruption_ends_all_readers(stop):
    log = []
    given = steps(log, {("a", 1): {}, ("b", 1): {"results": [stop or 100]}})
    if stop is None:
        next(given)
        given.close()
    else:
        with pytest.raises(type(stop)):
            list(given)
    assert len(events(log, "close")) == 4


# --- what is checked ---


@pytest.mark.parametrize(
    ("change", "wrong", "note"),
    [
        (lambda frames, number: frames[number], 0, ""),
        (lambda frames, number: frames[min(number + 1, 58)], 1, ""),
        (lambda frames, number: frames[number] // 2 + 60, 0, "colours differ"),
        (lambda frames, number: frames[number].transpose(1, 0, 2), 1, "its frames are 240x320, not 320x240"),
    ],
    ids=["right", "late", "recoloured", "on their side"],
)
def test_wrong_frames_are_counted_and_other_colours_named(change, wrong, note):
    runner = {"frames": true_frames(SAMPLES / "gop2.mp4"), "change": change}
    row = last_rows(steps([], {("a", 1): runner}, seconds=0.1))["a", "1 thread"]
    assert row.checked_frames > 3
    assert row.note == note
    assert wrong * (row.checked_frames - 3) <= row.wrong_frames <= wrong * row.checked_frames
    found = (
        f"{row.wrong_frames} of {row.checked_frames} frames wrong" if wrong else f"{row.checked_frames} right"
    )
    assert row.verdict == "; ".join(filter(None, [found, note]))


# --- real readers, in processes of their own ---


def test_real_readers_are_measured():
    report = measure_throughput(CLIP, readers=["pyav", "pvio_lab"], seconds=0.02, repeats=2, progress=False)
    assert len(report) == 12
    assert all(row.frames_per_second > 0 and row.low <= row.frames_per_second <= row.high for row in report)
    assert all(row.checked_frames and row.verdict for row in report)
    assert all(row.ratio == 1 and not row.wrong_frames for row in report if row.reader == "pvio_lab")
    assert children() == []


@pytest.mark.peers
def test_every_peer_is_measured(monkeypatch):
    monkeypatch.setattr(throughput, "num_cpus", lambda: 1)
    for kind in PEERS.values():
        needs(kind.module)
    report = measure_throughput(CLIP, patterns=["batch"], seconds=0.02, repeats=1, progress=False)
    assert {row.reader for row in report} == set(PEERS)
    assert [row.error for row in report if row.error] == []
    assert [row.verdict for row in report if row.reader == "pvio_lab" and row.wrong_frames] == []


def test_steps_of_real_readers_can_be_left_at_any_time():
    given = throughput_steps(CLIP, readers=["pvio_lab"], seconds=0.02)
    assert next(given)[:3] == (0, 18, None)
    assert next(given).row.reader == "pvio_lab"
    assert len(children()) == 2
    given.close()
    assert children() == []


FAKE_DECORD = """
import os, sys
print("noise", flush=True)

class VideoReader:
    def __init__(self, path, num_threads):
        if num_threads > 1:
            os.kill(os.getpid(), 11) if os.name == "posix" else os._exit(5)

    def __getitem__(self, number):
        raise RuntimeError("this is not\\nmy day")

    def seek(self, number):
        pass
"""


@posix_only
def test_a_reader_that_crashes_or_raises_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "decord.py").write_text(FAKE_DECORD)
    monkeypatch.syspath_prepend(tmp_path)
    options = {"patterns": ["random"], "seconds": 0.02, "repeats": 2, "progress": False}
    report = measure_throughput(CLIP, readers=["decord", "pvio_lab"], **options)
    errors = {(row.reader, row.threads): row.error for row in report}
    assert errors["decord", "1 thread"] == "RuntimeError: this is not"
    assert errors["decord", "all cores"] == "its process crashed (SIGSEGV)"
    assert errors["pvio_lab", "all cores"] is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import time\ntime.sleep(600)", "stopped: it took longer than 2 s"),
        ("raise RuntimeError('no FFmpeg\\nand much more')", "RuntimeError: no FFmpeg"),
    ],
)
def test_a_reader_that_cannot_be_imported_is_left_out_and_says_why(tmp_path, monkeypatch, code, words):
    (tmp_path / "decord.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    if "sleep" in code:
        monkeypatch.setattr("pvio_lab.base.children.STARTUP_SECONDS", 2)
    report = measure_throughput(CLIP, readers=["decord"], seconds=0.02, progress=False)
    assert report.missing == {"decord": words}
    assert f"left out: decord: {words}" in repr(report)
    assert len(report) == 0


@posix_only
@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_leaves_no_process():
    call = f"measure_throughput({CLIP!r}, patterns=['random'], readers=['pvio_lab'], seconds=60)"
    code = f"from pvio_lab import measure_throughput; {call}"
    started = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    there = psutil.Process(started.pid)
    deadline = time.monotonic() + 60
    while len(there.children()) < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    readers = there.children()
    started.send_signal(signal.SIGINT)
    _, words = started.communicate(timeout=60)
    assert words.decode().rstrip().endswith("KeyboardInterrupt")
    assert readers
    assert psutil.wait_procs(readers, timeout=10)[1] == []


# --- arguments ---


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"readers": ["ffms"]}, ValueError, "there is no 'ffms'; choose from 'pvio_lab', 'decord'"),
        ({"readers": []}, ValueError, "readers is empty; choose from 'pvio_lab'"),
        ({"patterns": ["backwards"]}, ValueError, "there is no 'backwards'; choose from 'sequential'"),
        ({"seconds": 0}, ValueError, "seconds=0 must be more than 0"),
        ({"seconds": "1"}, TypeError, "seconds='1' must be a number"),
        ({"repeats": 0}, ValueError, "repeats=0"),
    ],
)
def test_wrong_arguments(wrong, error, words):
    with pytest.raises(error, match=words):
        measure_throughput(CLIP, **wrong)


@pytest.mark.parametrize(
    ("sources", "error", "words"),
    [
        ([], ValueError, "name at least one"),
        ([CLIP, "nowhere.mp4"], FileNotFoundError, r"nowhere\.mp4"),
        ([CLIP, SAMPLES / "truth.json"], OpenError, r"truth\.json"),
        (SAMPLES / "numbered", ValueError, "is a directory"),
        ([3], TypeError, "int"),
    ],
)
def test_wrong_sources_are_noticed_before_anything_is_measured(sources, error, words):
    with pytest.raises(error, match=words):
        measure_throughput(sources)
    assert children() == []


# --- the report ---


def row(reader="pvio_lab", threads="1 thread", rate=100.0, **changes):
    usual = {"source": "clips/a.mp4", "version": f"{reader} 1", "pattern": "random"}
    rates = {"frames_per_second": rate, "low": rate and rate * 0.9, "high": rate and rate * 1.2}
    return ThroughputRow(reader=reader, threads=threads, **usual | rates | changes)


ROWS = [
    row("slow", rate=25.0, wrong_frames=3, checked_frames=60),
    row("broken", rate=None, error="it breaks " * 30),
    row("fast", rate=1250.0, note="colours differ", checked_frames=60, cores_busy=1.7),
    row(checked_frames=60, cores_busy=0.99),
    row(threads="all cores", rate=170.0),
    row(pattern="sequential", source="b.mp4"),
    row(pattern="sequential"),
]
REPORT = ThroughputReport.of(ROWS, {"opencv": "not <there>"}, 2)


def test_rows_are_sorted_and_related_to_this_library():
    shown = [(row.source[-5], row.pattern, row.threads[:1], row.reader, row.ratio) for row in REPORT]
    assert shown == [
        ("a", "sequential", "1", "pvio_lab", 1.0),
        ("a", "random", "1", "fast", 12.5),
        ("a", "random", "1", "pvio_lab", 1.0),
        ("a", "random", "1", "slow", 0.25),
        ("a", "random", "1", "broken", None),
        ("a", "random", "a", "pvio_lab", 1.0),
        ("b", "sequential", "1", "pvio_lab", 1.0),
    ]


def test_the_report_as_text():
    lines = repr(REPORT).splitlines()
    assert lines[0] == "ThroughputReport(7 rows, 2 cores)"
    assert lines[1] == "a.mp4"
    assert (
        lines[4].split()
        == "random 1 thread fast 1,250 1,125-1,500 12.50 1.7 60 right; colours differ".split()
    )
    assert lines[6].endswith("3 of 60 frames wrong")
    assert max(map(len, lines)) < 200
    assert lines[-1] == "left out: opencv: not <there>"


def test_a_disturbed_measurement_says_so():
    calm, disturbed = (ThroughputReport.of([row(cores_busy=cores)], {}, 2) for cores in (0.95, 0.5))
    assert "careful" not in repr(calm)
    assert "other programs were busy" in repr(disturbed)


def test_the_report_as_dicts_and_html():
    assert len(REPORT.to_dicts()) == 7
    assert REPORT.to_dicts()[1]["frames_per_second"] == 1250.0
    html = html_of("throughput", REPORT)
    assert html == REPORT._repr_html_()
    assert html.count("<table") == 2
    assert "not &lt;there&gt;" in html
    wrong = [line for line in html.split("<tr") if "jp-error-color" in line]
    assert ["slow" in line or "broken" in line for line in wrong] == [True, True]


def test_the_report_as_a_picture():
    figure = REPORT.plot()
    assert [axes.get_title() for axes in figure.axes] == ["sequential", "random"] * 2
    assert figure.axes[-1].get_xlabel() == "frames per second"
    assert figure.axes[0].get_yticklabels()[0].get_text() == "pvio_lab"
    assert {text.get_text().strip() for text in figure.axes[1].texts} == {"3/60 wrong", "fails"}
    assert figure._repr_png_().startswith(PNG)
    with pytest.raises(ValueError, match="nothing to draw"):
        ThroughputReport.of([], {}, 2).plot()
