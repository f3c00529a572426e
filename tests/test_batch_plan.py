"""The plan of the loader: pure numbers, checked by properties."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pvio_lab.load.batch_plan import (
    Batch,
    BatchSettings,
    Part,
    Piece,
    by_batch,
    by_piece,
    cut,
    form_batches,
    in_turns,
    share,
)

ORDERS = st.sampled_from(["grouped", "shuffled"])
SIZES = [(2, 3), (4, 5)]
PIECES = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 3), st.sampled_from(SIZES)), min_size=0, max_size=25
).map(
    lambda rows: [
        Piece(file, range(0, length * step, step), size, length * size[0])
        for file, (length, step, size) in enumerate(rows)
    ]
)


def frames_of(batches):
    return [(part.file, number) for batch in batches for part in batch.parts for number in part.numbers]


def frames_in(pieces):
    return [(piece.file, number) for piece in pieces for number in piece.numbers]


@given(st.integers(0, 200), st.integers(1, 7), st.lists(st.integers(0, 199), unique=True), st.integers(0, 50))
def test_cutting_loses_nothing(num_frames, step, borders, least):
    borders = sorted(border for border in borders if border < num_frames)
    runs = cut(num_frames, step, borders, least)
    assert [number for run in runs for number in run] == list(range(0, num_frames, step))
    for before, after in pairwise(runs):
        assert any(before[-1] < border <= after[0] for border in borders)


@given(PIECES, st.integers(1, 50), ORDERS)
def test_batches_hold_every_frame_once_and_one_size(pieces, batch_size, order):
    batches = list(form_batches(pieces, BatchSettings(batch_size, order=order)))
    if order == "grouped":
        assert frames_of(batches) == frames_in(pieces)
    else:
        assert sorted(frames_of(batches)) == sorted(frames_in(pieces))
        for size in SIZES:
            full = [batch.num_rows == batch_size for batch in batches if batch.size == size]
            assert all(full[:-1])
    sizes = {piece.file: piece.size for piece in pieces}
    for number, batch in enumerate(batches):
        assert batch.number == number
        assert 1 <= batch.num_rows <= batch_size
        assert {sizes[part.file] for part in batch.parts} == {batch.size}
        rows = [row for part in batch.parts for row in range(part.row, part.row + len(part.numbers))]
        assert rows == list(range(batch.num_rows))


@given(PIECES, st.integers(1, 50), ORDERS)
def test_drop_last_leaves_full_batches(pieces, batch_size, order):
    full = list(form_batches(pieces, BatchSettings(batch_size, drop_last=True, order=order)))
    everything = list(form_batches(pieces, BatchSettings(batch_size, order=order)))
    kept = [batch.parts for batch in everything if batch.num_rows == batch_size]
    assert [batch.parts for batch in full] == kept
    assert [batch.number for batch in full] == list(range(len(full)))


@given(PIECES, st.integers(1, 50), ORDERS)
def test_work_by_piece_is_in_the_order_of_the_batches(pieces, batch_size, order):
    batches = list(form_batches(pieces, BatchSettings(batch_size, order=order)))
    work = list(by_piece(batches))
    tasks = [task for together in work for task in together]
    assert tasks == [(batch, part) for batch in batches for part in batch.parts]
    for together in work:
        assert len({part.piece for _, part in together}) == 1
        assert all(after[0].number == before[0].number + 1 for before, after in pairwise(together))


@given(PIECES, st.integers(1, 50))
def test_a_piece_is_decoded_in_one_go(pieces, batch_size):
    same_size = [piece._replace(size=SIZES[0]) for piece in pieces]
    assert len(list(by_piece(form_batches(same_size, BatchSettings(batch_size))))) == len(same_size)


@given(PIECES, st.integers(1, 50), st.integers(1, 3_000))
def test_work_by_batch_is_bounded(pieces, batch_size, max_bytes):
    batches = list(form_batches(pieces, BatchSettings(batch_size)))
    runs = list(by_batch(batches, max_bytes, 100))
    assert [batch for run in runs for batch in run] == batches
    assert all(len(run) == 1 or sum(batch.num_bytes for batch in run) <= max_bytes for run in runs)
    assert all(len(run) <= 3 for run in by_batch(batches, max_bytes, 3))


def test_work_by_batch_is_cut_where_little_is_decoded_twice():
    """Groups of 250, batches of 32: after 8 batches, 6 frames of the next group are in the one before."""
    pieces = [Piece(0, range(start, start + 250), (1, 1), 250) for start in range(0, 1000, 250)]
    runs = list(by_batch(form_batches(pieces, BatchSettings(32)), 10**9, 100))
    assert [len(run) for run in runs] == [8, 8, 8, 8]


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), max_size=12),
    st.integers(1, 5),
    st.integers(1, 40),
)
def test_turns_reach_every_worker_in_its_order(sizes, num_workers, max_bytes):
    lengths, numbers = [len(each) for each in sizes], iter(range(10**6))
    part = Part(0, "a", range(1), 0, 0)
    runs = [[Batch(next(numbers), (1, size), (part,)) for size in each] for each in sizes]
    turns = list(in_turns(runs, num_workers, 3 * max_bytes))
    next_one, waiting = 0, {}
    for batch in filter(None, turns):
        waiting[batch.number] = batch.num_bytes
        while next_one in waiting:
            del waiting[next_one]
            next_one += 1
        assert sum(waiting.values()) <= 3 * max_bytes
    assert sorted(batch.number for batch in turns if batch) == list(range(sum(lengths)))
    for worker in range(num_workers):
        own = [batch.number for batch in turns[worker::num_workers] if batch]
        assert own == sorted(own)


@settings(max_examples=50)
@given(PIECES, st.integers(1, 6))
def test_ranks_share_everything_evenly(pieces, world_size):
    shares = [list(share(pieces, rank, world_size)) for rank in range(world_size)]
    assert sorted(frames_in([piece for each in shares for piece in each])) == sorted(frames_in(pieces))
    costs = [sum(piece.cost for piece in each) for each in shares]
    assert max(costs) - min(costs) <= max((piece.cost for piece in pieces), default=0)


def test_parts_say_how_much_of_their_piece_came_before():
    pieces = [Piece("a", range(3), (1, 1), 3), Piece("b", range(1), (1, 1), 1)]
    parts = [part for batch in form_batches(pieces, BatchSettings(2)) for part in batch.parts]
    assert [part.offset for part in parts] == [0, 2, 0]
