"""Many cameras at once: every frame is in a file, or counted."""

from __future__ import annotations

import _thread
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from truth_frames import psnr, read_number
from written import FRAMES, encoders, names_in, numbers_in, posix_only, wait_until

import pvio_lab as pv
from pvio_lab.base import LockFile
from pvio_lab.write import StreamingVideoEncoder
from pvio_lab.write.recorder import Camera

KEYS = ["front", "observation.images.left", "wrist"]


@pytest.fixture
def recorder():
    with StreamingVideoEncoder(25, preset="ultrafast", when_full="block", queue_size=4) as recorder:
        yield recorder
        recorder.cancel_episode()


@pytest.fixture
def stuck(monkeypatch):
    """Encoders that take a frame, and write it when the event is set; `taken` says for how many cameras."""
    event = threading.Event()
    event.taken = set()
    write = Camera._write

    def wait_and_write(camera, picture):
        event.taken.add(camera)
        assert event.wait(60)
        write(camera, picture)

    monkeypatch.setattr(Camera, "_write", wait_and_write)
    yield event
    event.set()


def record(recorder, folder, keys=KEYS, frames=FRAMES):
    recorder.start_episode(keys, folder)
    for frame in frames:
        for key in keys:
            recorder.feed_frame(key, frame)
    return recorder.finish_episode()


def feed_until_it_fails(recorder, key):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        recorder.feed_frame(key, FRAMES[0])
        time.sleep(0.01)


def test_every_camera_gets_its_file(recorder, tmp_path):
    videos = record(recorder, tmp_path / "new" / "folder")
    assert list(videos) == KEYS
    for key, video in videos.items():
        assert video.path == tmp_path / "new" / "folder" / f"{key}.mp4"
        assert (video.num_frames, video.dropped_frames, video.error) == (40, 0, None)
        assert numbers_in(video.path) == list(range(40))
        assert pv.get_video_metadata(video.path, cache=False).fps == 25
    assert names_in(tmp_path / "new" / "folder") == sorted(f"{key}.mp4" for key in KEYS)
    stats, whole = videos["front"].stats, np.stack(FRAMES).reshape(-1, 3)
    np.testing.assert_allclose(stats.std, whole.std(0))
    np.testing.assert_allclose(stats.q90, np.quantile(whole, 0.9, axis=0))
    assert stats.count == 40
    recorder.start_episode(["front"], tmp_path / "cancelled" / "and" / "deep")
    recorder.feed_frame("front", FRAMES[0])
    recorder.cancel_episode()
    assert names_in(tmp_path) == ["new"]


def test_frames_are_copied_on_entry_and_leaving_the_block_finishes(tmp_path, stuck):
    buffer = np.empty_like(FRAMES[0])
    with StreamingVideoEncoder(25, queue_size=100) as recorder:
        recorder.start_episode(["front"], tmp_path)
        for frame in FRAMES:
            buffer[:] = frame
            recorder.feed_frame("front", buffer)
        buffer[:] = 0
        stuck.set()
    assert numbers_in(tmp_path / "front.mp4") == list(range(40))


AS = {
    "channels first": lambda frame: frame.transpose(2, 0, 1),
    "floats": lambda frame: frame.astype(np.float32) / 255,
    "floats, channels first": lambda frame: (frame / 255).transpose(2, 0, 1),
    "a tensor": lambda frame: torch.from_numpy(frame).permute(2, 0, 1),
    "a tensor of floats": lambda frame: torch.from_numpy(frame).permute(2, 0, 1) / 255,
}


@pytest.mark.parametrize("how", AS)
def test_kinds_of_frames(recorder, tmp_path, how):
    video = record(recorder, tmp_path, ["front"], [AS[how](frame) for frame in FRAMES[:12]])["front"]
    with pv.VideoReader(video.path) as reader:
        assert [read_number(frame) for frame in reader] == list(range(12))
        assert psnr(reader[0], FRAMES[0]) > 25
    np.testing.assert_allclose(video.stats.mean, np.stack(FRAMES[:12]).mean((0, 1, 2)))


