from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.errors import FrameTimestampError
from pvio_lab.read import frames_at, nearest_frames

PTS = np.arange(10) / 4
DURATIONS = np.full(10, 0.25)

gaps = st.lists(st.floats(1e-9, 10), min_size=1, max_size=30)


@given(gaps, st.floats(-100, 100))
def test_each_frame_is_on_screen_at_its_own_time(gap, start):
    pts = np.unique(start + np.cumsum(gap))
    np.testing.assert_array_equal(frames_at(pts, np.full(len(pts), 0.04), pts), np.arange(len(pts)))


@given(gaps, st.lists(st.floats(0, 0.999)))
def test_a_frame_stays_until_the_next_one(gap, parts):
    pts = np.cumsum(gap)
    end = pts[-1] + 0.04
    times = pts[0] + np.array(parts) * (end - pts[0])
    frames = frames_at(pts, np.full(len(pts), 0.04), times)
    nexts = np.append(pts, np.inf)[frames + 1]
    assert (pts[frames] <= times + 1e-6).all()
    assert (times < nexts).all()


@pytest.mark.parametrize("fps", [23.976, 24, 25, 29.97, 30, 59.94, 60, 1000])
def test_a_time_computed_from_a_number_finds_it(fps):
    numbers = np.arange(20_000)
    pts = np.round(numbers / fps * 90_000) / 90_000  # as a file with a 90 kHz clock stores them
    asked = pts - np.linspace(0, 9e-7, len(pts))
    np.testing.assert_array_equal(frames_at(pts, np.full(len(pts), 1 / fps), asked), numbers)


def test_one_time_gives_one_number():
    frame = frames_at(PTS, DURATIONS, 0.6)
    assert (frame.shape, frame.dtype, int(frame)) == ((), np.int64, 2)


def test_no_times_give_no_numbers():
    assert frames_at(PTS, DURATIONS, []).shape == (0,)


def test_integers_and_fractions_are_times():
    assert frames_at(PTS, DURATIONS, [1, Fraction(1, 2)]).tolist() == [4, 2]


def test_a_last_frame_without_duration_is_on_screen_at_its_time():
    assert frames_at([0.0, 1.0], [1.0, 0.0], 1.0) == 1


@pytest.mark.parametrize("time", [-0.1, 2.5, 1e9, np.nan, np.inf, -np.inf])
def test_a_time_outside_the_video(time):
    with pytest.raises(FrameTimestampError, match=r"at (-?[\d.]+|nan|-?inf) s: .* from 0 s up to.* 2.5 s"):
        frames_at(PTS, DURATIONS, [0.0, time])


def test_a_video_without_frames():
    with pytest.raises(FrameTimestampError, match="no frames"):
        frames_at([], [], 0.0)


@pytest.mark.parametrize("times", ["1", ["1"], None, True, [False], 1j, {0.5}, b"1", [None, 1]])
def test_what_is_no_time(times):
    with pytest.raises(TypeError, match="must be a number of seconds"):
        frames_at(PTS, DURATIONS, times)


@given(gaps, st.lists(st.floats(-400, 400)))
def test_no_frame_is_nearer_than_the_nearest(gap, times):
    pts = np.cumsum(gap)
    frames = nearest_frames(pts, times, np.inf, "clip.mp4")
    for time, frame in zip(times, frames, strict=True):
        assert np.abs(pts - time).min() == abs(pts[frame] - time)


def test_of_two_equally_near_frames_the_earlier():
    assert nearest_frames([0.0, 1.0], 0.5, 1, "clip.mp4") == 0


def test_a_single_frame_is_the_nearest():
    assert nearest_frames([3.0], [2.0, 4.0], 1, "clip.mp4").tolist() == [0, 0]


def test_the_tolerance_is_included():
    assert nearest_frames(PTS, 0.375, 0.125, "clip.mp4") == 1


def test_too_far_from_every_frame():
    with pytest.raises(FrameTimestampError, match=r"=0.1 of 2.375 s: the nearest is at 2.25 s in a.mp4"):
        nearest_frames(PTS, [0.0, 2.375], 0.1, "a.mp4")


def test_nan_is_near_nothing():
    with pytest.raises(FrameTimestampError, match="nan"):
        nearest_frames(PTS, np.nan, np.inf, "clip.mp4")


def test_no_frames_are_near_nothing():
    with pytest.raises(FrameTimestampError, match=r"clip.mp4 has no frames"):
        nearest_frames([], 0.0, 1, "clip.mp4")


@pytest.mark.parametrize("tolerance", [-1, np.nan, [0.1, 0.2]])
def test_a_wrong_tolerance(tolerance):
    with pytest.raises(ValueError, match="tolerance_s="):
        nearest_frames(PTS, 0.0, tolerance, "clip.mp4")


def test_a_tolerance_that_is_no_number():
    with pytest.raises(TypeError, match="tolerance_s must be a number"):
        nearest_frames(PTS, 0.0, "0.1", "clip.mp4")
