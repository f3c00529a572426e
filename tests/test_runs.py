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
def test_each_number_is_in_the_only_run_from_its_entry(question):
    asked, entry, packets = question
    runs = plan_runs(asked, entry, packets)
    assert runs == plan_runs(np.sort(np.tile(asked, 2)), entry, packets)
    assert [run.entry for run in runs] == sorted(set(entry[asked].tolist()))
    assert sorted(n for run in runs for n in run.numbers) == sorted(set(asked.tolist()))
    for run in runs:
        assert all(entry[n] == run.entry for n in run.numbers)
        assert list(run.numbers) == sorted(run.numbers)
        assert run.cost == packets[list(run.numbers)].max() - run.entry + 1 + SEEK_COST


@given(st.lists(st.integers(1, 300), max_size=100), st.integers(1, 16))
def test_neighbours_stay_together_and_costly_portions_come_first(costs, workers):
    runs = runs_of(*costs)
    portions = share_out(runs, workers)
    assert sorted(run for portion in portions for run in portion) == runs
    assert len(portions) <= max(4 * workers, 1)
    for portion in portions:
        assert [run.entry for run in portion] == list(range(portion[0].entry, portion[-1].entry + 1, 10))
    sums = [sum(run.cost for run in portion) for portion in portions]
    assert sums == sorted(sums, reverse=True)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_even_runs_are_shared_evenly(workers):
    portions = share_out(runs_of(*[10] * 160), workers)
    assert {len(portion) for portion in portions} <= {160 // (4 * workers) + more for more in (-1, 0, 1)}
