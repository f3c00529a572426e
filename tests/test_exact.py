"""Frame i is frame i of what the ffmpeg program puts out."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hard_clips import HARD_CLIPS
from imageio_ffmpeg import get_ffmpeg_exe
from truth_frames import CLIPS, SAMPLES, hard_clips, psnr, shuffled, true_frames, wrong_frames

from pvio_lab import DecodeError, VideoReader

LOSSY = {"drop_middle.mp4"}  # some of its frames cannot be decoded at all
NAMES = [clip.name for clip in HARD_CLIPS if clip.name not in LOSSY]
LONG = 20_000


@pytest.fixture
def busy():
    """Keep the processors busy with other processes."""
    command = [sys.executable, "-ISc", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]
    yield
    for other in others:
        other.kill()
        other.wait()


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """Make 20,000 small frames with their number in 16 squares, in closed groups of 250."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    bits = np.arange(LONG)[:, None] >> np.arange(16) & 1
    squares = (bits.reshape(-1, 4, 4) * 200 + 20).astype(np.uint8)
    how = "-c:v libx264 -preset veryfast -g 250 -keyint_min 250 -sc_threshold 0 -pix_fmt yuv420p".split()
    raw = "-y -v error -f rawvideo -pix_fmt gray -s 64x48 -r 30 -i -".split()
    pixels = squares.repeat(12, 1).repeat(16, 2).tobytes()
    subprocess.run([get_ffmpeg_exe(), *raw, *how, path], input=pixels, check=True, timeout=120)
    return path


def numbers_of(frames):
    """Return the numbers in the squares of frames of the long clip."""
    cells = np.asarray(frames, np.float32)[..., 1].reshape(-1, 4, 12, 4, 16).mean((2, 4)).reshape(-1, 16)
    return ((cells > 120) << np.arange(16)).sum(1).tolist()


def one_by_one(reader, numbers):
    return np.stack([reader[number] for number in numbers])


@pytest.mark.parametrize("name", NAMES)
def test_in_order(name):
    truth = true_frames(hard_clips()[name])
    with VideoReader(hard_clips()[name], num_threads=2) as reader:
        assert len(reader) == len(truth)
        assert not wrong_frames(np.stack(list(reader)), truth)


@pytest.mark.parametrize("name", NAMES)
def test_backwards(name):
    truth = true_frames(hard_clips()[name])
    with VideoReader(hard_clips()[name], num_threads=2) as reader:
        assert not wrong_frames(one_by_one(reader, range(len(truth))[::-1]), truth[::-1])


@pytest.mark.parametrize("name", NAMES)
def test_in_any_order(name):
    truth = true_frames(hard_clips()[name])
    asked = shuffled(len(truth), 2 * len(truth))
    with VideoReader(hard_clips()[name], num_threads=2, cache_bytes=0) as reader:
        assert not wrong_frames(one_by_one(reader, asked[: len(truth)]), truth[asked[: len(truth)]])
        assert not wrong_frames(reader[asked], truth[asked])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_threads", [1, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_with_any_number_of_threads(name, num_threads):
    truth = true_frames(hard_clips()[name])
    asked = shuffled(len(truth), len(truth), seed=1)
    with VideoReader(hard_clips()[name], num_threads=num_threads) as reader:
        assert len(reader) == len(truth)
        assert not wrong_frames(reader[asked], truth[asked])


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    "name",
    [name if i % 4 == 0 else pytest.param(name, marks=pytest.mark.slow) for i, name in enumerate(NAMES)],
)
def test_while_the_processors_are_busy(name):
    truth = true_frames(hard_clips()[name])
    asked = shuffled(len(truth), 40, seed=2)
    with VideoReader(hard_clips()[name], num_threads=4) as reader:
        assert not wrong_frames(reader[asked], truth[asked])
        assert not wrong_frames(one_by_one(reader, asked[:12]), truth[asked[:12]])


def frame_or_error(reader, number):
    try:
        return reader[number]
    except DecodeError as error:
        return error


@pytest.mark.parametrize("path", [SAMPLES / "damaged.mp4", "drop_middle.mp4"], ids=str)
def test_lost_frames_are_errors_and_all_others_are_right(path):
    path = hard_clips()[path] if isinstance(path, str) else path
    truth = true_frames(path)
    with VideoReader(path) as reader:
        numbers = np.random.default_rng(0).permutation(len(reader)).tolist()
        found = {number: frame_or_error(reader, number) for number in numbers}
    errors = {number: str(found.pop(number)) for number in numbers if not hasattr(found[number], "shape")}
    assert 0 < len(errors) < 20
    assert all(f"frame {number} of" in error for number, error in errors.items())
    for number, frame in found.items():  # ffmpeg may show the last one before a gap after it
        assert any(psnr(frame, true) > 45 for true in truth[max(number - 20, 0) : number + 5]), number


