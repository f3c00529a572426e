"""The throughput profiler without a browser: its buttons are clicked, its child values are read."""

from __future__ import annotations

import threading
import time

import pytest
from fake_peers import FakeRunner, children
from truth_frames import SAMPLES

from pvio_lab import profile_throughput
from pvio_lab.base import ChildError
from pvio_lab.measure import (
    Stop,
    ThroughputReport,
    missing_peers,
    profile_pattern,
    throughput,
    throughput_steps,
)
from pvio_lab.measure.throughput import run_steps
from pvio_lab.view import profiler as profiler_module
from pvio_lab.view.panel import MeasurePanel, Moment

CLIP = str(SAMPLES / "gop2.mp4")


@pytest.fixture
def fakes(monkeypatch):
    """Readers that answer at once; `gate` holds every piece back until it is set."""
    log, gate = [], threading.Event()
    gate.set()

    class GatedRunner(FakeRunner):
        def run(self, task):
            assert gate.wait(30)
            return super().run(task)

        def close(self):
            super().close()
            gate.set()

    monkeypatch.setattr(throughput, "num_cpus", lambda: 2)
    monkeypatch.setattr(throughput, "ReaderProcess", lambda name, threads: GatedRunner(log, name, threads))
    return log, gate


@pytest.fixture
def panel():
    panel = profile_throughput([CLIP, str(SAMPLES / "all_intra.mp4")])
    panel.readers.choose(["pvio_lab", "pyav"])
    panel.patterns.choose(["random"])
    panel.seconds.value, panel.repeats.value = 0.02, 2
    yield panel
    panel.close()


def test_what_can_be_chosen():
    panel = profile_throughput(CLIP)
    assert repr(panel) == "ThroughputProfiler(gop2.mp4)"
    assert panel.report is None
    assert [name for name, _ in panel.file.options] == ["gop2.mp4"]
    assert panel.patterns.chosen == ["sequential", "random", "batch"]
    assert "pvio_lab" in panel.readers.chosen
    assert set(panel.readers.chosen).isdisjoint(missing_peers())
    panel.close()


def test_missing_readers_are_named(monkeypatch):
    monkeypatch.setattr(profiler_module, "missing_peers", lambda: {"opencv": 'pip install "it"'})
    panel = profile_throughput(CLIP)
    assert "opencv" not in panel.readers.boxes
    note = panel.readers.children[-1].children[-1].value
    assert "not installed: opencv (pip install &quot;it&quot;)" in note
    panel.close()


@pytest.mark.usefixtures("fakes")
def test_a_whole_run(panel):
    panel.file.value = panel.file.options[2][1]
    panel.start_button.click()
    assert panel.wait(60)
    assert panel.status.value.count("Done: 16 of 16 pieces") == 1
    assert (panel.bar.value, panel.bar.max, panel.bar.bar_style) == (16, 16, "success")
    assert isinstance(panel.report, ThroughputReport)
    assert len(panel.report) == 8
    assert f"at random: {panel.profile.advice}" in panel.advice.value
    assert 'role="img" aria-label="Bar chart of frames per second. pvio_lab, random' in panel.picture.value
    assert "<table" in panel.table.value
    assert panel.text.value == repr(panel.report)
    assert panel.tsv.value.splitlines()[0].startswith("source\treader\tversion")
    assert len(panel.tsv.value.splitlines()) == 9
    panel.start_button.click()  # again
    assert panel.wait(60)
    assert len(panel.report) == 8


def test_a_stop_in_the_middle_keeps_the_rows(panel, fakes):
    log, gate = fakes
    shown = panel._show

    def after_three(moment, seconds):
        shown(moment, seconds)
        if moment.done == 3:
            gate.clear()

    panel._show = after_three
    panel.start_button.click()
    while panel.bar.value < 3 or gate.is_set():
        time.sleep(0.01)
    assert (panel.file.disabled, panel.start_button.disabled) == (True, True)
    assert len(panel.report) == 3
    panel.stop_button.click()
    assert panel.wait(30)
    assert "Stopped after 3 of 8 pieces; what was measured is kept" in panel.status.value
    assert [row.error for row in panel.report] == [None] * 3
    assert sorted({event for event, *_ in log}) == ["close", "run"]
    assert panel.text.value == repr(panel.report)
    assert not panel.file.disabled
    del panel._show
    panel.start_button.click()  # it can be started again
    assert panel.wait(60)
    assert len(panel.report) == 4


