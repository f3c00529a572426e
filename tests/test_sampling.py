from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.read import Times, sample_indices


def video(length, fps=25.0):
    return SimpleNamespace(num_frames=length, fps=fps)


class Reader:
    """A reader of frames that stay for the given times."""

    fps = 25.0

    def __init__(self, durations, start=0.0):
        durations = np.array(durations, float)
        pts = start + np.cumsum(durations) - durations
        self.times = Times(pts, durations)

    def __len__(self):
        return len(self.times.pts_seconds)


lengths = st.integers(0, 60)
bounds = st.integers(-80, 80)
counts = st.integers(1, 80)
policies = st.one_of(
    st.fixed_dictionaries({"step": counts}, optional={"first": counts}),
    st.fixed_dictionaries({"fps": st.floats(0.1, 100)}),
    st.fixed_dictionaries({"num_frames": counts}),
)


@given(lengths, bounds, bounds | st.none(), counts)
def test_steps_are_a_slice(length, start, end, step):
    taken = sample_indices(video(length), start=start, end=end, step=step)
    np.testing.assert_array_equal(taken, np.arange(length)[start:end:step])


@given(lengths, bounds, bounds | st.none(), policies, counts)
def test_every_policy_stays_inside_in_order_and_under_the_cap(length, start, end, policy, cap):
    allowed = range(length)[start:end]
    taken = sample_indices(video(length), start=start, end=end, **policy)
    assert taken.dtype == np.int64
    assert set(taken) <= set(allowed)
    assert (np.diff(taken) >= 0).all()
    assert (len(taken) > 0) == (len(allowed) > 0)
    capped = sample_indices(video(length), start=start, end=end, max_frames=cap, **policy)
    np.testing.assert_array_equal(capped, taken[:cap])


@given(st.integers(1, 500), st.integers(2, 80))
def test_spread_frames_are_even_and_reach_both_ends(length, count):
    taken = sample_indices(video(length), num_frames=count)
    assert len(taken) == min(count, length)
    assert (taken[0], taken[-1]) == (0, length - 1)
    gaps = np.diff(taken)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


@given(st.integers(1, 300), st.sampled_from([23.976, 25.0, 29.97, 30.0, 59.94]))
def test_the_rate_of_the_video_itself_takes_every_frame_once(length, fps):
    np.testing.assert_array_equal(sample_indices(video(length, fps), fps=fps), np.arange(length))


@given(st.lists(st.floats(0.001, 3), min_size=1, max_size=40), st.floats(0.5, 50), st.floats(-9, 9))
def test_the_timeline_of_a_reader_is_its_own(durations, fps, start):
    reader = Reader(durations, start)
    taken = sample_indices(reader, fps=fps)
    ticks = start + np.arange(len(taken)) / fps
    pts = reader.times.pts_seconds
    assert (pts[taken] <= ticks + 1e-5).all()
    assert (ticks <= pts[taken] + reader.times.duration_seconds[taken] + 1e-5).all()
    assert ticks[-1] + 1 / fps >= pts[-1] + durations[-1] - 1e-5


@pytest.mark.parametrize(
    ("source", "policy", "expected"),
    [
        (Reader([1, 3, 1]), {"fps": 1}, [0, 1, 1, 1, 2]),  # a frame that stays long is taken again
        (Reader([1, 3, 1]), {"start": 1, "fps": 0.5}, [1, 1]),  # the timeline begins at start
        (video(1000), {"fps": 1e15, "max_frames": 3}, [0, 0, 0]),  # an endless rate takes no memory
        (video(100), {"start": 10, "step": 5, "first": 3}, [10, 15, 20]),
        (video(100), {"only": []}, []),
        (video(2), {"num_frames": 1}, [0]),  # the middle one
        (video(101), {"num_frames": 1}, [50]),
    ],
)
def test_what_a_policy_takes(source, policy, expected):
    assert sample_indices(source, **policy).tolist() == expected


@pytest.mark.parametrize(
    "only", [[9, 2, 2, -1, 40], {2, 9, 40, -1}, np.array([40, 2, 9, 99]), iter((40, 9, 2, 99))]
)
def test_only_marked_frames_sorted_and_once(only):
    assert sample_indices(video(100), only=only, start=5).tolist() == [9, 40, 99]


def test_a_marked_frame_beyond_the_end():
    with pytest.raises(IndexError, match="frame 100 is out of range"):
        sample_indices(video(100), only=[100])


@pytest.mark.parametrize(
    ("policies", "names"),
    [
        ({"fps": 2, "num_frames": 3}, "fps= and num_frames="),
        ({"first": 2, "num_frames": 3}, "num_frames= and first="),
        ({"first": 2, "fps": 3}, "fps= and first="),
        ({"step": 2, "fps": 3}, "fps= and step="),
        ({"step": 2, "num_frames": 3}, "num_frames= and step="),
        ({"only": [1], "first": 3}, "first= and only="),
        ({"only": [1], "step": 3}, "only= and step="),
    ],
)
def test_two_policies(policies, names):
    with pytest.raises(ValueError, match=f"{names} are different policies"):
        sample_indices(video(100), **policies)


WRONG = [({"fps": fps}, ValueError, f"fps={fps} must be more than 0") for fps in (0, -1.5, np.nan, np.inf)]
WRONG += [({"fps": fps}, TypeError, f"fps={fps!r} must be a number") for fps in ("25", True, 1j)]
COUNTS = ["step", "num_frames", "first", "max_frames"]
WRONG += [({name: n}, ValueError, f"{name}={n} must be 1 or more") for name in COUNTS for n in (0, -1)]
WRONG += [
    ({name: value}, TypeError, f"{name}={value!r} must be an integer")
    for name in ("start", "end", *COUNTS)
    for value in (1.0, "1", True)
]
WRONG += [({"only": only}, TypeError, f"only={only!r}") for only in ("12", 12)]


@pytest.mark.parametrize(("policy", "error", "words"), WRONG)
def test_a_policy_that_cannot_be(policy, error, words):
    with pytest.raises(error, match=words):
        sample_indices(video(100), **policy)


@pytest.mark.parametrize("rate", [0, None, np.nan])
def test_a_timeline_without_a_rate(rate):
    with pytest.raises(ValueError, match=f"given as {rate}"):
        sample_indices(video(100, rate), fps=2)


@pytest.mark.parametrize("source", ["clip.mp4", [1, 2, 3], None])
def test_what_is_neither_info_nor_reader(source):
    with pytest.raises(TypeError, match="takes a VideoInfo or an open reader, not"):
        sample_indices(source)
