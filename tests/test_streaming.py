"""Frames stream in order, exactly, with flat memory, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import aclosing, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from truth_frames import SAMPLES, hard_clips, true_frames, wrong_frames
from written import names_in, posix_only, wait_until

from pvio_lab import (
    DecodeError,
    OpenError,
    VideoReader,
    async_stream_video_frames_to_dir,
    stream_video_frames,
    stream_video_frames_to_dir,
)

CLIP = SAMPLES / "gop2.mp4"
HARD = [
    *("bframes.avi", "open_gop_h264.mp4", "open_gop_hevc.mp4", "cut_edit_list.mp4", "variable_rate.mp4"),
    *("no_count.mkv", "raw.h264", "rotated_90.mp4", "animated.gif"),
]
HARDER = ["h264_open.avi", "mpeg4.avi", "h264.ts", "edit_two.mp4", "vp8_hidden.webm"]


def collect(source, **options):
    async def run():
        return [pair async for pair in stream_video_frames(source, **options)]

    pairs = asyncio.run(run())
    return [number for number, _ in pairs], np.array([frame for _, frame in pairs])


def threads_ahead():
    return [thread for thread in threading.enumerate() if thread.name == "pvio_lab ahead"]


@pytest.mark.parametrize("name", HARD + HARDER)
def test_frames_are_those_of_ffmpeg(name):
    source = hard_clips()[name] if name in HARDER else SAMPLES / name
    truth = true_frames(source)
    for start, end, queue_size in ((0, None, 32), (17, -5, 1)):
        numbers, frames = collect(source, start=start, end=end, queue_size=queue_size)
        assert numbers == list(range(len(truth)))[start:end]
        assert wrong_frames(frames, truth[start:end]) == []


def test_other_ranges():
    assert collect(CLIP, start=10, end=10)[0] == []
    numbers, frames = collect(SAMPLES / "numbered", start=-2)
    assert (numbers, frames.shape) == ([10, 11], (2, 120, 160, 3))


def test_streams_run_side_by_side_and_the_loop_goes_on():
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def numbers(name):
        return [number async for number, _ in stream_video_frames(SAMPLES / name, queue_size=1)]

    async def run():
        ticking = asyncio.create_task(tick())
        found = await asyncio.gather(*map(numbers, ["gop2.mp4", "vp9.webm", "gop2.mp4"]))
        ticking.cancel()
        return found

    assert [len(each) for each in asyncio.run(run())] == [60, 90, 60]
    assert ticks > 100


def test_what_is_kept_stays_as_it_was():
    async def run():
        kept = []
        async for number, frame in stream_video_frames(CLIP, end=20, queue_size=2):
            kept.append((number, frame, frame.copy()))
        return kept

    assert all((frame == copy).all() for _, frame, copy in asyncio.run(run()))


def test_no_more_is_decoded_than_fits_the_queue(monkeypatch):
    decoded, original = [], VideoReader.stream

    def counted(self, indices):
        for frame in original(self, indices):
            decoded.append(1)
            yield frame

    monkeypatch.setattr(VideoReader, "stream", counted)

    async def run():
        async with aclosing(stream_video_frames(CLIP, queue_size=3)) as frames:
            await anext(frames)
            while len(decoded) < 4:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            return len(decoded)

    assert asyncio.run(run()) == 4  # three wait, and one was taken


def handles():
    """Count how often the clip is open; readers of other tests may not be gone yet."""
    return [file.path for file in psutil.Process().open_files()].count(str(CLIP))


@pytest.mark.parametrize("way", ["break", "error", "cancel", "drop"])
def test_leaving_early_ends_thread_and_file(way):
    before = handles()
    frames = stream_video_frames(CLIP, queue_size=1)

    async def consume():
        async for _ in frames:
            if way == "error":
                raise KeyError(way)
            if way == "cancel":
                await asyncio.sleep(60)
            return

    async def run():
        nonlocal frames
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.05)
        if way == "cancel":
            while not threads_ahead():
                await asyncio.sleep(0.01)
            task.cancel()
        with suppress(KeyError, asyncio.CancelledError):
            await task
        if way == "drop":
            frames = None
            gc.collect()
        else:
            await frames.aclose()
            assert threads_ahead() == []
        while threads_ahead():
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 60))
    wait_until(lambda: handles() <= before)


def test_a_loop_that_ends_without_closing_ends_the_thread():
    async def run():
        frames = stream_video_frames(CLIP, queue_size=1)
        await anext(frames)
        return frames

    loop = asyncio.new_event_loop()
    frames = loop.run_until_complete(run())
    loop.close()
    assert threads_ahead()
    del frames
    gc.collect()
    wait_until(lambda: not threads_ahead())


def test_errors_arrive_in_the_loop(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(OpenError, match=r"text\.mp4"):
        collect(tmp_path / "text.mp4")
    with pytest.raises(FileNotFoundError, match=r"missing\.mp4"):
        collect(tmp_path / "missing.mp4")


def test_frames_before_a_damaged_one_arrive():
    async def run():
        async for number, _ in stream_video_frames(SAMPLES / "damaged.mp4"):
            seen.append(number)

    seen = []
    with pytest.raises(DecodeError, match="frame 44"):
        asyncio.run(run())
    assert seen == list(range(44))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"queue_size": 0}, ValueError, "queue_size=0 must be 1 or more"),
        ({"start": 1.5}, TypeError, r"start=1\.5 must be an integer"),
        ({"end": "9"}, TypeError, "end='9' must be an integer"),
    ],
)
def test_wrong_arguments_are_errors_at_once(options, error, words):
    with pytest.raises(error, match=words):
        stream_video_frames(CLIP, **options)


# To a directory


def to_dir(source, folder, **options):
    return stream_video_frames_to_dir(source, folder, **options)


def to_dir_awaited(source, folder, **options):
    return asyncio.run(async_stream_video_frames_to_dir(source, folder, **options))


both = pytest.mark.parametrize("write", [to_dir, to_dir_awaited])


def pictures(paths):
    return np.array([np.array(Image.open(path)) for path in paths])


@both
@pytest.mark.parametrize("name", ["bframes.avi", "rotated_90.mp4", "variable_rate.mp4"])
def test_files_hold_what_ffmpeg_puts_out(write, name, tmp_path):
    truth = true_frames(SAMPLES / name)
    paths = write(SAMPLES / name, tmp_path / "new" / "folder", start=3, end=30)
    stem = Path(name).stem
    assert [path.name for path in paths] == [f"{stem}_frame_{number:06}.png" for number in range(3, 30)]
    assert names_in(tmp_path / "new" / "folder") == [path.name for path in paths]
    assert wrong_frames(pictures(paths), truth[3:30]) == []


@both
def test_progress_is_reported_when_the_file_is_there(write, tmp_path):
    seen = []
    write(CLIP, tmp_path, end=9, progress_cb=lambda n: seen.append((n, len(list(tmp_path.glob("gop2*"))))))
    assert len(seen) == 9
    assert all(n == 1 and there >= count for count, (n, there) in enumerate(seen, 1))


@both
def test_a_writer_of_your_own(write, tmp_path):
    def save(path, frame):
        assert path.suffix == ".npy"
        np.save(path, frame)

    paths = write(CLIP, tmp_path, end=3, ext=".npy", image_writer=save)
    np.testing.assert_array_equal(np.array([np.load(path) for path in paths]), VideoReader(CLIP)[:3])


@both
def test_names_of_your_own(write, tmp_path):
    (tmp_path / ".gop2-50.png.0123abcd.part.png").write_bytes(b"half")
    paths = write(CLIP, tmp_path, start=9, end=11, name="{video}-{number:02}")
    assert [path.name for path in paths] == ["gop2-09.png", "gop2-10.png"] == names_in(tmp_path)


@both
def test_a_writer_that_puts_frames_elsewhere(write, tmp_path):
    frames = {}
    paths = write(CLIP, tmp_path, end=9, image_writer=frames.__setitem__, direct=True)
    assert names_in(tmp_path) == []
    np.testing.assert_array_equal(np.array([frames[path] for path in paths]), VideoReader(CLIP)[:9])


@both
def test_images_are_replaced_and_other_files_stay(write, tmp_path):
    _, second, third = write(CLIP, tmp_path, end=3)
    truth = third.read_bytes()
    third.write_bytes(second.read_bytes())
    second.write_text("a text")
    with pytest.raises(FileExistsError, match=r"gop2_frame_000001\.png is there, and no image; remove it"):
        write(CLIP, tmp_path)
    assert second.read_text() == "a text"
    write(CLIP, tmp_path, start=2, end=3)
    assert third.read_bytes() == truth


@both
def test_the_images_that_are_read_stay(write, tmp_path):
    write(CLIP, tmp_path / "gop2", start=3, end=6)
    before = {path: path.read_bytes() for path in (tmp_path / "gop2").iterdir()}
    with pytest.raises(ValueError, match="has the images that are read; give another one"):
        write(tmp_path / "gop2", tmp_path / "gop2")
    assert {path: path.read_bytes() for path in (tmp_path / "gop2").iterdir()} == before


@both
def test_half_files_of_killed_runs_are_removed(write, tmp_path):
    (tmp_path / ".gop2_frame_000050.jpg.0123abcd.part.jpg").write_bytes(b"half")
    write(CLIP, tmp_path, end=1)
    assert os.listdir(tmp_path) == ["gop2_frame_000000.png"]


@both
def test_a_slow_disk_makes_the_decoder_wait(write, tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), []
    original = VideoReader.stream

    class Tracked(np.ndarray):
        __hash__ = object.__hash__

    def tracked(self, indices):
        for frame in original(self, indices):
            copy = frame.copy().view(Tracked)
            alive.add(copy)
            most.append(len(alive))
            yield copy
            del copy

    def slow(path, frame):
        time.sleep(0.02)
        path.write_bytes(b"image")

    monkeypatch.setattr(VideoReader, "stream", tracked)
    paths = write(CLIP, tmp_path, image_writer=slow, max_write_workers=2, queue_size=3)
    assert len(paths) == 60
    assert max(most) <= 3 + 2 + 3


@both
def test_a_writer_that_fails(write, tmp_path):
    def fail(path, frame):
        path.write_bytes(b"half")
        if len(good) >= 3:
            raise OSError("the disk is full")
        good.append(path)

    good = []

    with pytest.raises(OSError, match="the disk is full"):
        write(CLIP, tmp_path, image_writer=fail, max_write_workers=1)
    assert len(good) == len(os.listdir(tmp_path)) == 3
    assert list(tmp_path.glob(".*")) == []


@both
def test_a_callback_that_fails_ends_it(write, tmp_path):
    with pytest.raises(ZeroDivisionError):
        write(CLIP, tmp_path, progress_cb=lambda n: 1 / 0)
    assert list(tmp_path.glob(".*")) == []
    assert len(os.listdir(tmp_path)) < 60


@both
def test_what_is_written_before_damage_stays(write, tmp_path):
    with pytest.raises(DecodeError, match="frame 44"):
        write(SAMPLES / "damaged.mp4", tmp_path)
    assert len(os.listdir(tmp_path)) == len(list(tmp_path.glob("damaged_frame_*.png"))) == 44


@both
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"ext": "mp4"}, ValueError, "ext='mp4' is not a kind of image"),
        ({"ext": "a/b"}, ValueError, "ext='a/b' must be the end"),
        ({"ext": None}, TypeError, "ext=None must be text"),
        ({"max_write_workers": 0}, ValueError, "max_write_workers=0 must be 1 or more"),
        ({"queue_size": 0}, ValueError, "queue_size=0 must be 1 or more"),
        ({"name": "frame"}, ValueError, "name='frame' must be the name of a file with the {number}"),
        ({"name": "a/{number}"}, ValueError, "name='a/{number}' must be the name of a file"),
        ({"name": "{frame}"}, ValueError, "name='{frame}' must have {number}, and may have {video}"),
        ({"name": 7}, TypeError, "name=7 must be text"),
        ({"direct": True}, ValueError, "direct=True is for an image_writer"),
    ],
)
def test_wrong_options(write, options, error, words, tmp_path):
    with pytest.raises(error, match=words):
        write(CLIP, tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_it_may_be_called_while_a_loop_is_running(tmp_path):
    async def run():
        return stream_video_frames_to_dir(CLIP, tmp_path, end=3, ext="jpg")

    assert [path.suffix for path in asyncio.run(run())] == [".jpg"] * 3


def test_cancelling_leaves_whole_files(tmp_path):
    async def run():
        begun = asyncio.Event()
        task = asyncio.create_task(
            async_stream_video_frames_to_dir(CLIP, tmp_path, progress_cb=lambda _: begun.set())
        )
        await begun.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert threads_ahead() == []

    asyncio.run(run())
    assert list(tmp_path.glob(".*")) == []
    for path in tmp_path.iterdir():
        Image.open(path).load()


@posix_only
@pytest.mark.usefixtures("interrupts")
@both
def test_an_interrupt_leaves_whole_files(write, tmp_path):
    call = "pv.stream_video_frames_to_dir(*arguments, progress_cb=say)"
    if write is to_dir_awaited:
        call = "asyncio.run(pv.async_stream_video_frames_to_dir(*arguments, progress_cb=say))"
    code = f"""
import asyncio, sys, pvio_lab as pv
arguments = {str(SAMPLES / "shapes.mp4")!r}, {str(tmp_path)!r}
say = lambda _: print("x", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    assert b"interrupted" in said
    assert list(tmp_path.glob(".*")) == []
    assert 0 < len(os.listdir(tmp_path)) < 300
    for path in tmp_path.iterdir():
        Image.open(path).load()
