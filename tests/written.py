"""Frames to write, and questions about the files and processes that writing leaves."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from truth_frames import read_number

from make import draw_frame  # isort: skip (found by truth_frames)
from pvio_lab import VideoReader

FRAMES = [draw_frame(number, 160, 120) for number in range(40)]
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def names_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def numbers_in(path):
    """The numbers that the frames of a video carry."""
    with VideoReader(path) as reader:
        return [read_number(frame) for frame in reader]


def encoders():
    """The ffmpeg processes of this one, even those that have ended and are still to be waited for."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            found += [child] if "ffmpeg" in child.name() else []
    return found


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happens"
        time.sleep(0.01)
