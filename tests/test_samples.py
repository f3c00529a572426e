"""The sample clips hold what truth.json says, and the barcode can be trusted."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SAMPLES = Path(__file__).parents[1] / "data_samples"
if str(SAMPLES) not in sys.path:
    sys.path.append(str(SAMPLES))
make, clips, truth = map(import_module, ("make", "clips", "truth"))

TRUTH = json.loads((SAMPLES / "truth.json").read_text())
NAMES = (
    "all_intra.mp4 animated.gif av1.mp4 bframes.avi cut_edit_list.mp4 damaged.mp4 fragmented.mp4 gop2.mp4 "
    "hevc_10bit.mp4 late_start.mp4 no_count.mkv numbered open_gop_h264.mp4 open_gop_hevc.mp4 raw.h264 "
    "rotated_90.mp4 shapes.mp4 stream.ts truncated.mp4 two_streams.mp4 variable_rate.mp4 vp9.webm "
    "with_sound.mp4 yuv444_odd.mp4"
)


def test_every_clip_is_there_and_described():
    assert sorted(TRUTH) == sorted(clips.CLIPS) == NAMES.split()
    assert all((SAMPLES / name).exists() for name in TRUTH)


def test_folder_stays_small():
    sizes = [path.stat().st_size for pattern in ("*.*", "numbered/*") for path in SAMPLES.glob(pattern)]
    assert sum(sizes) < 6e6


@pytest.mark.parametrize("name", NAMES.split())
def test_clip_holds_what_truth_says(name):
    facts = truth.measure(SAMPLES, name)
    truth.verify(name, facts)
    assert facts == TRUTH[name]


def test_truth_is_written_as_it_is_read():
    assert truth.to_json(TRUTH) == (SAMPLES / "truth.json").read_text()


@pytest.mark.parametrize("size", [(160, 120), (320, 240), (240, 320), (321, 241), (640, 360)])
@pytest.mark.parametrize("number", [0, 1, 12345, 43690, 65535])
def test_number_drawn_is_number_read(number, size):
    frame = make.draw_frame(number, *size)
    assert (frame.shape, frame.dtype) == ((size[1], size[0], 3), np.uint8)
    assert make.read_number(frame) == number


@pytest.mark.parametrize("size", [(80, 60), (97, 61), (500, 100), (1920, 1080)])
def test_number_survives_scaling(size):
    image = Image.fromarray(make.draw_frame(54321)).resize(size, Image.Resampling.BICUBIC)
    assert make.read_number(np.asarray(image)) == 54321


def test_noise_has_no_number():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (200, 60, 80, 3), dtype=np.uint8)
    assert {make.read_number(frame) for frame in frames} == {None}


def test_wrong_checksum_has_no_number():
    frame = make.draw_frame(7)
    frame[216:, 304:] = 255 - frame[216:, 304:]
    assert make.read_number(frame) is None


def test_number_out_of_range_is_refused():
    with pytest.raises(ValueError, match="got 65536"):
        make.draw_frame(65536)


def test_every_frame_is_new_and_the_same_each_time():
    frame = make.draw_frame(5)
    expected = frame.copy()
    frame[:] = 0
    assert np.array_equal(make.draw_frame(5), expected)


def test_runs_are_short_and_keep_unreadable_frames():
    assert truth.runs([5, 6, 7, None, None, 2]) == [[5, 3], [None, 2], [2, 1]]
