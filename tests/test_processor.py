from __future__ import annotations

import asyncio
import base64
import gc
import json
import pickle
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from faststart import faststart
from truth_frames import SAMPLES, read_number
from unruly_server import serving

from pvio_lab import VideoProcessor, VideoReader, write_frames_to_video

META = [
    *("source", "failed", "error_type", "error_message", "attempts", "retried", "video_size"),
    *("video_num_frames", "frame_timestamps", "frame_indices", "source_fps", "duration_seconds"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`last.mp4` has its table of frames at the end, `first.mp4` at the beginning."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "last.mp4").write_bytes((SAMPLES / "gop2.mp4").read_bytes())
    faststart(SAMPLES / "gop2.mp4", folder / "first.mp4")
    return folder


@pytest.fixture
def server(folder):
    with serving(folder) as server:
        yield server


def processor(sampling=None, **options):
    options = {"output_format": "numpy", "timeout_s": 20, "retry_backoff_base": 0.01, **options}
    return VideoProcessor(sampling=sampling or {"num_frames": 3}, **options)


def one(source, sampling=None, **options):
    (result,) = processor(sampling, **options).process_sync([source])
    return result["frames"], result["meta"]


def numbers(frames):
    return [read_number(np.asarray(frame)) for frame in frames]


# What comes out


def test_the_result_of_a_good_source():
    frames, meta = one(SAMPLES / "gop2.mp4", {"uniform": 3})
    assert numbers(frames) == [0, 30, 59]
    assert list(meta) == META
    assert meta == {
        **{"source": str(SAMPLES / "gop2.mp4"), "failed": False, "error_type": None, "error_message": None},
        **{"attempts": 1, "retried": False, "video_size": [320, 240], "video_num_frames": 3},
        **{"frame_timestamps": [0.0, 1.0, 59 / 30], "frame_indices": [0, 30, 59]},
        **{"source_fps": 30.0, "duration_seconds": 2.0},
    }
    assert json.loads(json.dumps(meta)) == meta


def test_by_default_three_frames_a_second_as_pictures():
    (result,) = VideoProcessor().process_sync([SAMPLES / "gop2.mp4"])
    assert result["frames"][0].size == (320, 240)
    assert numbers(result["frames"]) == [0, 10, 20, 30, 40, 50]


def test_of_a_variable_rate_the_times_count():
    frames, meta = one(SAMPLES / "variable_rate.mp4", {"fps": 5.0}, max_sampled_frames=6)
    with VideoReader(SAMPLES / "variable_rate.mp4") as reader:
        assert np.array_equal(frames, reader.at(np.arange(6) / 5))
        assert meta["frame_timestamps"] == reader.index.pts_seconds[meta["frame_indices"]].tolist()


@pytest.mark.parametrize(("layout", "shape"), [("THWC", (3, 18, 32, 3)), ("TCHW", (3, 3, 18, 32))])
def test_packed_frames(layout, shape):
    frames, meta = one(SAMPLES / "gop2.mp4", pack_for_model=layout, preprocess={"resize": {"size": (32, 18)}})
    assert (frames.shape, frames.dtype, meta["video_size"]) == (shape, np.uint8, [32, 18])


def test_channels_first():
    frames, _ = one(SAMPLES / "gop2.mp4", channels_first=True)
    with VideoReader(SAMPLES / "gop2.mp4") as reader:
        assert np.array_equal(frames, reader[:3].transpose(0, 3, 1, 2))


def test_a_directory_of_images():
    frames, meta = one(SAMPLES / "numbered", {"uniform": 2})
    assert meta["frame_timestamps"] == [0.0, 11 / 25]
    assert len(frames) == 2


# Failures are data


def test_a_bad_source_does_not_disturb_its_neighbours(server):
    good = SAMPLES / "gop2.mp4"
    bad = ["missing.mp4", SAMPLES / "make.py", None, 5, server.url("plain/none.mp4"), "data:video/mp4,x", ""]
    results = processor().process_sync([good, *bad, good])
    assert [result["meta"]["failed"] for result in results] == [False, *[True] * len(bad), False]
    assert all(result["frames"] == [] and list(result["meta"]) == META for result in results[1:-1])
    kinds = [result["meta"]["error_type"] for result in results[1:-1]]
    assert kinds[:4] == ["FileNotFoundError", "OpenError", "TypeError", "TypeError"]
    assert kinds[4:6] == ["SourceError", "OpenError"]


def test_a_step_that_does_not_fit_is_a_failure():
    _, meta = one(SAMPLES / "gop2.mp4", preprocess={"crop": {"box": (0, 0, 321, 10)}})
    assert (meta["error_type"], meta["video_num_frames"]) == ("ValueError", 0)
    assert "320x240" in meta["error_message"]


def test_a_download_that_is_no_video_is_named_by_its_source(folder, server):
    (folder / "text.mp4").write_text("This is not a video.")
    _, meta = one(server.url("plain/text.mp4"))
    assert meta["error_type"] == "OpenError"
    assert meta["error_message"].startswith(server.url("plain/text.mp4"))


def test_credentials_are_never_shown(server):
    for path in ("status-403/first.mp4", "stall-body-9/last.mp4", "plain/text.mp4", "fail-9/first.mp4"):
        url = server.url(path, user="somebody:hunter2", query="token=hunter2&sig=hunter2")
        result = processor(timeout_s=0.3, retries=1).process_sync([url])[0]
        assert "hunter2" not in repr(result), path
        assert result["meta"]["failed"], path


def test_a_data_uri_is_shortened():
    data = base64.b64encode((SAMPLES / "gop2.mp4").read_bytes()).decode()
    frames, meta = one(f"data:video/mp4;base64,{data}", {"uniform": 2})
    assert numbers(frames) == [0, 59]
    assert len(meta["source"]) < 60


# Fetching


@pytest.mark.parametrize("name", ["first.mp4", "last.mp4"])
@pytest.mark.parametrize("cache_mode", ["auto", "disk", "memory"])
@pytest.mark.parametrize("sampling", [{"num_frames": 5}, {"fps": 7.0}, {"uniform": 4}])
def test_a_download_is_the_file(server, name, cache_mode, sampling):
    frames, meta = one(server.url(f"plain/{name}"), sampling, cache_mode=cache_mode)
    local, known = one(SAMPLES / "gop2.mp4", sampling)
    assert np.array_equal(frames, local)
    assert {**meta, "source": ""} == {**known, "source": ""}
    assert server.count(f"plain/{name}") == 1


@pytest.mark.parametrize(
    ("path", "attempts"),
    [("fail-2", 3), ("busy-1", 2), ("reset-2", 3), ("cut-1", 2), ("ranges/stall-body-1", 2)],
)
def test_what_may_pass_is_tried_again(server, path, attempts):
    frames, meta = one(server.url(f"{path}/last.mp4"), timeout_s=1.5)
    assert numbers(frames) == [0, 1, 2]
    assert (meta["attempts"], meta["retried"]) == (attempts, True)


@pytest.mark.parametrize(("path", "attempts"), [("status-404", 1), ("status-403", 1), ("fail-9", 3)])
def test_what_will_not_pass_is_not(server, path, attempts):
    _, meta = one(server.url(f"{path}/last.mp4"))
    assert (meta["error_type"], meta["attempts"]) == ("SourceError", attempts)
    assert server.count(f"{path}/last.mp4") == attempts


def test_a_server_that_says_nothing_is_given_up(server):
    results = processor(timeout_s=0.3, retries=1).process_sync(
        [server.url("stall/last.mp4"), SAMPLES / "gop2.mp4"]
    )
    assert [result["meta"]["error_type"] for result in results] == ["SourceError", None]
    assert results[0]["meta"]["attempts"] == 2


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """A server that needs half a minute for a file, and never pauses long."""
    folder = tmp_path_factory.mktemp("endless")
    with (folder / "endless.mp4").open("wb") as file:
        file.truncate(100_000_000)
    with serving(folder) as server:
        yield server.url("drip/endless.mp4")


def _has_ended():
    return not any(thread.name == "pvio_lab_video" for thread in threading.enumerate())


def test_a_server_that_never_ends_is_given_up(endless):
    _, meta = one(endless, timeout_s=2.0, retries=0)
    assert (meta["error_type"], meta["failed"]) == ("TimeoutError", True)
    assert "timeout_s=2" in meta["error_message"]
    _wait_until(_has_ended)


def _wait_until(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_beginning_is_streamed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (600, 120, 160, 3), dtype=np.uint8)
    write_frames_to_video(tmp_path / "noise.mp4", noise, 30, progress=False)
    with serving(tmp_path) as server, VideoReader(tmp_path / "noise.mp4") as reader:
        url = server.url("drip/noise.mp4")
        for sampling in ({"num_frames": 4}, {"fps": 10.0}):
            frames, _ = one(url, sampling, max_sampled_frames=4)
            wanted = [0, 1, 2, 3] if "num_frames" in sampling else [0, 3, 6, 9]
            assert np.array_equal(frames, reader[wanted])
        assert server.num_sent("drip/noise.mp4") < reader.info.size_bytes / 2
        one(server.url("plain/noise.mp4"), cache_mode="disk")
        assert server.num_sent("plain/noise.mp4") == reader.info.size_bytes


def test_downloads_leave_nothing_behind(server, tmp_path):
    one(server.url("plain/last.mp4"), cache_mode="disk", cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_kept_downloads_count_the_next_time(server, tmp_path):
    for attempts in range(2):
        frames, _ = one(server.url("plain/last.mp4"), cache_dir=tmp_path, keep_downloaded=True)
        assert numbers(frames) == [0, 1, 2], attempts
    assert server.count("plain/last.mp4") == 1


# Many at once


def test_the_order_is_that_of_the_sources(server):
    urls = [server.url(f"drip/{name}.mp4") for name in ["first", "last"] * 6]
    results = processor(max_concurrency=3).process_sync(urls)
    assert [result["meta"]["source"] for result in results] == urls
    assert all(numbers(result["frames"]) == [0, 1, 2] for result in results)


def test_no_more_at_once_than_allowed(monkeypatch):
    lock, running, most = threading.Lock(), set(), []

    def slow(source, *_):
        with lock:
            running.add(source)
            most.append(len(running))
        time.sleep(0.05)
        running.remove(source)
        raise FileNotFoundError(source)

    monkeypatch.setattr("pvio_lab.scale.processor.take", slow)
    processor(max_concurrency=3).process_sync([str(number) for number in range(12)])
    assert max(most) == 3


def test_the_event_loop_goes_on():
    async def both():
        task = asyncio.create_task(processor({"fps": 30.0}).process([SAMPLES / "gop2.mp4"] * 4))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.002)
            ticks += 1
        return ticks, task.result()

    ticks, results = asyncio.run(both())
    assert ticks > 5
    assert [len(result["frames"]) for result in results] == [60] * 4


def test_inside_a_running_loop_too():
    async def inside():
        return one(SAMPLES / "gop2.mp4")

    frames, _ = asyncio.run(inside())
    assert numbers(frames) == [0, 1, 2]


def test_a_cancelled_process_stops(endless):
    async def cancelled():
        task = asyncio.create_task(processor().process([endless] * 3))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    _wait_until(_has_ended)


def test_memory_does_not_grow_with_the_length(tmp_path):
    """Eight small frames of a long video: not all of them are ever there at once."""

    def frames():
        for number in range(1500):
            yield np.full((240, 320, 3), number % 256, np.uint8)

    write_frames_to_video(tmp_path / "long.mp4", frames(), 30, progress=False, preset="ultrafast")
    tiny = {"resize": {"size": (16, 12)}}
    one(SAMPLES / "gop2.mp4", preprocess=tiny)
    gc.collect()
    tracemalloc.start()
    try:
        found, _ = one(tmp_path / "long.mp4", {"fps": 15.0}, preprocess=tiny)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) == 750
    assert peak < 90e6  # the frames asked for would take 173 MB before they are resized


def test_it_can_be_pickled():
    made = processor({"uniform": 2}, preprocess={"resize": {"size": (32, 18)}})
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again.process_sync([SAMPLES / "gop2.mp4"])[0]["frames"][0].shape == (18, 32, 3)


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"sampling": {"fps": 1, "uniform": 2}},
        {"max_sampled_frames": 0},
        {"preprocess": {"turn": 90}},
        {"output_format": "torch"},
        {"channels_first": "yes"},
        {"channels_first": True},
        {"channels_first": True, "pack_for_model": "THWC"},
        {"pack_for_model": True},
        {"pack_for_model": "CTHW"},
        {"cache_mode": "stream"},
        {"keep_downloaded": True, "cache_mode": "memory"},
        {"keep_downloaded": 1},
        {"timeout_s": 0},
        {"timeout_s": -1.0},
        {"timeout_s": float("inf")},
        {"max_concurrency": 0},
        {"retries": -1},
        {"retry_backoff_base": -0.1},
    ],
)
def test_a_wrong_option_is_named_at_once(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        VideoProcessor(**options)


def test_sources_are_a_list():
    for single in ("clip.mp4", Path("clip.mp4")):
        with pytest.raises(TypeError, match="must be a list"):
            VideoProcessor().process_sync(single)
    assert VideoProcessor().process_sync([]) == []


# Without Ray


@pytest.mark.parametrize(
    ("use", "error"),
    [
        ("pv.PrepareVideoUDF('data', ['messages'])", r'ImportError: .*pip install "pvio_lab\[ray\]"'),
        ("pv.prepare_videos(None)", r'ImportError: .*pip install "pvio_lab\[ray\]"'),
        ("pv.PrepareVideoStage(wrong=1)", "TypeError: PrepareVideoStage has no option 'wrong'"),
    ],
)
def test_without_ray_its_forms_say_what_is_missing(use, error):
    code = (
        "import sys; sys.modules['ray'] = None; import pvio_lab as pv; pv.VideoProcessor(); "
        f"print(pv.PrepareVideoStage(sampling={{'num_frames': 2}}).fn_constructor_kwargs); {use}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "{'sampling': {'num_frames': 2}}\n"
    assert re.match(error, done.stderr.splitlines()[-1])
