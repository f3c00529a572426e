from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from pvio_lab import VideoReader

SAMPLES = Path(__file__).parents[1] / "data_samples"
TRUTH = json.loads((SAMPLES / "truth.json").read_text("utf-8"))
FILES = [name for name in TRUTH if (SAMPLES / name).is_file()]


def check_header(path):
    with VideoReader(path) as reader:
        return reader.check_header()


@pytest.mark.parametrize("name", FILES)
def test_whole_files_hold_what_they_promise(name):
    promise = check_header(SAMPLES / name)
    if name == "truncated.mp4":
        assert promise.num_frames == TRUTH[name]["promised_frames"] == 90
        assert (
            promise.trouble == "the file is cut short: its header promises 3.00 s, and it ends after 2.07 s"
        )
    else:
        assert promise.num_frames in (0, TRUTH[name]["num_packets"] - TRUTH[name]["discarded_packets"])
        assert promise.trouble is None


def encode(path, *options):
    source = SAMPLES / "shapes.mp4"
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", "-i", source, *options, path], check=True)
    return path


@pytest.mark.parametrize("ending", ["mkv", "mp4", "flv"])
def test_sound_that_lasts_longer_is_no_shortfall(tmp_path, ending):
    sound = ["-f", "lavfi", "-i", "sine=duration=12", "-c:v", "copy", "-c:a", "aac"]
    assert check_header(encode(tmp_path / f"sound.{ending}", *sound)).trouble is None


@pytest.mark.parametrize("ending", ["avi", "flv", "mkv"])
def test_the_second_half_is_missing(tmp_path, ending):
    path = encode(tmp_path / f"half.{ending}", "-c", "copy", "-an")
    assert check_header(path).trouble is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut short: its header promises 10.0" in check_header(path).trouble


def test_a_gap_in_avi_is_no_shortfall(tmp_path):
    gap = ["-vf", "select='lt(n,50)+gt(n,90)'", "-fps_mode", "vfr", "-enc_time_base", "1:30", "-c:v", "mpeg4"]
    assert check_header(encode(tmp_path / "gap.avi", *gap, "-frames:v", "80")) == (0, None)