def decord_exact_clips():
    """Return intact clips in which decord is exact, as far as the index knows."""
    for path in [*(SAMPLES / name for name in CLIPS), *hard_clips().values()]:
        if path.name not in {"damaged.mp4", *LOSSY}:
            with VideoReader(path) as reader:
                if reader.index.decord_refusal is None:
                    yield path


def test_decord_where_it_is_exact():
    paths = list(decord_exact_clips())
    assert len(paths) >= 10
    for path in paths:
        truth = true_frames(path)
        asked = shuffled(len(truth), 80)
        with VideoReader(path, engine="decord", cache_bytes=0) as reader:
            assert reader.shape == truth.shape, path
            assert not wrong_frames(reader[asked], truth[asked]), path
            assert not wrong_frames(one_by_one(reader, asked[:20]), truth[asked[:20]]), path


def test_decord_never_returns_another_frame_where_a_file_is_damaged():
    path, errors = SAMPLES / "damaged.mp4", 0
    with VideoReader(path) as reader, VideoReader(path, engine="decord") as by_decord:
        for number in np.random.default_rng(0).permutation(len(reader)).tolist():
            frame = frame_or_error(by_decord, number)
            if isinstance(frame, DecodeError):
                errors += 1
                assert "leave engine out" in str(frame)
            else:
                assert psnr(frame, reader[number]) > 45, number
    assert 0 < errors < len(reader)


@pytest.mark.parametrize("engine", ["auto", "decord"])
def test_a_long_file(long_clip, engine):
    asked = random.Random(0).sample(range(LONG), 300)
    with VideoReader(long_clip, engine=engine) as reader:
        assert len(reader) == LONG
        assert numbers_of(reader[asked]) == asked
        assert numbers_of([reader[number] for number in asked[:60]]) == asked[:60]
        assert numbers_of(reader[19_990:]) == list(range(19_990, LONG))


@pytest.mark.usefixtures("busy")
def test_decord_in_a_long_file_while_the_processors_are_busy(long_clip):
    asked = random.Random(1).sample(range(LONG), 60)
    with VideoReader(long_clip, engine="decord") as reader:
        assert numbers_of(reader[asked]) == asked


def test_a_long_file_in_order(long_clip):
    with VideoReader(long_clip) as reader:
        parts = [numbers_of(frames) for _, frames in reader.batches(500, start=9_000, stop=12_000)]
        assert np.concatenate(parts).tolist() == list(range(9_000, 12_000))


TRAPS = [
    ("open_gop_h264.mp4", "open groups"),
    ("open_gop_hevc.mp4", "hevc"),
    ("cut_edit_list.mp4", "edit list"),
    ("bframes.avi", "avi"),
    ("narrow.mp4", "width"),
    ("two_streams.mkv", "stream"),
    ("stream.ts", "mpegts"),
    ("raw.h264", "h264"),
]


def trap(name):
    return SAMPLES / name if name in CLIPS else hard_clips()[name]


@pytest.mark.parametrize(("name", "why"), TRAPS)
def test_this_library_refuses_decord_there(name, why):
    with VideoReader(trap(name)) as reader:
        assert reader.index.engine == "pyav"
        assert why in reader.index.decord_refusal
    with pytest.raises(ValueError, match=f"engine='decord' would not be exact for .*{why}"):
        VideoReader(trap(name), engine="decord")


@pytest.mark.parametrize("width", [2, 6, 34, 50, 66, 98, 130, 162, 190, 194, 254, 258, 321])
def test_narrow_and_odd_widths(width, tmp_path):
    source = f"testsrc2=s={width}x48:r=25"
    command = [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "8"]
    path = tmp_path / "clip.mp4"
    subprocess.run([*command, "-c:v", "libx264", "-pix_fmt", "yuv444p", path], check=True, timeout=60)
    with VideoReader(path) as reader:
        assert not wrong_frames(reader[:], true_frames(path))
        if reader.index.decord_refusal is None:
            with VideoReader(path, engine="decord") as by_decord:
                assert not wrong_frames(by_decord[:], true_frames(path))
