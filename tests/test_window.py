"""How much of the plan may be in memory: without threads, as a game of which every course is tried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.load.threads import Window

BATCH = 10


def taken(window, *pieces):
    """Claims of so many batches each, one after the other."""
    claims, begin = [], 0
    for count in pieces:
        claims.append(window.claim(begin, begin + count * BATCH))
        begin += count * BATCH
    return claims


def may(window, claim, number):
    return window.has_room(claim, number * BATCH, (number + 1) * BATCH)


def fill(window, claim, number):
    assert may(window, claim, number)
    window.hold(number * BATCH, (number + 1) * BATCH)
    claim.reached = (number + 1) * BATCH


def test_the_next_batch_has_room_even_if_it_is_larger_than_the_limit():
    window = Window(BATCH - 1)
    (claim,) = taken(window, 3)
    assert may(window, claim, 0)
    fill(window, claim, 0)
    assert not may(window, claim, 1)
    window.deliver(0, BATCH)
    assert may(window, claim, 1)


def test_what_the_foremost_worker_has_not_begun_needs_no_memory_yet():
    window = Window(4 * BATCH)
    first, second = taken(window, 10, 10)
    fill(window, first, 0)
    for number in (10, 11, 12):
        fill(window, second, number)
    assert not may(window, second, 13)
    window.deliver(0, BATCH)
    assert may(window, first, 1)
    fill(window, first, 1)
    assert not may(window, second, 13)


def test_those_in_between_keep_what_they_will_need():
    window = Window(4 * BATCH)
    first, second, third = taken(window, 10, 3, 10)
    fill(window, first, 0)
    assert not may(window, third, 13)
    for number in (10, 11, 12):
        fill(window, second, number)
    assert not may(window, third, 13)


@given(
    pieces=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    num_workers=st.integers(1, 4),
    limit=st.integers(1, 8),
    draws=st.randoms(use_true_random=False),
)
def test_every_course_comes_to_its_end_within_the_limit(pieces, num_workers, limit, draws):
    window, batches = Window(limit * BATCH), numbered(pieces)
    busy, filled, delivered, total = [], set(), 0, sum(pieces)
    while delivered < total:
        moves = []
        if len(busy) < num_workers and batches:
            moves.append(("take", None))
        moves += [("fill", work) for work in busy if may(window, work[0], work[1][0])]
        if delivered in filled:
            moves.append(("deliver", None))
        assert moves, "nobody can go on"
        move, work = draws.choice(moves)
        if move == "take":
            numbers = batches.pop(0)
            claim = window.claim(numbers[0] * BATCH, (numbers[-1] + 1) * BATCH)
            busy.append((claim, numbers))
        elif move == "fill":
            claim, numbers = work
            number = numbers.pop(0)
            fill(window, claim, number)
            filled.add(number)
            if not numbers:
                window.release(claim)
                busy.remove(work)
        else:
            window.deliver(delivered * BATCH, (delivered + 1) * BATCH)
            filled.remove(delivered)
            delivered += 1
        assert len(filled) <= limit + 1


def numbered(pieces):
    numbers = iter(range(sum(pieces)))
    return [[next(numbers) for _ in range(count)] for count in pieces]


@pytest.mark.parametrize("limit", [1, 5])
def test_a_slow_consumer_stops_everybody(limit):
    window = Window(limit * BATCH)
    (claim,) = taken(window, 100)
    number = 0
    while may(window, claim, number):
        fill(window, claim, number)
        number += 1
    assert number == limit
