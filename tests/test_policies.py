from types import SimpleNamespace

import pytest

from pvio_lab.scale.policies import Policy

INFO = SimpleNamespace(num_frames=100, fps=25.0)


@pytest.mark.parametrize(
    ("sampling", "cap", "numbers"),
    [
        ({"fps": 1}, None, [0, 25, 50, 75]),
        ({"fps": 1.0}, 2, [0, 25]),
        ({"num_frames": 3}, None, [0, 1, 2]),
        ({"num_frames": 3}, 2, [0, 1]),
        ({"uniform": 3}, None, [0, 50, 99]),
        ({"uniform": 3}, 2, [0, 50]),
    ],
)
def test_each_policy_takes_what_it_says(sampling, cap, numbers):
    assert Policy.of(sampling, cap).numbers(INFO).tolist() == numbers


@pytest.mark.parametrize(
    ("sampling", "cap", "first", "seconds"),
    [
        ({"num_frames": 8}, None, 8, None),
        ({"num_frames": 8}, 5, 5, None),
        ({"fps": 2}, None, None, None),
        ({"fps": 2}, 5, None, 2.0),
        ({"uniform": 8}, 5, None, None),
    ],
)
def test_what_is_known_before_the_video_is(sampling, cap, first, seconds):
    policy = Policy.of(sampling, cap)
    assert (policy.num_first, policy.last_seconds) == (first, seconds)


@pytest.mark.parametrize(
    "sampling",
    [
        None,
        3.0,
        "fps",
        {},
        {"fps": 1, "uniform": 2},
        {"every": 5},
        {"fps": 0},
        {"fps": "3"},
        {"fps": float("nan")},
        {"num_frames": 0},
        {"num_frames": 2.5},
        {"uniform": True},
    ],
)
def test_another_sampling_is_named(sampling):
    with pytest.raises(ValueError, match="sampling="):
        Policy.of(sampling)
