import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.scale import ClipCosts, estimate_job
from pvio_lab.scale.jobs.estimate import advice_for, steady_seconds


def costs(decode, *, num_cpus=1, between=0.0):
    """Return the costs of clips that follow each other on each core, and only decode."""
    seconds, nothing = np.asarray(decode, float), np.zeros(len(decode))
    begun = np.concatenate([np.cumsum(part + between) - part for part in np.array_split(seconds, num_cpus)])
    columns = {"transport": nothing, "open": nothing, "decode": seconds, "convert": nothing, "other": nothing}
    columns = {f"{name}_seconds": values for name, values in columns.items()} | {"begun_at": begun}
    return ClipCosts.of(columns, num_cpus)


def test_as_many_core_hours_as_clips_cost():
    estimate = estimate_job(costs(np.full(100, 0.036), num_cpus=2), 1_000_000)
    assert estimate.core_hours == pytest.approx(10)
    assert (estimate.num_cores, estimate.hours) == (2, pytest.approx(5))
    assert [estimate.core_hours_low, estimate.core_hours_high] == pytest.approx([10, 10])
    assert estimate.cores_for(2.5) == 4


def test_what_passes_between_clips_counts():
    estimate = estimate_job(costs(np.full(100, 0.03), num_cpus=2, between=0.006), 1_000_000)
    assert estimate.core_hours == pytest.approx(10, rel=0.02)
    assert estimate.shares["between"] == pytest.approx(1 / 6, rel=0.1)


def test_starting_up_and_the_last_core_do_not_count():
    begin = np.array([5.0, 5.0, 6.0, 6.0, 7.0, 7.0, 8.0])
    assert steady_seconds(begin, begin + 1, num_cpus=2) == pytest.approx(1)


def test_the_interval_has_the_truth_about_as_often_as_it_says():
    random, hits = np.random.default_rng(1), 0
    for _ in range(200):
        estimate = estimate_job(costs(random.exponential(1.0, 200)), 3600)
        hits += estimate.core_hours_low <= 1.0 <= estimate.core_hours_high
    assert 170 <= hits <= 199


@given(st.lists(st.floats(1e-4, 10), min_size=30, max_size=200), st.integers(1, 8))
def test_the_estimate_is_within_its_interval(seconds, num_cpus):
    estimate = estimate_job(costs(seconds, num_cpus=num_cpus), 1000)
    assert 0 < estimate.core_hours_low <= estimate.core_hours <= estimate.core_hours_high
    assert sum(estimate.shares.values()) == pytest.approx(1)
    assert estimate.core_hours >= np.mean(seconds) * 1000 / 3600 * 0.999


@pytest.mark.parametrize(
    ("seconds", "options", "message"),
    [
        (np.ones(50), {"num_clips": 0}, "num_clips=0"),
        (np.ones(50), {"num_clips": 10, "confidence": 1.0}, "confidence=1.0"),
        (np.ones(50), {"num_clips": 10, "num_cores": 0}, "num_cores=0"),
        ([1, 2, 3], {"num_clips": 100}, "3 clips are too few"),
    ],
)
def test_wrong_options_and_too_few_clips_are_refused(seconds, options, message):
    with pytest.raises(ValueError, match=message):
        estimate_job(costs(seconds), **options)


def test_advice_names_what_takes_half_or_nothing():
    assert "keyframe" in advice_for({"decode": 0.6, "open": 0.4})
    assert "clips_per_shard" in advice_for({"between": 0.9, "open": 0.1})
    assert "nothing else alone" in advice_for({"decode": 0.4, "open": 0.3, "convert": 0.3})


def test_it_shows_its_figures():
    estimate = estimate_job(costs(np.full(100, 0.036)), 100_000_000, num_cores=64)
    assert "100,000,000, from 100 measured" in repr(estimate)
    assert "1,000 (1,000 to 1,000, 95%)" in repr(estimate)
    assert "16 h on 64 cores" in repr(estimate)
    assert "What 100,000,000 clips will take" in estimate._repr_html_()
    assert estimate.to_dicts()[0]["hours"] == pytest.approx(1000 / 64)