def test_a_full_queue_may_be_waited_for(tmp_path, stuck):
    with StreamingVideoEncoder(25, preset="ultrafast", queue_size=1, wait_seconds=60) as recorder:
        recorder.start_episode(["front"], tmp_path)
        threading.Timer(0.1, stuck.set).start()
        for frame in FRAMES:
            recorder.feed_frame("front", frame)
        video = recorder.finish_episode()["front"]
    assert (video.num_frames, video.dropped_frames) == (len(FRAMES), 0)


def test_waiting_has_an_end(tmp_path, stuck):
    with StreamingVideoEncoder(25, queue_size=1, wait_seconds=0.01) as recorder:
        recorder.start_episode(["front"], tmp_path)
        for frame in FRAMES[:5]:
            recorder.feed_frame("front", frame)
        stuck.set()
        video = recorder.finish_episode()["front"]
    assert video.num_frames + video.dropped_frames == 5
    assert video.dropped_frames >= 3


def test_what_does_not_fit_is_dropped_and_counted(tmp_path, stuck, caplog):
    with StreamingVideoEncoder(25, queue_size=5) as recorder, caplog.at_level(logging.WARNING, "pvio_lab"):
        recorder.start_episode(["front", "left"], tmp_path)
        for key in ("front", "left"):
            recorder.feed_frame(key, FRAMES[0])
        wait_until(lambda: len(stuck.taken) == 2)
        for frame in FRAMES[1:]:
            recorder.feed_frame("front", frame)
        stuck.set()
        videos = recorder.finish_episode()
    video = videos["front"]
    assert (video.num_frames, video.dropped_frames) == (6, 34)  # five in the queue, one at the encoder
    assert numbers_in(video.path) == list(range(6))
    assert videos["left"].dropped_frames == 0
    warnings = [each.message for each in caplog.records]
    assert [int(words.split(":")[1].split()[0]) for words in warnings] == [1, 10, 20, 30]
    assert all("'front'" in words for words in warnings)


def test_block_waits_and_loses_nothing(tmp_path, stuck):
    with StreamingVideoEncoder(25, queue_size=2, when_full="block") as recorder:
        recorder.start_episode(["front"], tmp_path)
        threading.Timer(0.3, stuck.set).start()
        begin = time.monotonic()
        for frame in FRAMES:
            recorder.feed_frame("front", frame)
        assert time.monotonic() - begin > 0.2
        video = recorder.finish_episode()["front"]
    assert (video.num_frames, video.dropped_frames) == (40, 0)


@pytest.mark.parametrize("when_full", ["drop", "block"])
def test_an_encoder_that_crashes_is_reported_and_the_others_go_on(tmp_path, when_full, caplog):
    with StreamingVideoEncoder(25, preset="ultrafast", queue_size=50, when_full=when_full) as recorder:
        recorder.start_episode(["front", "left"], tmp_path)
        recorder.feed_frame("front", FRAMES[0])
        recorder.feed_frame("left", FRAMES[0])
        wait_until(lambda: len(encoders()) == 2)
        next(each for each in encoders() if any(".left.mp4" in word for word in each.cmdline())).kill()
        with pytest.raises(pv.EncodeError, match="'left' is no longer recorded"):
            feed_until_it_fails(recorder, "left")
        for frame in FRAMES[1:]:
            recorder.feed_frame("front", frame)
        videos = recorder.finish_episode()
    assert numbers_in(videos["front"].path) == list(range(40))
    assert videos["left"].path is None
    assert videos["left"].num_frames == 0
    assert isinstance(videos["left"].error, pv.EncodeError)
    assert "'left' has no file" in caplog.text
    assert names_in(tmp_path) == ["front.mp4"]


