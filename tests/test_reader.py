from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from truth_frames import CLIPS, SAMPLES, TRUTH, read_number, shuffled, true_frames, true_times, wrong_frames

from pvio_lab import FrameTimestampError, VideoReader, open_video, read_frames_from_video

WHOLE = [name for name in CLIPS if name != "damaged.mp4"]


def truth(name):
    return true_frames(SAMPLES / name)


def numbers_in(name):
    """Return the barcodes of a clip's frames, from truth.json."""
    return [number for first, count in TRUTH[name]["numbers"] for number in range(first, first + count)]


@pytest.fixture
def reader():
    with VideoReader(SAMPLES / "gop2.mp4") as reader:
        yield reader


@pytest.fixture
def long_groups():
    with VideoReader(SAMPLES / "shapes.mp4") as reader:
        yield reader


@pytest.mark.parametrize("name", WHOLE)
def test_every_frame_in_order_and_backwards(name):
    with VideoReader(SAMPLES / name) as reader:
        count = TRUTH[name]["num_frames"]
        assert (len(reader), reader.shape) == (count, truth(name).shape)
        assert [read_number(frame) for frame in reader] == numbers_in(name)
        assert not wrong_frames(np.stack([reader[i] for i in range(count)]), truth(name))
        assert not wrong_frames(np.stack([reader[i] for i in range(-1, -count - 1, -1)]), truth(name)[::-1])
        assert not wrong_frames(reader[:], truth(name))


@pytest.mark.parametrize("name", WHOLE)
def test_in_any_order_with_duplicates(name):
    asked = shuffled(len(truth(name)), 70)
    with VideoReader(SAMPLES / name, cache_bytes=0) as reader:
        assert not wrong_frames(reader[asked], truth(name)[asked])
        assert not wrong_frames(np.stack([reader[i] for i in asked[:20]]), truth(name)[asked[:20]])


@pytest.mark.parametrize("name", WHOLE)
def test_at_the_time_of_each_frame(name):
    begins = true_times(SAMPLES / name) - TRUTH[name]["start_seconds"]
    with VideoReader(SAMPLES / name) as reader:
        pts, durations = reader.times
        if name != "truncated.mp4":  # between its last frames some are lost
            assert pts - pts[0] == pytest.approx(begins, abs=2e-3)
        if TRUTH[name]["container"] != "avi" and name != "raw.h264":
            assert (
                reader.info.start_seconds == pts[0] == pytest.approx(TRUTH[name]["start_seconds"], abs=2e-3)
            )
        asked = np.random.default_rng(0).permutation(len(reader))[:20]
        assert not wrong_frames(reader.at(pts[asked] + durations[asked] / 2), truth(name)[asked])


# All kinds of keys, and wrong ones, are in test_frames; of times, in test_times.
KEYS = [slice(50, 10, -3), slice(-5, None), [7, 3, 3, -1], torch.tensor([7, 3, -1]), np.arange(60) % 20 == 3]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_keys_mean_what_they_mean_in_numpy(reader, key):
    assert not wrong_frames(reader[key], truth("gop2.mp4")[key])


@pytest.mark.parametrize("key", [slice(9, 3), []], ids=str)
def test_nothing_asked_keeps_the_shape(reader, key):
    assert reader[key].shape == (0, 240, 320, 3)
    assert reader.read(key, as_torch=True).shape == (0, 3, 240, 320)


def test_one_number_is_one_frame(reader):
    assert reader[-56].shape == (240, 320, 3)
    assert not wrong_frames(reader[-56][None], truth("gop2.mp4")[4:5])
    with pytest.raises(IndexError, match="frame 60 is out of range: there are 60 frames, numbered 0 to 59"):
        reader[60]


def test_frames_belong_to_the_caller(reader):
    reader[4][:] = 0
    many = reader[[4, 4, 5]]
    many[0] = 0
    assert not wrong_frames(many[1:], truth("gop2.mp4")[4:6])
    first, second = list(reader)[:2]
    first[:] = 0
    assert not wrong_frames(second[None], truth("gop2.mp4")[1:2])
    assert not wrong_frames(reader[:6], truth("gop2.mp4")[:6])