def test_an_error_shows_in_the_widget(panel, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the disk is <gone>")
        yield

    monkeypatch.setattr(profiler_module, "throughput_steps", broken)
    panel.start_button.click()
    with pytest.raises(RuntimeError, match="the disk"):
        panel.wait(30)
    assert 'role="alert"' in panel.status.value
    assert "It did not work: the disk is &lt;gone&gt; (RuntimeError)" in panel.status.value
    assert panel.bar.bar_style == "danger"
    assert not panel.start_button.disabled


def test_no_reader_loads(panel, monkeypatch):
    def make(name, threads):
        return FakeRunner([], name, threads, load_error="no library")

    monkeypatch.setattr(throughput, "ReaderProcess", make)
    panel.start_button.click()
    assert panel.wait(60)
    assert "Nothing could be measured" in panel.status.value
    assert "left out: pyav: no library" in panel.table.value


def test_a_real_run(panel):
    panel.start_button.click()
    assert panel.wait(120)
    assert {row.reader for row in panel.report} == {"pvio_lab", "pyav"}
    assert all(row.frames_per_second > 0 for row in panel.report)
    assert not any(row.wrong_frames for row in panel.report if row.reader == "pvio_lab")
    assert children() == []


def test_closing_ends_thread_and_processes(panel):
    panel.seconds.value = 60.0
    panel.start_button.click()
    deadline = time.monotonic() + 60
    while not children() and time.monotonic() < deadline:
        time.sleep(0.05)
    begin = time.monotonic()
    panel.close()
    assert time.monotonic() - begin < panel.seconds.value
    assert not panel._run.thread.is_alive()
    assert children() == []
    panel.close()


# --- what all panels share ---


class Counter(MeasurePanel):
    def _options(self):
        return {}

    def _measure(self, options, stop):
        for number in range(1000):
            if stop.is_wanted:
                return
            time.sleep(0.01)
            yield Moment(number, 1000, "")

    def _conclusion(self, is_whole):
        return "", ""


def test_a_new_measurement_ends_the_one_before():
    one, two = Counter([], "1"), Counter([], "2")
    one.start()
    two.start()
    assert one.wait(10)
    assert "Stopped after" in one.status.value
    assert two.is_running
    two.stop()
    assert two.wait(10)


# --- the hook in measure ---


@pytest.mark.parametrize("error", [ChildError("its process crashed"), ValueError("never seen")])
def test_a_piece_that_was_cut_off_is_forgotten(monkeypatch, error):
    monkeypatch.setattr(throughput, "num_cpus", lambda: 1)
    stop = Stop()

    class Cut(FakeRunner):
        def run(self, task):
            piece = super().run(task)
            if len(log) == 2:
                stop.request()
                if isinstance(error, ChildError):
                    raise error
            return piece

    log = []
    given = list(run_steps([CLIP], ["random"], ["a"], 0.01, 5, lambda *who: Cut(log, *who), stop))
    assert [step.done for step in given] == [0, 1]
    assert [event for event, *_ in log] == ["run", "run", "close", "close"]


def test_a_stop_cuts_a_real_piece_short_and_measures_nothing_after():
    stop = Stop()
    options = {"readers": ["pvio_lab"], "patterns": ["random"], "seconds": 60, "stop": stop}
    given = throughput_steps(CLIP, **options)
    assert next(given).done == 0
    threading.Timer(1.0, stop.request).start()
    begin = time.monotonic()
    assert list(given) == []
    assert time.monotonic() - begin < 60
    assert list(throughput_steps(CLIP, **options)) == []
    assert children() == []


def test_a_profile_takes_about_as_long_as_it_may():
    few = profile_pattern(CLIP, "random", seconds=1e-6)
    many = profile_pattern(CLIP, "sequential", seconds=5)
    assert (few.num_frames, many.num_frames) == (4, 64) or many.num_frames < 64


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ([], ValueError, "name at least one"),
        ("nowhere.mp4", FileNotFoundError, "nowhere"),
        (SAMPLES / "numbered", ValueError, "is a directory"),
    ],
)
def test_wrong_sources(source, error, words):
    with pytest.raises(error, match=words):
        profile_throughput(source)


def test_a_file_that_is_no_video_is_said_in_place():
    panel = profile_throughput(SAMPLES / "truth.json")
    panel.start_button.click()
    with pytest.raises(Exception, match="truth"):
        panel.wait(30)
    assert "It did not work" in panel.status.value
    panel.close()
