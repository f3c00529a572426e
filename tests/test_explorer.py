"""The worker explorer without a browser: its buttons are clicked, its child values are read."""

from __future__ import annotations

import shutil
import threading
import time

import psutil
import pytest
from truth_frames import SAMPLES

from pvio_lab import VideoCollectionDataset, WorkerReport, explore_workers
from pvio_lab.measure import Step, Stop, WorkerRow, worker_steps
from pvio_lab.view import explorer as explorer_module


@pytest.fixture
def collection(tmp_path):
    return [shutil.copy(SAMPLES / "gop2.mp4", tmp_path / f"{n}.mp4") for n in range(4)]


@pytest.fixture
def panel(collection):
    panel = explore_workers(collection, transforms={"slowly": slowly, "broken": broken})
    panel.counts.choose([0, 1, 2])
    panel.kinds.choose(["thread"])
    panel.batch_size.value, panel.seconds.value, panel.repeats.value = 16, 0.03, 2
    yield panel
    panel.close()


def slowly(frames):
    time.sleep(0.01)
    return frames


def broken(frames):
    raise RuntimeError("no such colour")


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def row(count, rate, kind="thread", **changes):
    times = {"decode_seconds": 0.8 / rate, "transform_seconds": 0.1 / rate, "hand_over_seconds": 0.1 / rate}
    rates = {"frames_per_second": rate, "low": 0.9 * rate, "high": 1.1 * rate, "first_batch_seconds": 0.1}
    return WorkerRow(kind, count, **rates | times | changes)


ROWS = [row(0, 1000.0), row(1, 900.0), row(2, 1780.0), row(4, 1800.0)]


@pytest.fixture
def fake(monkeypatch):
    """Steps of known rows; `gate` holds the next one back until it is set."""
    gate, asked = threading.Event(), []
    gate.set()

    def steps(dataset, *, stop, **options):
        asked.append((dataset.transform, options))
        for done, each in enumerate(ROWS, 1):
            while not gate.is_set():
                if stop.is_wanted:
                    return
                time.sleep(0.01)
            if done == 3:
                gate.clear() if options["batch_size"] == 7 else None
            yield Step(done, len(ROWS), each)

    monkeypatch.setattr(explorer_module, "worker_steps", steps)
    return gate, asked


def test_what_can_be_chosen(collection):
    panel = explore_workers(collection)
    assert repr(panel) == "WorkerExplorer(4 videos)"
    assert panel.report is None
    assert {0, 1, 2, 4} <= set(panel.counts.chosen)
    assert panel.kinds.chosen == ["thread", "process"]
    assert [name for name, _ in panel.transform.options] == ["none"]
    panel.close()


def test_the_choices_reach_the_measurement_and_the_suggestion_is_drawn(panel, fake):
    _, asked = fake
    panel.transform.value = "slowly"
    panel.start_button.click()
    assert panel.wait(30)
    chosen = {"num_workers": [0, 1, 2], "worker_kinds": ["thread"], "batch_size": 16}
    assert asked == [(slowly, {**chosen, "seconds": 0.03, "repeats": 2})]
    assert isinstance(panel.report, WorkerReport)
    words = "Take 2 threads: 1,780 frames/s; as fast as 4 threads, within what can be measured"
    assert words in panel.advice.value
    assert words[1:] in panel.picture.value
    assert "<svg" in panel.picture.value
    left, right = panel.report.plot().axes
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert {"suggested", "threads", "the calling thread"} <= set(labels)
    assert any("ideal" in label for label in labels)
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert labels == ["decode", "transform", "hand-over"]
    assert len(panel.tsv.value.splitlines()) == 5


def test_a_stop_in_the_middle_keeps_the_rows(panel, fake, monkeypatch):
    monkeypatch.setattr("pvio_lab.view.panel._DRAW_EVERY_SECONDS", 0.0)
    gate, _ = fake
    panel.batch_size.value = 7
    panel.start_button.click()
    until(lambda: panel.bar.value >= 3 and not gate.is_set())
    assert len(panel.report) == 3
    assert "So far: take" in panel.advice.value
    panel.stop_button.click()
    assert panel.wait(30)
    assert panel.report.rows == tuple(ROWS[:3])
    assert "So far: take" in panel.advice.value


