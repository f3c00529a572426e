"""Statistics that are gathered frame by frame are those of all frames at once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from truth_frames import SAMPLES

from pvio_lab import VideoReader
from pvio_lab.write.pixels import MAX_PIXELS, RunningStats

PARTS = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def gathered(frames):
    stats = RunningStats()
    for frame in frames:
        stats.add(frame)
    return stats.result()


def of_the_whole_array(frames):
    values = frames.reshape(-1, 3).astype(np.float64)
    whole = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    return whole | {name: np.quantile(values, part, axis=0) for name, part in PARTS.items()}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 12), st.integers(1, 12), st.integers(1, 256), st.integers(0, 2**32 - 1)
)
def test_small_frames_are_counted_exactly(count, height, width, levels, seed):
    frames = np.random.default_rng(seed).integers(0, levels, (count, height, width, 3), np.uint8)
    found = gathered(frames)
    for name, expected in of_the_whole_array(frames).items():
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-9, err_msg=name)
    assert found.count == count


@pytest.mark.parametrize(("name", "scale"), [("shapes.mp4", 1), ("rotated_90.mp4", 2), ("vp9.webm", 3)])
def test_large_frames_are_sampled_within_one_level(name, scale):
    with VideoReader(SAMPLES / name) as reader:
        frames = reader[10:18].repeat(scale, 1).repeat(scale, 2)
    assert frames[0].size > 3 * MAX_PIXELS
    found = gathered(frames)
    for statistic, expected in of_the_whole_array(frames).items():
        assert np.abs(getattr(found, statistic) - expected).max() <= 1, statistic


def test_the_grid_moves_so_that_every_pixel_counts_in_time():
    frame = np.zeros((600, 500, 3), np.uint8)
    frame[301, 77] = 200
    assert gathered([frame] * 9).max.tolist() == [200, 200, 200]


def test_they_go_into_json():
    assert gathered([]) is None
    facts = gathered(np.full((2, 4, 6, 3), 9, np.uint8)).to_dict()
    assert json.loads(json.dumps(facts))["q50"] == [9, 9, 9]
    assert facts["count"] == 2