def test_a_crash_while_a_frame_waits_for_its_place(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("out of order")

    monkeypatch.setattr(Camera, "_write", fail)
    with StreamingVideoEncoder(25, queue_size=1, when_full="block") as recorder:
        recorder.start_episode(["front"], tmp_path)
        with pytest.raises(pv.EncodeError, match=r"'front' is no longer recorded: out of order"):
            feed_until_it_fails(recorder, "front")
        assert "out of order" in str(recorder.finish_episode()["front"].error)
    assert not list(tmp_path.iterdir())


def test_cameras_without_frames_have_no_file(recorder, tmp_path):
    recorder.start_episode(["front", "left"], tmp_path)
    recorder.feed_frame("front", FRAMES[0])
    videos = recorder.finish_episode()
    assert videos["front"].num_frames == 1
    empty = videos["left"]
    assert (empty.path, empty.num_frames, empty.stats, empty.error) == (None, 0, None, None)
    assert names_in(tmp_path) == ["front.mp4"]


@pytest.fixture
def replacing():
    """A recorder that may replace older files."""
    with StreamingVideoEncoder(25, preset="ultrafast", when_full="block", overwrite=True) as recorder:
        yield recorder
        recorder.cancel_episode()


def test_cancelling_leaves_nothing(replacing, tmp_path):
    recorder, old = replacing, tmp_path / "episode" / "left.mp4"
    old.parent.mkdir()
    old.write_bytes(b"old")
    recorder.start_episode(["front", "left"], tmp_path / "episode")
    for frame in FRAMES:
        recorder.feed_frame("front", frame)
    recorder.cancel_episode()
    recorder.cancel_episode()
    assert names_in(old.parent) == ["left.mp4"]
    assert old.read_bytes() == b"old"
    assert not encoders()
    assert numbers_in(record(recorder, old.parent)["wrist"].path) == list(range(40))


def test_a_camera_may_be_cancelled_by_its_own_thread(tmp_path):
    """By the garbage collector, which runs in any thread, when a recorder was dropped."""

    class Writer:
        def check_size(self, width, height):
            """Takes any."""

        def append(self, pixels):
            camera.cancel()

        def cancel(self):
            """Has no file."""

    camera = Camera("front", Writer(), LockFile(tmp_path / "front.mp4"), 3)
    camera.feed(FRAMES[0], None)
    assert camera._is_done.wait(30)


def test_an_exception_in_the_block_cancels(tmp_path):
    threads = threading.active_count()
    with (  # noqa: PT012
        pytest.raises(OSError, match="robot fell"),
        StreamingVideoEncoder(25, preset="ultrafast") as recorder,
    ):
        recorder.start_episode(KEYS, tmp_path)
        for key in KEYS:
            recorder.feed_frame(key, FRAMES[0])
        raise OSError("robot fell")
    assert not list(tmp_path.iterdir())
    assert not encoders()
    assert threading.active_count() == threads


def test_a_recorder_that_is_dropped_leaves_nothing(tmp_path):
    recorder = StreamingVideoEncoder(25, preset="ultrafast")
    recorder.start_episode(["front"], tmp_path)
    recorder.feed_frame("front", FRAMES[0])
    del recorder
    gc.collect()
    assert not list(tmp_path.iterdir())
    assert not encoders()


def interrupt_soon(seconds=0.3):
    threading.Timer(seconds, _thread.interrupt_main).start()


@pytest.fixture
def slow_end(monkeypatch):
    """ffmpeg that completes files only when the event is set."""
    event = threading.Event()
    complete = pv.VideoWriter.complete

    def wait_and_complete(writer):
        assert event.wait(60)
        complete(writer)

    monkeypatch.setattr(pv.VideoWriter, "complete", wait_and_complete)
    yield event
    event.set()


@pytest.mark.usefixtures("interrupts")
def test_finishing_may_be_interrupted_and_called_again(recorder, tmp_path, slow_end):
    recorder.start_episode(["front", "left"], tmp_path)
    for frame in FRAMES:
        recorder.feed_frame("front", frame)
        recorder.feed_frame("left", frame)
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        recorder.finish_episode()
    assert not list(tmp_path.glob("*.mp4"))
    slow_end.set()
    for video in recorder.finish_episode().values():
        assert numbers_in(video.path) == list(range(40))


@pytest.mark.usefixtures("interrupts")
def test_cancelling_while_files_are_completed(replacing, tmp_path, slow_end):
    recorder, old = replacing, tmp_path / "left.mp4"
    old.write_bytes(b"old")
    recorder.start_episode(["front", "left"], tmp_path)
    for key in ("front", "left"):
        recorder.feed_frame(key, FRAMES[0])
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        recorder.finish_episode()
    threading.Timer(0.2, slow_end.set).start()
    recorder.cancel_episode()
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize("when_full", ["drop", "block"])
@pytest.mark.parametrize("end", ["finish_episode", "cancel_episode"])
def test_cameras_that_feed_while_it_ends(tmp_path, when_full, end):
    with StreamingVideoEncoder(25, preset="ultrafast", queue_size=2, when_full=when_full) as recorder:
        recorder.start_episode(["front", "left"], tmp_path)
        fed = dict.fromkeys(("front", "left"), 0)

        def feed(key):
            with suppress(RuntimeError):
                while True:
                    recorder.feed_frame(key, FRAMES[0])
                    fed[key] += 1

        threads = [threading.Thread(target=feed, args=(key,)) for key in fed]
        for thread in threads:
            thread.start()
        wait_until(lambda: min(fed.values()) > 20)
        videos = getattr(recorder, end)()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    for key, video in (videos or {}).items():
        assert video.num_frames + video.dropped_frames == fed[key]
        assert len(pv.VideoReader(video.path)) == video.num_frames
        assert when_full == "drop" or not video.dropped_frames
    assert bool(list(tmp_path.iterdir())) == (end == "finish_episode")


def test_a_program_that_ends_without_a_word_leaves_nothing(tmp_path):
    code = (
        "import sys, numpy as np, pvio_lab as pv\n"
        "recorder = pv.StreamingVideoEncoder(25)\n"
        "recorder.start_episode(['front'], sys.argv[1])\n"
        "recorder.feed_frame('front', np.zeros((64, 64, 3), np.uint8))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    assert not list(tmp_path.iterdir())


def test_wrong_states(recorder, tmp_path):
    with pytest.raises(RuntimeError, match=r"no episode is running: call start_episode\(\) first"):
        recorder.feed_frame("front", FRAMES[0])
    with pytest.raises(RuntimeError, match="no episode"):
        recorder.finish_episode()
    recorder.start_episode(["front"], tmp_path)
    with pytest.raises(RuntimeError, match="an episode is running"):
        recorder.start_episode(["left"], tmp_path)
    with pytest.raises(ValueError, match="no camera 'left' in this episode; there are front"):
        recorder.feed_frame("left", FRAMES[0])
    assert "recording front" in repr(recorder)
    recorder.feed_frame("front", FRAMES[7])
    recorder.close()
    recorder.close()
    assert numbers_in(tmp_path / "front.mp4") == [7]
    with pytest.raises(RuntimeError, match="is closed"):
        recorder.start_episode(["front"], tmp_path)


ONE_FILE = [["a", "A"], ["caf\u00e9", "cafe\u0301"], ["stra\u00dfe", "STRASSE"]]


@pytest.mark.parametrize("keys", [[], ["a", "a"], ["a/b"], [""], ["..", "b"], [3], ["a\\b"], *ONE_FILE])
def test_wrong_keys(recorder, tmp_path, keys):
    with pytest.raises(ValueError, match="key"):
        recorder.start_episode(keys, tmp_path / "new")
    with pytest.raises(TypeError, match=r"such as \['front'\]"):
        recorder.start_episode("front", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError, match="is a file; give the name of a folder"):
        recorder.start_episode(["front"], tmp_path / "a")


def test_wrong_frames_are_refused_at_once_and_recording_goes_on(recorder, tmp_path):
    recorder.start_episode(["front", "left"], tmp_path)
    recorder.feed_frame("front", FRAMES[0])
    with pytest.raises(ValueError, match=r"is \(60, 80, 3\), and those before it are \(120, 160, 3\)"):
        recorder.feed_frame("front", np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        recorder.feed_frame("front", np.full((120, 160, 3), np.nan))
    with pytest.raises(TypeError, match="array, a tensor or a PIL image"):
        recorder.feed_frame("front", "front.png")
    recorder.feed_frame("front", FRAMES[1])
    with pytest.raises(ValueError, match=r"pad=True repeats the last row"):
        recorder.feed_frame("left", np.zeros((121, 160, 3), np.uint8))
    assert numbers_in(recorder.finish_episode()["front"].path) == [0, 1]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"codec": "h263"}, ValueError, "codec='h263' is unknown"),
        ({"crf": 90}, ValueError, "crf=90 must be between"),
        ({"fps": 0}, ValueError, "fps=0 must be above 0"),
        ({"queue_size": 0}, ValueError, "queue_size"),
        ({"when_full": "wait"}, ValueError, "when_full='wait' must be one of 'drop', 'block'"),
        ({"sharpness": 1}, TypeError, "no option sharpness; VideoWriter has codec"),
        ({"path": "a.mp4"}, TypeError, "no option path"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_recorded(options, error, words):
    with pytest.raises(error, match=words):
        StreamingVideoEncoder(**{"fps": 25, **options})


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", ".mkv"), ("vp9", ".webm"), ("libx264", ".mp4")])
def test_other_codecs(tmp_path, codec, suffix):
    with StreamingVideoEncoder(25, codec=codec, when_full="block") as recorder:
        video = record(recorder, tmp_path, ["front"], FRAMES[:10])["front"]
    assert video.path == Path(tmp_path, f"front{suffix}")
    assert numbers_in(video.path) == list(range(10))


def test_an_earlier_episode_is_not_replaced(recorder, tmp_path):
    first = record(recorder, tmp_path, ["left"], FRAMES[:3])["left"]
    with pytest.raises(FileExistsError, match=r"left\.mp4 exists.* give each episode a directory of its own"):
        recorder.start_episode(["front", "left"], tmp_path)
    assert names_in(tmp_path) == ["left.mp4"]
    assert numbers_in(first.path) == [0, 1, 2]
    recorder.start_episode(["front"], tmp_path)


def test_two_recorders_of_one_file(recorder, replacing, tmp_path):
    recorder.start_episode(["left"], tmp_path)
    with pytest.raises(FileExistsError, match=rf"left\.mp4 is being recorded by process {os.getpid()} on "):
        replacing.start_episode(["front", "left"], tmp_path)
    recorder.feed_frame("left", FRAMES[5])
    assert numbers_in(recorder.finish_episode()["left"].path) == [5]
    assert names_in(tmp_path) == ["left.mp4"]
    assert len(record(replacing, tmp_path, ["left"], FRAMES[:2])) == 1  # it may, with overwrite=True


def test_a_file_that_comes_in_the_meantime_is_not_replaced_and_no_frame_is_lost(recorder, tmp_path):
    recorder.start_episode(["front", "left"], tmp_path)
    for number in (3, 4):
        recorder.feed_frame("front", FRAMES[number])
        recorder.feed_frame("left", FRAMES[number])
    (tmp_path / "left.mp4").write_bytes(b"other")
    (tmp_path / "left (2).mp4").write_bytes(b"more")
    videos = recorder.finish_episode()
    assert videos["left"].path == tmp_path / "left (3).mp4"
    assert [numbers_in(video.path) for video in videos.values()] == [[3, 4], [3, 4]]
    assert (tmp_path / "left.mp4").read_bytes() == b"other"


RECORDING = """
import sys, time, numpy as np, pvio_lab as pv
recorder = pv.StreamingVideoEncoder(25, preset="ultrafast")
recorder.start_episode(["front"], sys.argv[1])
recorder.feed_frame("front", np.zeros((64, 64, 3), np.uint8))
print("recording", flush=True)
time.sleep(60)
"""


@posix_only
def test_leftovers_of_a_killed_recording_are_no_obstacle(recorder, tmp_path):
    command = [sys.executable, "-c", RECORDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(FileExistsError, match=rf"is being recorded by process {process.pid} on "):
            recorder.start_episode(["front"], tmp_path)
        orphans = psutil.Process(process.pid).children()
        process.kill()
    assert not psutil.wait_procs(orphans, 60)[1]
    assert len(list(tmp_path.glob(".front.mp4.*"))) == 2  # the half file, and its lock
    record(recorder, tmp_path, ["front"], FRAMES[:2])
    assert names_in(tmp_path) == ["front.mp4"]


def test_a_finished_folder_stays_when_something_fails_later(tmp_path):
    with (  # noqa: PT012
        pytest.raises(OSError, match="later"),
        StreamingVideoEncoder(25, preset="ultrafast") as recorder,
    ):
        record(recorder, tmp_path / "new", ["front"], FRAMES[:2])["front"].path.unlink()
        raise OSError("later")
    assert (tmp_path / "new").is_dir()