def test_a_transform_that_fails_is_in_the_rows(panel):
    panel.transform.value = "broken"
    panel.start_button.click()
    assert panel.wait(60)
    assert all("no such colour" in each.error for each in panel.report)
    assert (panel.picture.value, panel.bar.bar_style) == ("", "danger")
    assert "Nothing could be measured" in panel.status.value
    assert "no such colour" in panel.advice.value
    assert "no such colour" in panel.table.value


@pytest.mark.usefixtures("fake")
def test_an_exception_after_some_rows_keeps_them(panel, monkeypatch):
    whole = explorer_module.worker_steps

    def steps(*args, **options):
        for step in whole(*args, **options):
            if step.done == 3:
                raise MemoryError("full")
            yield step

    monkeypatch.setattr(explorer_module, "worker_steps", steps)
    panel.start_button.click()
    with pytest.raises(MemoryError):
        panel.wait(30)
    assert "It did not work: full (MemoryError)" in panel.status.value
    assert panel.report.rows == tuple(ROWS[:2])
    assert panel.text.value == repr(panel.report)


def test_a_real_run(panel):
    panel.counts.choose([0, 1])
    panel.kinds.choose(["thread", "process"])
    panel.start_button.click()
    assert panel.wait(120)
    assert [str(each.setting) for each in panel.report] == ["the calling thread", "1 thread", "1 process"]
    assert all(each.frames_per_second > 0 for each in panel.report)


def test_closing_ends_thread_and_workers(panel):
    before = set(psutil.Process().children(recursive=True))
    panel.counts.choose([1])
    panel.kinds.choose(["process"])
    panel.seconds.value, panel.transform.value = 60.0, "slowly"
    panel.start_button.click()
    until(lambda: started(before))
    panel.close()
    assert not panel._run.thread.is_alive()
    assert started(before) == []


def started(before):
    new = set(psutil.Process().children(recursive=True)) - before
    return [each for each in new if "resource_tracker" not in " ".join(each.cmdline())]


def test_a_dataset_keeps_its_own_transform(collection):
    dataset = VideoCollectionDataset(collection, transform=slowly)
    panel = explore_workers(dataset, transforms={"broken": broken})
    assert [name for name, _ in panel.transform.options] == ["the dataset's own", "none", "broken"]
    assert panel.transform.value == "the dataset's own"
    panel.transform.value = "none"
    panel._options()
    assert dataset.transform is slowly
    panel.close()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_stop_cuts_a_piece_short(collection, kind):
    stop = Stop()
    given = worker_steps(
        VideoCollectionDataset(collection), num_workers=[1], worker_kinds=[kind], seconds=60.0, stop=stop
    )
    threading.Timer(1.0, stop.request).start()
    begin = time.monotonic()
    assert list(given) == []
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("rows", "count", "words"),
    [
        (ROWS, 2, "take 2 threads: 1,780 frames/s; as fast as 4 threads"),
        ([row(0, 1000.0), row(1, 900.0)], 0, "take the calling thread: 1,000 frames/s"),
        ([row(0, 950.0), row(1, 1000.0)], 0, "take the calling thread: 950 frames/s; as fast as 1 thread"),
        ([row(0, 950.0, high=960.0), row(1, 1000.0)], 1, "take 1 thread: 1,000 frames/s; 1.05 times"),
        ([row(2, 500.0), row(2, 800.0, "process")], 2, "take 2 processes: 800 frames/s"),
    ],
)
def test_the_least_costly_of_the_fast_is_suggested(rows, count, words):
    report = WorkerReport(tuple(rows), 32, 2)
    assert report.suggested.num_workers == count
    assert report.suggestion.startswith(words)


@pytest.mark.parametrize(
    ("given", "options", "error", "words"),
    [
        ([], {}, ValueError, "path"),
        (["a.mp4"], {"transforms": {"x": 3}}, TypeError, r"transforms\['x'\]=3 must be a function"),
    ],
)
def test_wrong_arguments(given, options, error, words):
    with pytest.raises(error, match=words):
        explore_workers(given, **options)
