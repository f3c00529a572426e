"""The ffmpeg program's output for a file: the truth that frames are compared with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hard_clips import make_hard_clips
from imageio_ffmpeg import get_ffmpeg_exe

SAMPLES = Path(__file__).parents[1] / "data_samples"
TRUTH = json.loads((SAMPLES / "truth.json").read_text("utf-8"))
CLIPS = sorted(name for name in TRUTH if name != "numbered")
if str(SAMPLES) not in sys.path:
    sys.path.append(str(SAMPLES))
read_number = import_module("make").read_number

# With several decoding threads, ffmpeg itself loses other frames of these.
ONE_THREAD = {"damaged.mp4", "drop_middle.mp4"}
_SCRATCH = TemporaryDirectory(prefix="truth_frames_")


@cache
def hard_clips() -> dict[str, Path]:
    """Return the clips of hard_clips.py, made once per session."""
    folder = Path(_SCRATCH.name, "hard")
    folder.mkdir()
    return make_hard_clips(folder)


@cache
def true_frames(path: Path, *options: str) -> np.ndarray:
    """Return all frames of ffmpeg's output, `(n, H, W, 3)`; decoded once per session and kept on disk.

    Args:
        path: the file.
        options: more output options, such as a filter.
    """
    before = ["-threads", "1"] if path.name in ONE_THREAD else []
    after = "-map_metadata -1 -an -sn -fps_mode passthrough -f rawvideo -pix_fmt rgb24".split()
    target = Path(_SCRATCH.name, f"{true_frames.cache_info().misses}.rgb")
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", *before, "-i", path, *after, *options, target]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    size = re.search(r"Output #0.*?Video: .*?, (\d+)x(\d+)", done.stderr.decode(errors="replace"), re.DOTALL)
    assert size, done.stderr
    return np.memmap(target, np.uint8, "r").reshape(-1, int(size[2]), int(size[1]), 3)


def true_times(path: Path) -> np.ndarray:
    """Return the times at which ffmpeg shows the frames of a sample clip, in seconds, from truth.json."""
    facts = TRUTH[path.name]
    even = facts["start_seconds"] + np.arange(facts["num_frames"]) / facts["fps"]
    return np.array(facts.get("times", even))


def psnr(frame: np.ndarray, truth: np.ndarray) -> float:
    """Return the similarity of two pictures in dB; infinite for identical ones."""
    if np.array_equal(frame, truth):
        return float("inf")
    return 10 * np.log10(255**2 / np.square(np.subtract(frame, truth, dtype=np.float32)).mean())


def wrong_frames(frames, truth: np.ndarray) -> list[tuple[int, float]]:
    """Return place and PSNR of every wrong frame; a right one is identical, or above 45 dB."""
    assert frames.shape == truth.shape
    assert frames.dtype == np.uint8
    likeness = ((row, round(psnr(*pair), 1)) for row, pair in enumerate(zip(frames, truth, strict=True)))
    return [(row, value) for row, value in likeness if value <= 45]


def shuffled(length: int, count: int, seed: int = 0) -> list[int]:
    """Return frame numbers in random order, some of them twice, some counted from the end."""
    return np.random.default_rng(seed).integers(-length, length, count).tolist()
