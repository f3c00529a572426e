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

from pvio_lab import VideoProcessor, VideoReader, video_sources, write_frames_to_video

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
    assert json.loads(json.dumps(meta)) == {
        **{"source": str(SAMPLES / "gop2.mp4"), "failed": False, "error_type": None, "error_message": None},
        **{"attempts": 1, "retried": False, "video_size": [320, 240], "video_num_frames": 3},
        **{"frame_timestamps": [0.0, 1.0, 59 / 30], "frame_indices": [0, 30, 59]},
        **{"source_fps": 30.0, "duration_seconds": 2.0},
    }


def test_by_default_three_frames_a_second_as_pictures():
    (result,) = VideoProcessor().process_sync([SAMPLES / "gop2.mp4"])
    assert result["frames"][0].size == (320, 240)
    assert numbers(result["frames"]) == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({"pack_for_model": "THWC"}, (0, 1, 2, 3)),
        ({"pack_for_model": "TCHW"}, (0, 3, 1, 2)),
        ({"channels_first": True}, (0, 3, 1, 2)),
        ({"pack_for_model": True}, (0, 1, 2, 3)),
        ({"pack_for_model": True, "channels_first": True}, (0, 3, 1, 2)),
    ],
)
def test_layouts(options, axes):
    frames, meta = one(SAMPLES / "gop2.mp4", **options)
    with VideoReader(SAMPLES / "gop2.mp4") as reader:
        assert np.array_equal(frames, reader[:3].transpose(axes))
    assert isinstance(frames, np.ndarray) == ("pack_for_model" in options)
    assert meta["video_size"] == [320, 240]


def test_a_directory_of_images():
    frames, meta = one(SAMPLES / "numbered", {"uniform": 2})
    assert (len(frames), meta["frame_timestamps"]) == (2, [0.0, 11 / 25])


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
    ("path", "error", "attempts"),
    [
        *[("fail-2", None, 3), ("busy-1", None, 2), ("reset-2", None, 3), ("cut-1", None, 2)],
        *[("ranges/stall-body-1", None, 2), ("stall", "SourceError", 3), ("fail-9", "SourceError", 3)],
        *[("status-404", "SourceError", 1), ("status-403", "SourceError", 1)],
    ],
)
def test_only_what_may_pass_is_tried_again(server, path, error, attempts):
    frames, meta = one(server.url(f"{path}/last.mp4"), timeout_s=1.5)
    assert numbers(frames) == ([] if error else [0, 1, 2])
    assert (meta["error_type"], meta["attempts"], meta["retried"]) == (error, attempts, attempts > 1)


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """A server that needs half a minute for a file, and never pauses long."""
    folder = tmp_path_factory.mktemp("endless")
    with (folder / "endless.mp4").open("wb") as file:
        file.truncate(100_000_000)
    with serving(folder) as server:
        yield server.url("drip/endless.mp4")


def _wait_until_the_threads_have_ended(seconds=20):
    end = time.monotonic() + seconds
    while any(thread.name == "pvio_lab_video" for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_server_that_never_ends_is_given_up(endless):
    _, meta = one(endless, timeout_s=2.0, retries=0)
    assert (meta["error_type"], meta["failed"]) == ("TimeoutError", True)
    assert "timeout_s=2" in meta["error_message"]
    _wait_until_the_threads_have_ended()


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


def test_only_a_download_that_is_kept_stays_and_counts_the_next_time(server, tmp_path):
    one(server.url("plain/last.mp4"), cache_mode="disk", cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())
    for _ in range(2):
        frames, _ = one(server.url("plain/last.mp4"), cache_dir=tmp_path, keep_downloaded=True)
        assert numbers(frames) == [0, 1, 2]
    assert server.count("plain/last.mp4") == 2


# Many at once


def test_the_order_is_that_of_the_sources(server):
    urls = [server.url(f"drip/{name}.mp4") for name in ["first", "last"] * 6]
    results = processor(max_concurrency=3).process_sync(urls)
    assert [result["meta"]["source"] for result in results] == urls
    assert all(numbers(result["frames"]) == [0, 1, 2] for result in results)


def test_no_more_at_once_than_allowed(monkeypatch):
    running, most = set(), []

    async def slow(source, *_):
        running.add(source)
        most.append(len(running))
        await asyncio.sleep(0.01)
        running.remove(source)

    monkeypatch.setattr("pvio_lab.scale.processor.process_source", slow)
    processor(max_concurrency=3).process_sync([str(number) for number in range(12)])
    assert max(most) == 3


def test_the_event_loop_goes_on():
    async def both():
        task = asyncio.create_task(processor({"fps": 30.0}).process([SAMPLES / "gop2.mp4"] * 4))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.002)
            ticks += 1
        return ticks, task.result(), one(SAMPLES / "gop2.mp4")

    ticks, results, (frames, _) = asyncio.run(both())
    assert ticks > 5
    assert [len(result["frames"]) for result in results] == [60] * 4
    assert numbers(frames) == [0, 1, 2]  # `process_sync` inside a running loop


