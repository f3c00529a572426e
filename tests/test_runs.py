from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.read.decode.order import SEEK_COST, Run, plan_runs, share_out


@st.composite
def questions(draw):
    """Draw frames to read, and the entry and the packet of each frame: groups, reordered inside."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=12))
    starts = np.cumsum([0, *lengths])
    entry = np.repeat(starts[:-1], lengths)
    packets = [draw(st.permutations(range(a, b))) for a, b in pairwise(starts)]
    count = int(starts[-1])
    asked = draw(st.lists(st.integers(0, count - 1), max_size=40))
    return np.array(asked, np.int64), entry, np.concatenate(packets).astype(np.int64)


def runs_of(*costs):
    return [Run(10 * i, (i,), cost) for i, cost in enumerate(costs)]


@given(questions())
def test_each_number_is_in_exactly_one_run(question):
    asked, entry, packets = question
    runs = plan_runs(asked, entry, packets)
    assert sorted(n for run in runs for n in run.numbers) == sorted(set(asked.tolist()))


@given(questions())
def test_each_entry_has_at_most_one_run(question):
    asked, entry, packets = question
    runs = plan_runs(asked, entry, packets)
    assert [run.entry for run in runs] == sorted(set(entry[asked].tolist()))
    assert all(entry[n] == run.entry for run in runs for n in run.numbers)


@given(questions())
def test_numbers_of_a_run_are_sorted_and_its_cost_reaches_the_last_packet(question):
    asked, entry, packets = question
    for run in plan_runs(asked, entry, packets):
        assert list(run.numbers) == sorted(run.numbers)
        assert run.cost == packets[list(run.numbers)].max() - run.entry + 1 + SEEK_COST


@given(questions())
def test_order_and_duplicates_do_not_matter(question):
    asked, entry, packets = question
    assert plan_runs(asked, entry, packets) == plan_runs(np.sort(np.tile(asked, 2)), entry, packets)


def test_nothing_asked_is_no_run():
    assert plan_runs(np.zeros(0, np.int64), np.zeros(5, np.int64), np.arange(5)) == []


@given(st.lists(st.integers(1, 300), max_size=100), st.integers(1, 16))
def test_sharing_out_loses_nothing(costs, workers):
    runs = runs_of(*costs)
    portions = share_out(runs, workers)
    assert sorted((run for portion in portions for run in portion), key=lambda run: run.entry) == runs
    assert all(portions)
    assert len(portions) <= max(4 * workers, 1)


@given(st.lists(st.integers(1, 300), max_size=100), st.integers(1, 16))
def test_neighbours_stay_together_and_costly_portions_come_first(costs, workers):
    portions = share_out(runs_of(*costs), workers)
    for portion in portions:
        entries = [run.entry for run in portion]
        assert entries == list(range(entries[0], entries[-1] + 1, 10))
    sums = [sum(run.cost for run in portion) for portion in portions]
    assert sums == sorted(sums, reverse=True)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_even_runs_are_shared_evenly(workers):
    portions = share_out(runs_of(*[10] * 160), workers)
    assert {len(portion) for portion in portions} <= {160 // (4 * workers) + more for more in (-1, 0, 1)}
