from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pvio_lab.load.clip_shape import ClipShape, random_start, spread_start, steady_times
from pvio_lab.read import Times, frames_at

counts = st.integers(1, 40)
rates = st.floats(0.5, 100)
shorts = st.sampled_from(["repeat_last", "loop", "error"])
usual_rates = st.sampled_from([10.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0])
shapes = st.one_of(
    st.builds(ClipShape, counts, stride=counts, when_short=shorts),
    st.builds(ClipShape, counts, fps=rates, when_short=shorts),
)


def timeline(durations, start=0.0):
    return Times(start + np.cumsum(durations) - durations, durations)


timelines = st.builds(
    timeline,
    st.lists(st.floats(0.001, 3), min_size=1, max_size=60).map(np.array),
    st.floats(-9, 9),
)


def steady(length, fps, start=0.0):
    pts, durations = Times.steady(length, fps)
    return Times(start + pts, durations)


@given(shapes, timelines, st.data())
def test_numbers_are_in_range_wherever_a_clip_begins(shape, times, data):
    length = len(times.pts_seconds)
    start = data.draw(st.integers(0, max(shape.num_starts(times) - 1, 0)))
    numbers = shape.numbers(times, start)
    assert (numbers.dtype, numbers.shape, numbers[0]) == (np.int64, (shape.num_frames,), start)
    assert ((numbers >= 0) & (numbers < length)).all()
    if shape.when_short != "loop":
        assert (np.diff(numbers) >= 0).all()


@given(counts, counts, counts, st.data())
def test_a_whole_clip_is_a_slice(length, num_frames, stride, data):
    shape, times = ClipShape(num_frames, stride=stride), steady(length, 25.0)
    assume(shape.num_starts(times))
    start = data.draw(st.integers(0, shape.num_starts(times) - 1))
    expected = np.arange(length)[start::stride][:num_frames]
    np.testing.assert_array_equal(shape.numbers(times, start), expected)


@given(counts, counts, counts)
def test_the_last_start_leaves_no_room_for_another(length, num_frames, stride):
    count = ClipShape(num_frames, stride=stride).num_starts(steady(length, 25.0))
    assert count == len([s for s in range(length) if s + (num_frames - 1) * stride < length])


@given(timelines, counts, rates, st.data())
def test_a_clip_at_a_rate_has_the_frames_on_screen(times, num_frames, fps, data):
    shape = ClipShape(num_frames, fps=fps)
    assume(shape.num_starts(times))
    start = data.draw(st.integers(0, shape.num_starts(times) - 1))
    ticks = times.pts_seconds[start] + np.arange(num_frames) / fps
    np.testing.assert_array_equal(shape.numbers(times, start), frames_at(*times, ticks))


@given(timelines, st.integers(2, 40), rates)
def test_at_a_rate_the_last_start_leaves_no_room_for_another(times, num_frames, fps):
    count = ClipShape(num_frames, fps=fps).num_starts(times)
    last_ticks = times.pts_seconds + (num_frames - 1) / fps
    end = times.pts_seconds[-1] + times.duration_seconds[-1]
    assert (last_ticks[:count] < end).all()
    assert (last_ticks[count:] >= end - 2e-6).all()


@given(st.integers(1, 300), usual_rates, counts, st.sampled_from([0.0, 3600.0]), st.data())
def test_the_rate_of_the_video_takes_every_frame_once_though_times_are_rounded(
    length, fps, num_frames, start, data
):
    exact = steady(length, fps, start)
    rounded = Times(*(seconds.round(3) for seconds in exact))
    times, shape = steady_times(rounded, fps), ClipShape(num_frames, fps=fps)
    assert shape.num_starts(times) == max(length - num_frames + 1, 0)
    begin = data.draw(st.integers(0, max(length - num_frames, 0)))
    expected = np.minimum(begin + np.arange(num_frames), length - 1)
    np.testing.assert_array_equal(shape.numbers(times, begin), expected)


def test_times_with_a_gap_stay_as_they_are():
    times = timeline(np.array([0.1, 0.1, 0.2, 0.1]))
    assert steady_times(times, 8.0) is times


@pytest.mark.parametrize(
    ("when_short", "stride", "numbers"),
    [
        ("repeat_last", 1, [0, 1, 2, 2, 2, 2]),
        ("loop", 1, [0, 1, 2, 0, 1, 2]),
        ("repeat_last", 2, [0, 2, 2, 2, 2, 2]),
        ("loop", 2, [0, 2, 1, 0, 2, 1]),
    ],
)
@pytest.mark.parametrize("by_rate", [False, True])
def test_a_short_video(when_short, stride, numbers, by_rate):
    how = {"fps": 25.0 / stride} if by_rate else {"stride": stride}
    shape, times = ClipShape(6, when_short=when_short, **how), steady(3, 25.0, start=7.0)
    assert shape.num_starts(times) == 0
    assert shape.numbers(times, 0).tolist() == numbers


def test_a_long_frame_is_shown_again():
    times = timeline(np.array([1.0, 3.0, 1.0]))
    assert ClipShape(5, fps=1.0).numbers(times, 0).tolist() == [0, 1, 1, 1, 2]
    assert ClipShape(5, fps=1.0).num_starts(times) == 1


def test_one_frame_without_a_duration():
    times = Times(np.array([5.0]), np.zeros(1))
    for shape in (ClipShape(1, fps=30.0), ClipShape(1)):
        assert shape.num_starts(times) == 1
    assert ClipShape(4, fps=30.0, when_short="loop").numbers(times, 0).tolist() == [0, 0, 0, 0]


@given(st.integers(1, 500), st.integers(2, 50))
def test_spread_starts_are_even_and_reach_both_ends(num_starts, num_clips):
    starts = [spread_start(num_starts, clip, num_clips) for clip in range(num_clips)]
    assert (starts[0], starts[-1]) == (0, num_starts - 1)
    gaps = np.diff(starts)
    assert gaps.min() >= 0
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(("num_starts", "middle"), [(0, 0), (1, 0), (2, 0), (3, 1), (101, 50)])
def test_one_clip_is_in_the_middle(num_starts, middle):
    assert spread_start(num_starts, 0, 1) == middle


@given(st.integers(0, 500), st.tuples(*[st.integers(0, 2**40)] * 3))
def test_a_random_start_depends_on_its_key_alone(num_starts, key):
    start = random_start(num_starts, key)
    np.random.seed(0)
    assert start == random_start(num_starts, key)
    assert 0 <= start < max(num_starts, 1)


def test_random_starts_cover_all_there_are():
    starts = [random_start(10, (0, epoch, item)) for epoch in range(20) for item in range(50)]
    assert np.bincount(starts).min() > 60
    assert len(np.bincount(starts)) == 10