def test_one_time_and_many(reader):
    assert reader.at(1).shape == (240, 320, 3)
    assert reader.at([]).shape == (0, 240, 320, 3)
    assert not wrong_frames(reader.at((1.99, 0.0, 0.04)), truth("gop2.mp4")[[59, 0, 1]])
    with pytest.raises(FrameTimestampError, match="is on screen at 2 s: the video runs from 0 s up to"):
        reader.at([0.1, 2.0])


def test_a_variable_rate_is_not_guessed():
    times = true_times(SAMPLES / "variable_rate.mp4")
    with VideoReader(SAMPLES / "variable_rate.mp4") as reader:
        assert reader.index.pts_seconds == pytest.approx(times, abs=1e-4)
        asked = (times[:-1] * 0.1 + times[1:] * 0.9)[::5]
        assert not wrong_frames(reader.at(asked), truth("variable_rate.mp4")[:-1:5])


@pytest.mark.parametrize(
    ("size", "part"),
    [
        *((1, slice(0, None)), (7, slice(0, None)), (60, slice(0, None)), (100, slice(0, None))),
        *((8, slice(13, None)), (8, slice(-9, None)), (8, slice(0, 20)), (8, slice(0, -50))),
        *((8, slice(0, None, 3)), (4, slice(50, 10, -7)), (4, slice(5, 900, 11)), (4, slice(30, 30))),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["gop2.mp4", "open_gop_hevc.mp4", "bframes.avi"])
def test_batches(name, size, part):
    asked = np.arange(len(truth(name)))[part]
    with VideoReader(SAMPLES / name) as reader:
        batches = list(reader.batches(size, start=part.start, stop=part.stop, step=part.step or 1))
    assert [numbers.tolist() for numbers, _ in batches] == [
        asked[i : i + size].tolist() for i in range(0, len(asked), size)
    ]
    for numbers, frames in batches:
        assert not wrong_frames(frames, truth(name)[numbers])


def test_batches_before_a_damaged_frame():
    with VideoReader(SAMPLES / "damaged.mp4") as reader:
        for numbers, frames in reader.batches(7, stop=40):
            assert not wrong_frames(frames, truth("damaged.mp4")[numbers])


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_wrong_sizes_of_batches(reader, size, error):
    with pytest.raises(error, match=f"batch_size={size} must be"):
        reader.batches(size)


def test_passes_and_random_reads_at_once(reader):
    for (numbers, frames), (_, others) in zip(reader.batches(16), reader.batches(16), strict=True):
        assert not wrong_frames(frames, truth("gop2.mp4")[numbers])
        assert not wrong_frames(reader[[3, 40]], truth("gop2.mp4")[[3, 40]])
        assert np.array_equal(frames, others)


def test_a_tensor_shares_memory(reader, monkeypatch):
    frames = reader[:4]
    monkeypatch.setattr(VideoReader, "__getitem__", lambda self, key: frames)
    tensor = reader.read(slice(4), as_torch=True)
    assert (tensor.shape, tensor.dtype) == ((4, 3, 240, 320), torch.uint8)
    assert tensor.data_ptr() == frames.ctypes.data
    assert np.array_equal(tensor.permute(0, 2, 3, 1).numpy(), frames)
    assert np.array_equal(reader.read(slice(4)), frames)


def scaled(name, width, height):
    return true_frames(SAMPLES / name, "-vf", f"scale={width}:{height}:flags=bicubic")


@pytest.mark.parametrize(
    "name", ["shapes.mp4", "hevc_10bit.mp4", "rotated_90.mp4", "yuv444_odd.mp4", "bframes.avi"]
)
@pytest.mark.parametrize("size", [(160, 120), (96, 90), (330, 250), (31, 17)], ids=str)
def test_decoded_to_a_size(name, size):
    asked = shuffled(len(truth(name)), 12)
    with VideoReader(SAMPLES / name, width=size[0], height=size[1]) as reader:
        assert reader.shape[1:] == (size[1], size[0], 3)
        assert not wrong_frames(reader[asked], scaled(name, *size)[asked])
        _, frames = next(reader.batches(5, start=20))
        assert not wrong_frames(frames, scaled(name, *size)[20:25])


@pytest.mark.parametrize(
    ("name", "option", "size"),
    [
        ("shapes.mp4", {"width": 320}, (180, 320)),
        ("shapes.mp4", {"height": 90}, (90, 160)),
        ("rotated_90.mp4", {"width": 120}, (160, 120)),
        ("yuv444_odd.mp4", {"height": 100}, (100, 133)),
        ("shapes.mp4", {"width": 1}, (1, 1)),
    ],
)
def test_one_side_follows_the_other(name, option, size):
    with VideoReader(SAMPLES / name, **option) as reader:
        assert reader.shape[1:3] == reader[0].shape[:2] == size
        assert (reader.info.height, reader.info.width) == truth(name).shape[1:3]


@pytest.mark.parametrize(
    ("option", "value", "error", "words"),
    [
        *((name, 1.5, TypeError, "an integer") for name in ("width", "height", "num_threads", "cache_bytes")),
        *((name, 0, ValueError, "1 or more") for name in ("width", "height", "num_threads")),
        ("cache_bytes", -1, ValueError, "0 or more"),
        ("engine", "ffmpeg", ValueError, "one of 'auto', 'decord', 'pyav'"),
    ],
)
def test_wrong_options(option, value, error, words):
    with pytest.raises(error, match=f"{option}={value!r} must be {words}"):
        VideoReader(SAMPLES / "gop2.mp4", **{option: value})


@pytest.mark.parametrize("name", WHOLE)
def test_a_forced_engine_is_exact_or_refused(name):
    path, asked = SAMPLES / name, shuffled(len(truth(name)), 30)
    with VideoReader(path, engine="pyav") as reader:
        assert reader.index.engine == "pyav"
        assert "asked for" in reader.index.reason
        refusal = reader.index.decord_refusal
    assert refusal is None or name != "shapes.mp4"
    if refusal:
        with pytest.raises(
            ValueError, match=f"engine='decord' would not be exact for .*{re.escape(refusal)}"
        ):
            VideoReader(path, engine="decord")
    else:
        with VideoReader(path, engine="decord") as reader:
            assert (reader.index.engine, len(reader)) == ("decord", len(truth(name)))
            assert not wrong_frames(reader[asked], truth(name)[asked])
            assert not wrong_frames(reader[5:20:3], truth(name)[5:20:3])


def test_what_a_reader_shows_of_itself():
    with VideoReader(SAMPLES / "shapes.mp4") as reader:
        assert reader.num_decoded <= 16  # opening costs next to nothing
        expected = r"VideoReader\('.*shapes.mp4': 300 frames, 640x360, 30 frames/s, h264, by pyav\)"
        assert re.fullmatch(expected, repr(reader))
        assert repr(reader.index).startswith(
            "FrameIndex(300 frames, 2 keyframes, up to 250 frames apart, engine="
        )
        assert "h264" in reader._repr_html_()


@pytest.mark.parametrize(
    "use",
    [
        *(lambda r: r[0], lambda r: r[:0], lambda r: r.at(0), lambda r: r.read([1])),
        *(lambda r: next(iter(r)), lambda r: next(r.batches(2)), lambda r: r.stream([0])),
    ],
)
def test_a_closed_reader_says_so(use):
    with VideoReader(SAMPLES / "gop2.mp4") as reader:
        reader.close()
    with pytest.raises(ValueError, match=r"this reader of .*gop2.mp4 is closed; open a new one"):
        use(reader)
    assert (len(reader), reader.info.width, reader.index.engine) == (60, 320, "pyav")


def groups_touched(reader, asked):
    """Return the number of frames in the groups that hold these frames."""
    begins = np.union1d(reader.index.keyframes, [0])
    which = np.searchsorted(begins, np.asarray(asked) % len(reader), side="right") - 1
    return int(reader.index.gop_lengths[np.unique(which)].sum())


@pytest.mark.parametrize(
    "name", ["gop2.mp4", "no_count.mkv", "stream.ts", "vp9.webm", "late_start.mp4", "shapes.mp4"]
)
@pytest.mark.parametrize("engine", ["auto", "pyav"])
def test_many_frames_cost_each_group_once(name, engine):
    with VideoReader(SAMPLES / name, engine=engine) as reader:
        asked, before = shuffled(len(reader), 100), reader.num_decoded
        reader[asked]
        assert reader.num_decoded - before <= groups_touched(reader, asked) + 4


def test_a_jump_decodes_no_frames_behind_its_own():
    with VideoReader(SAMPLES / "gop2.mp4", cache_bytes=0, num_threads=1) as reader:
        _ = reader[10], reader[50]
        before = reader.num_decoded
        _ = reader[20], reader[41], reader[[5, 30, 16]]
        assert reader.num_decoded - before <= 1 + 2 + (2 + 1 + 1)


def test_decord_costs_each_group_once_too():
    with VideoReader(SAMPLES / "shapes.mp4", engine="decord") as reader:
        reader[shuffled(len(reader), 100)]
        assert reader.num_decoded <= len(reader)


@pytest.mark.parametrize("engine", ["pyav", "decord"])
def test_a_step_in_a_remembered_group_costs_nothing(engine):
    with VideoReader(SAMPLES / "shapes.mp4", engine=engine) as reader:
        assert cost(reader, [120], [119, 115, 110, 105, 112, -180]) == 0


def test_a_group_visited_twice_is_remembered_whole(long_groups):
    assert cost(long_groups, (120, 90, 89, 88), [*range(87, -1, -1), *range(89), -299]) == 0


def test_steps_ahead_decode_one_frame_each(long_groups):
    assert cost(long_groups, [100], range(101, 150)) <= 49 + 16


def cost(reader, first, then):
    """Return how many frames are decoded to read some frames after others, one by one."""
    for number in first:
        reader[number]
    before = reader.num_decoded
    for number in then:
        reader[number]
    return reader.num_decoded - before


def test_without_a_cache_each_visit_decodes_only_what_is_needed():
    with VideoReader(SAMPLES / "shapes.mp4", cache_bytes=0, num_threads=1) as reader:
        costs = [cost(reader, [], [number]) for number in (200, 0, 200, 0, 200)]
        assert 0 < costs[2] == costs[4] <= costs[0] < 200


@pytest.mark.parametrize(
    "source", [str(SAMPLES / "gop2.mp4"), SAMPLES / "gop2.mp4", (SAMPLES / "gop2.mp4").as_uri()]
)
def test_sources(source):
    with VideoReader(source) as reader:
        assert not wrong_frames(reader[[8]], truth("gop2.mp4")[8:9])


def test_a_relative_path_survives_another_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(SAMPLES)
    with VideoReader("gop2.mp4") as reader:
        monkeypatch.chdir(tmp_path)
        assert not wrong_frames(reader[:], truth("gop2.mp4"))
        assert not wrong_frames(np.stack(list(reader)), truth("gop2.mp4"))


@pytest.mark.parametrize("source", [3, None, b"gop2.mp4", ["gop2.mp4"]])
def test_no_source(source):
    with pytest.raises(TypeError, match="a source must be a path or a URL"):
        VideoReader(source)


def test_open_video_takes_both():
    with open_video(SAMPLES / "gop2.mp4", width=64) as video, open_video(SAMPLES / "numbered") as images:
        assert (type(video).__name__, type(images).__name__) == ("VideoReader", "ImageSequence")
        assert [read_number(frame) for frame in images] == list(range(1, 13))


def test_frames_in_one_line():
    frames, fps = read_frames_from_video(SAMPLES / "gop2.mp4", [9, 0, -1])
    assert fps == 30
    assert not wrong_frames(frames, truth("gop2.mp4")[[9, 0, -1]])
    assert read_frames_from_video(str(Path(SAMPLES, "numbered")))[0].shape == (12, 120, 160, 3)


@pytest.mark.parametrize("name", ["bframes.avi", "open_gop_hevc.mp4", "raw.h264", "variable_rate.mp4"])
def test_frames_far_apart_stream_exactly(name):
    numbers = [2, 3, 29, 31, 60]
    with VideoReader(SAMPLES / name) as reader:
        frames = np.array(list(reader.stream(numbers)))
    assert wrong_frames(frames, true_frames(SAMPLES / name)[numbers]) == []


@pytest.mark.parametrize("name", ["rotated_90.mp4", "numbered"])
def test_a_stream_has_the_size_that_is_asked_for(name):
    with open_video(SAMPLES / name, width=50, height=70) as small, open_video(SAMPLES / name) as reader:
        frames = np.array(list(reader.stream([1, 4], size=(50, 70))))
        assert np.array_equal(frames, small[[1, 4]])
        with pytest.raises(ValueError, match="width=0 must be 1 or more"):
            reader.stream([1], size=(0, 70))
        with pytest.raises(IndexError, match="is out of range"):
            reader.stream([0, 600])
