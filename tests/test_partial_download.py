from __future__ import annotations

import io
import os
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from faststart import faststart
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from truth_frames import SAMPLES, hard_clips, true_frames, wrong_frames

from pvio_lab import SourceError, VideoReader, write_frames_to_video
from pvio_lab.read import FrontFrame, NotStreamable, Times
from pvio_lab.scale.partial_download import Front, on_timeline, select_from_front
from pvio_lab.scale.recipe import Policy

FIRST, TIMELINE = Policy.of({"num_frames": 8}), Policy.of({"fps": 3.0}, 4)
SOUND = "all_intra av1 cut_edit_list gop2 hevc_10bit late_start open_gop_h264 open_gop_hevc".split()
SOUND += "rotated_90 shapes variable_rate with_sound yuv444_odd".split()


def beginning(path, policy, check=lambda: None):
    """Return numbers, times and pixels, and how many bytes were read for them."""
    with path.open("rb") as file, closing(Front(file, check=check)) as front:
        video = select_from_front(front, str(path), policy, 1)
        rows = [(number, seconds, pixels.copy()) for number, seconds, pixels in video.frames]
        return *map(np.array, zip(*rows, strict=True)), front.num_bytes


def differs(path, policy):
    """Return whether the frames differ from those of the whole file; None where it cannot be streamed."""
    try:
        numbers, seconds, frames, _ = beginning(path, policy)
    except NotStreamable:
        return None
    with VideoReader(path) as reader:
        wanted = policy.numbers(reader)
        assert numbers.tolist() == wanted.tolist()
        assert seconds.tolist() == reader.index.pts_seconds[wanted].tolist()
        return not np.array_equal(frames, reader[wanted])


@pytest.mark.parametrize("policy", [FIRST, TIMELINE])
@pytest.mark.parametrize("name", SOUND)
def test_the_beginning_is_that_of_the_whole(name, policy, tmp_path):
    assert differs(faststart(SAMPLES / f"{name}.mp4", tmp_path / "clip.mp4"), policy) is False


@pytest.mark.parametrize("policy", [FIRST, TIMELINE, Policy.of({"num_frames": 10_000})])
def test_hard_clips_are_exact_or_refused(policy, tmp_path):
    clips = [path for path in hard_clips().values() if path.suffix in (".mp4", ".mov", ".mkv", ".webm")]
    clips += [faststart(path, tmp_path / path.name) for path in clips if _has_table_last(path)]
    results = [differs(path, policy) for path in clips]
    assert not any(results)
    assert results.count(False) > 10


def _has_table_last(path):
    data = path.read_bytes()
    return path.suffix == ".mp4" and 0 < data.find(b"mdat") < data.find(b"moov") and b"moof" not in data


def test_it_is_what_ffmpeg_puts_out(tmp_path):
    *_, frames, _ = beginning(faststart(SAMPLES / "rotated_90.mp4", tmp_path / "clip.mp4"), FIRST)
    assert not wrong_frames(frames, true_frames(SAMPLES / "rotated_90.mp4")[:8])


@pytest.mark.parametrize("name", ["gop2.mp4", "bframes.avi", "stream.ts", "animated.gif", "make.py"])
def test_what_cannot_be_streamed_is_known_from_a_few_bytes(name):
    with (SAMPLES / name).open("rb") as file, closing(Front(file)) as front:
        with pytest.raises(NotStreamable):
            select_from_front(front, name, FIRST, 1)
        assert front.num_bytes < 1000
        with open(front.fetch_all(), "rb") as whole:
            assert whole.read() == (SAMPLES / name).read_bytes()


def test_few_bytes_are_read(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 120, 160, 3), dtype=np.uint8)
    path = tmp_path / "noise.mp4"  # the writer puts the table of frames first
    write_frames_to_video(path, noise, 25, progress=False)
    for policy in (FIRST, Policy.of({"fps": 5.0}, 3)):
        assert beginning(path, policy)[-1] < path.stat().st_size / 8


def test_what_goes_wrong_while_reading_comes_through(tmp_path):
    class Cut(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 40_000:
                raise SourceError("cut")
            return super().read(size)

    data = faststart(SAMPLES / "shapes.mp4", tmp_path / "clip.mp4").read_bytes()
    with closing(Front(Cut(data))) as front:
        video = select_from_front(front, "", Policy.of({"num_frames": 300}), 1)
        with pytest.raises(SourceError, match="cut"):
            list(video.frames)


def test_it_stops_when_told_to(tmp_path):
    def check():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        beginning(SAMPLES / "gop2.mp4", FIRST, check)


@settings(deadline=None)
@given(
    gaps=st.lists(st.sampled_from([0.0000005, 0.01, 1 / 30, 0.1, 0.2, 0.7]), min_size=1, max_size=40),
    fps=st.sampled_from([1.0, 3.0, 5.0, 10.0, 29.97, 30.0]),
    count=st.integers(1, 20),
    start=st.sampled_from([0.0, 1.4]),
)
def test_on_a_timeline_as_with_an_index(gaps, fps, count, start):
    pts = start + np.cumsum([0.0, *gaps])
    times = Times(pts, np.append(gaps, 0.1))
    policy = Policy.of({"fps": fps}, count)
    wanted = policy.numbers(SimpleNamespace(times=times, num_frames=len(pts))).tolist()
    assume(pts[-1] > pts[0] + policy.last_seconds + 1e-5)
    frames = (FrontFrame(number, seconds, None) for number, seconds in enumerate(pts.tolist()))
    assert [frame.number for frame in on_timeline(frames, policy)] == wanted


@pytest.mark.parametrize("num_looked_at", [0, 4, 10])
def test_the_rest_in_one_piece(num_looked_at):
    with closing(Front(io.BytesIO(b"0123456789"))) as front:
        front.look(0, num_looked_at)
        assert front.read(2) == b"01"
        assert front.read(-1) == b"23456789"
        assert (front.read(-1), front.read(5), front.num_bytes) == (b"", b"", 10)


@pytest.mark.parametrize("memory_bytes", [0, 3, 4, 8, 100, float("inf")])
def test_what_has_come_is_a_file(memory_bytes, tmp_path):
    with closing(Front(io.BytesIO(b"abcdefgh"), tmp_path / "new", memory_bytes=memory_bytes)) as front:
        assert [front.read(3), front.read(4)] == [b"abc", b"defg"]
        assert Path(front.fetch_all()).read_bytes() == b"abcdefgh"
    assert not any((tmp_path / "new").glob("*"))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there are no files in memory here")
@pytest.mark.parametrize(("size", "is_in_memory"), [(4, True), (5, False)])
def test_little_stays_in_memory(size, is_in_memory, tmp_path):
    with closing(Front(io.BytesIO(bytes(size)), tmp_path, memory_bytes=4)) as front:
        assert ("memfd" in os.readlink(front.fetch_all())) is is_in_memory