def test_a_cancelled_process_stops(endless):
    async def cancelled():
        task = asyncio.create_task(processor().process([endless] * 3))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    _wait_until_the_threads_have_ended()


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
    (result,) = again.process_sync([SAMPLES / "gop2.mp4"])
    assert (result["frames"][0].shape, result["meta"]["video_size"]) == ((18, 32, 3), [32, 18])


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"sampling": {"fps": 1, "uniform": 2}},
        {"max_sampled_frames": 0},
        {"preprocess": {"turn": 90}},
        {"output_format": "torch"},
        {"channels_first": "yes"},
        {"channels_first": True, "pack_for_model": "THWC"},
        *[{"pack_for_model": "CTHW"}, {"pack_for_model": 1}],
        {"cache_mode": "stream"},
        {"keep_downloaded": 1},
        *[{"timeout_s": 0}, {"timeout_s": -1.0}, {"timeout_s": float("inf")}],
        *[{"max_concurrency": 0}, {"retries": -1}, {"retry_backoff_base": -0.1}],
    ],
)
def test_a_wrong_option_is_named_at_once(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        VideoProcessor(**options)


def test_what_does_not_apply_is_ignored(server, tmp_path):
    frames, _ = one(SAMPLES / "gop2.mp4", output_format="pil", channels_first=True)
    assert frames[0].size == (320, 240)
    options = {"cache_mode": "memory", "keep_downloaded": True, "cache_dir": tmp_path}
    assert not one(server.url("plain/last.mp4"), **options)[1]["failed"]
    assert list(tmp_path.iterdir()) == []


def test_none_is_the_default():
    assert VideoProcessor(sampling=None, preprocess=None)._recipe == VideoProcessor()._recipe


def test_an_order_that_is_not_kept_is_warned_of():
    swapped = {"crop": {"box": (0, 0, 9, 9)}, "resize": {"size": (32, 18)}}
    with pytest.warns(
        UserWarning, match="are applied as resize, crop; for crop, resize give a list of steps"
    ):
        VideoProcessor(preprocess=swapped)


def test_sources_are_a_list():
    for single in ("clip.mp4", Path("clip.mp4")):
        with pytest.raises(TypeError, match="must be a list"):
            VideoProcessor().process_sync(single)
    assert VideoProcessor().process_sync([]) == []


# The messages of chats


def user(*items):
    return {"role": "user", "content": list(items)}


def test_all_forms_in_order():
    messages = [
        {"role": "system", "content": "Be brief."},
        user(
            {"type": "video", "video": "a.mp4"},
            {"type": "text", "text": "and"},
            {"type": "video_url", "video_url": {"url": "http://host/b.mp4"}},
            {"type": "image_url", "image_url": {"url": "c.png"}},
        ),
        {"role": "assistant", "content": None},
        user({"type": "video_url", "video_url": "d.mp4"}, "text", {"type": "video", "video": "a.mp4"}),
    ]
    assert video_sources(messages) == ["a.mp4", "http://host/b.mp4", "d.mp4", "a.mp4"]


def test_no_messages_have_no_videos():
    assert video_sources([]) == video_sources([{"role": "user", "content": "none"}]) == []


def test_rows_of_a_table():
    """There, lists are arrays, and items have all the keys of all items."""
    content = np.array(
        [
            {"type": "text", "text": "?", "video": None, "video_url": None},
            {"type": "video", "text": None, "video": "a.mp4", "video_url": None},
            {"type": "video_url", "text": None, "video": None, "video_url": {"url": "b.mp4"}},
        ]
    )
    assert video_sources(np.array([{"role": "user", "content": content}])) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (None, r"^messages must be a list; it is None"),
        ("a.mp4", r"^messages must be a list"),
        ({"role": "user"}, r"^messages must be a list"),
        (["a.mp4"], r"^messages\[0\] must be a message"),
        ([user(), {"content": 5}], r"^messages\[1\]\['content'\] must be a list; it is 5"),
        ([user({"type": "text"}, 3)], r"^messages\[0\]\['content'\]\[1\] must be a text or an item"),
        ([user({"type": "video"})], r"^messages\[0\]\['content'\]\[0\] must be .*path or URL"),
        ([user({"type": "video", "video": ""})], r"path or URL"),
        ([user({"type": "video_url", "video_url": {"uri": "a.mp4"}})], r"path or URL"),
    ],
)
def test_another_shape_is_named_with_its_place(messages, words):
    with pytest.raises(ValueError, match=words):
        video_sources(messages)


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
