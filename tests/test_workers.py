"""Comparing and choosing numbers of workers: with loaders of known speed, and with real ones."""

from __future__ import annotations

import json
import random
import shutil
import time

import pytest
import torch
from truth_frames import SAMPLES

from pvio_lab import VideoCollectionDataset, compare_workers, suggest_workers
from pvio_lab.load.batches import Progress
from pvio_lab.measure import Setting, Stop, WorkerReport, WorkerRow, worker_steps
from pvio_lab.measure.__main__ import main
from pvio_lab.measure.workers import first_settings, hold_tournament, run_steps, take_sample


class FakeLoader:
    """Batches of 10 frames at a known rate, by a clock of its own."""

    clock = 0.0

    def __init__(self, rate, num_batches=50, startup=0.5):
        self.rate, self.num_batches, self.startup = rate, num_batches, startup
        self.progress, self.is_closed = Progress(), False

    def __iter__(self):
        self.progress = Progress()
        FakeLoader.clock += self.startup
        try:
            for _ in range(self.num_batches):
                FakeLoader.clock += 10 / self.rate
                self.progress.add(read=10, decode=6 / self.rate, finished=10, transform=3 / self.rate)
                yield {"frame_indices": list(range(10))}
        finally:
            self.is_closed = True


@pytest.fixture
def _fake_clock(monkeypatch):
    monkeypatch.setattr(FakeLoader, "clock", 0.0)
    monkeypatch.setattr("pvio_lab.measure.workers.time.perf_counter", lambda: FakeLoader.clock)


@pytest.mark.usefixtures("_fake_clock")
@pytest.mark.parametrize(
    ("loader", "seconds", "rate", "first_batch"),
    [
        ({"startup": 7.0}, 1.0, 100, 7.1),  # starting and the first batch are not counted
        ({"num_batches": 3}, 10.0, 100, 0.6),  # a short collection is read again until the time is up
        ({"num_batches": 1, "startup": 0.4}, 1.0, 20, 0.5),  # of a single batch the whole loop counts
    ],
)
def test_a_sample(loader, seconds, rate, first_batch):
    made = FakeLoader(rate=100, **loader)
    sample = take_sample(made, seconds, Stop())
    assert sample.num_frames / sample.seconds == pytest.approx(rate)
    assert sample.first_batch_seconds == pytest.approx(first_batch)
    assert sample.seconds >= seconds
    assert sample.decode / sample.num_frames == pytest.approx(0.6 / 100)
    assert made.is_closed


def test_no_frames_is_an_error():
    with pytest.raises(ValueError, match="no frames"):
        take_sample(FakeLoader(rate=10, num_batches=0), 1.0, Stop())


@pytest.mark.usefixtures("_fake_clock")
def test_settings_take_turns_and_another_begins_each_time():
    asked = []

    def make(setting):
        asked.append(setting.num_workers)
        return FakeLoader(rate=100 * (1 + setting.num_workers))

    steps = list(run_steps([Setting("thread", n) for n in range(3)], make, 1.0, 3))
    assert asked == [0, 1, 2, 1, 2, 0, 2, 0, 1]
    assert [(step.done, step.total) for step in steps] == [(n, 9) for n in range(1, 10)]
    row = steps[-1].row
    assert row.frames_per_second == pytest.approx(200)
    phases = row.decode_seconds, row.transform_seconds, row.hand_over_seconds
    assert phases == pytest.approx((0.6 / 200, 0.3 / 200, 0.1 / 200))


@pytest.mark.usefixtures("_fake_clock")
def test_a_setting_that_fails_is_a_row_with_its_error():
    def make(setting):
        if setting.num_workers:
            raise OSError("no more threads")
        return FakeLoader(rate=100)

    rows = {
        step.row.num_workers: step.row
        for step in run_steps([Setting("thread", n) for n in (0, 2)], make, 1, 2)
    }
    assert rows[2].error == "OSError: no more threads"
    report = WorkerReport(tuple(rows.values()), 32, 2)
    assert report.best.num_workers == 0
    assert "no more threads" in repr(report)
    assert "no more threads" in report._repr_html_()
    with pytest.raises(ValueError, match="no more threads"):
        _ = WorkerReport((rows[2],), 32, 2).best


@pytest.fixture
def collection(tmp_path):
    return [shutil.copy(SAMPLES / "gop2.mp4", tmp_path / f"{n}.mp4") for n in range(6)]


def test_comparing_real_loaders(collection):
    report = compare_workers(
        VideoCollectionDataset(collection), num_workers=(2, 0), seconds=0.05, repeats=2, progress=False
    )
    assert [str(row.setting) for row in report] == ["the calling thread", "2 threads", "2 processes"]
    for row in report:
        assert row.error is None
        assert row.low <= row.frames_per_second <= row.high
        assert row.decode_seconds > 0
    assert [line["num_workers"] for line in report.to_dicts()] == [0, 2, 2]
    assert report.best in report.rows
    assert "2 processes" in repr(report)
    assert "2 processes" in report._repr_html_()


def slowly(frames):
    time.sleep(0.02)
    return frames


@pytest.mark.parametrize(
    ("options", "num_workers"), [({"transform": slowly}, 0), ({"dtype": torch.float32}, 2)]
)
def test_a_transform_shows_in_the_split_of_time(collection, options, num_workers):
    dataset = VideoCollectionDataset(collection, **options)
    brief = {"batch_size": 10, "seconds": 0.1, "repeats": 1, "progress": False}
    (row,) = compare_workers(dataset, num_workers=[num_workers], worker_kinds="thread", **brief).rows
    assert row.transform_seconds >= (0.002 if options.get("transform") else 1e-9)


def test_the_plot_says_what_it_shows(collection):
    report = compare_workers(
        VideoCollectionDataset(collection), num_workers=(0, 1, 2), seconds=0.02, repeats=2, progress=False
    )
    left, right = report.plot().axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("workers", "frames per second")
    assert right.get_xlabel() == "worker time per frame (ms)"
    labels = {text.get_text() for text in left.get_legend().get_texts()}
    assert {"threads", "processes", "the calling thread"} <= labels
    with pytest.raises(ValueError, match="nothing to draw"):
        WorkerReport((WorkerRow("thread", 1, error="x"),), 8, 1).plot()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"num_workers": []}, ValueError, "at least one each"),
        ({"num_workers": [-1]}, ValueError, "num_workers=-1"),
        ({"worker_kinds": ["fibre"]}, ValueError, "no 'fibre'"),
        ({"seconds": 0}, ValueError, "seconds=0"),
        ({"seconds": "long"}, TypeError, "seconds='long'"),
        ({"repeats": 0}, ValueError, "repeats"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"shuffle": True}, TypeError, "order='shuffled'"),
    ],
)
def test_wrong_options(collection, options, error, match):
    with pytest.raises(error, match=match):
        list(worker_steps(VideoCollectionDataset(collection), **options))


def test_only_its_own_dataset():
    for function in (compare_workers, suggest_workers):
        with pytest.raises(TypeError, match="VideoCollectionDataset"):
            function([1, 2])


# --- the suggestion ---

CASES = {  # rates of threads 0, 1, 2, 3, 4 and of processes 1, 2, 3, 4
    "decoding": ([2000, 1450, 2700, 2650, 2600], [900, 1400, 1300, 1200]),
    "one long video": ([2000, 1450, 2050, 2040, 2060], [1100, 1000, 900, 900]),
    "tiny frames": ([9000, 8000, 7000, 6500, 6000], [7500, 12000, 11000, 10000]),
    "a heavy transform": ([500, 510, 520, 515, 500], [490, 930, 920, 900]),
    "very heavy": ([50, 50, 50, 50, 50], [49, 97, 96, 98]),
}


@pytest.mark.usefixtures("_fake_clock")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(5))
def test_the_suggestion_is_within_five_percent_of_the_best(name, seed):
    threads, processes = CASES[name]
    chance = random.Random(seed)

    def rate(setting):
        return (
            processes[setting.num_workers - 1]
            if setting.worker_kind == "process"
            else threads[setting.num_workers]
        )

    choice = hold_tournament(
        lambda setting: FakeLoader(rate(setting) * chance.uniform(0.97, 1.03), 10**6, 0.05), 5.0, 2
    )
    chosen = rate(Setting(choice.worker_kind, choice.num_workers))
    assert chosen >= 0.95 * max(threads + processes)
    assert choice.frames_per_second == pytest.approx(chosen, rel=0.05)
    assert FakeLoader.clock < 7


@pytest.mark.usefixtures("_fake_clock")
def test_it_stops_when_one_is_far_ahead_and_of_equals_takes_the_least_costly():
    fast = Setting("thread", 2)
    choice = hold_tournament(lambda each: FakeLoader(1000 if each == fast else 100, 10**6, 0.0), 5.0, 2)
    assert (choice.worker_kind, choice.num_workers) == ("thread", 2)
    assert FakeLoader.clock < 2.5
    choice = hold_tournament(lambda setting: FakeLoader(1000, 10**6, 0.0), 1.0, 4)
    assert (choice.worker_kind, choice.num_workers) == ("thread", 0)


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
def test_more_workers_than_processors_are_tried_too(cores):
    counts = [setting.num_workers for setting in first_settings(cores) if setting.worker_kind == "thread"]
    assert counts == sorted(set(counts))
    assert {0, 1, cores} <= set(counts)
    assert max(counts) == 2 * cores


def test_a_real_suggestion_says_why(collection):
    choice = suggest_workers(VideoCollectionDataset(collection), seconds=0.5)
    assert choice.frames_per_second > 0
    assert "may be used" in choice.reason
    assert "frames/s: compared with" in str(choice)
    assert choice.rows[0].frames_per_second >= choice.rows[-1].frames_per_second
    assert "processors may be used" in choice._repr_html_() or "processor may" in choice._repr_html_()
    assert len(choice.to_dicts()) == len(choice.rows)


def test_nothing_to_suggest_for_broken_videos(tmp_path):
    (tmp_path / "noise.mp4").write_bytes(b"noise" * 1000)
    with pytest.raises(ValueError, match=r"nothing could be measured: .*noise\.mp4"):
        suggest_workers(VideoCollectionDataset([tmp_path / "noise.mp4"]), seconds=0.2)


# --- the command ---

QUICK = ["--seconds", "0.02", "--repeats", "1", "--quiet"]


def test_the_command(collection, capsys):
    assert main(["workers", *map(str, collection), "--counts", "0", "2", "--kinds", "thread", *QUICK]) == 0
    assert "2 threads" in capsys.readouterr().out
    assert main(["workers", str(collection[0]), "--counts", "1", "--kinds", "thread", "--json", *QUICK]) == 0
    assert json.loads(capsys.readouterr().out)[0]["num_workers"] == 1
    assert main(["workers", str(collection[0]), "--suggest", "--seconds", "0.2"]) == 0
    assert "frames/s" in capsys.readouterr().out


def test_the_command_explains_what_is_wrong(capsys):
    assert main(["workers", "nothing.mp4", "--counts", "0", *QUICK]) == 1
    assert "nothing.mp4" in capsys.readouterr().out
    assert main(["workers", "nothing.mp4", "--kinds", "fibre", *QUICK]) == 2
    assert "no 'fibre'" in capsys.readouterr().err
