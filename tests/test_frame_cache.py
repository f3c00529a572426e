from __future__ import annotations

import gc

import numpy as np
import pytest
from av import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.read.decode import random_access
from pvio_lab.read.decode.random_access import FrameCache, frame_bytes


def picture(size=10):
    return np.zeros(size, np.uint8)


def held(cache, numbers):
    return [number for number in numbers if cache.get(number) is not None]


def test_the_frame_unused_for_longest_goes_first():
    cache, frame = FrameCache(30), picture()
    cache.put(0, frame)
    cache.put(1, picture())
    cache.put(2, picture())
    assert cache.get(0) is frame
    cache.put(3, picture())
    assert held(cache, range(4)) == [0, 2, 3]


@given(st.integers(0, 50), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), max_size=40))
def test_never_more_than_it_may_hold(limit, puts):
    cache = FrameCache(limit)
    for number, size in puts:
        cache.put(number, picture(size))
        assert sum(frame_bytes(cache.get(each)) for each in held(cache, range(10))) <= limit


@given(st.lists(st.integers(0, 9), max_size=40))
def test_the_newest_are_kept(numbers):
    cache = FrameCache(30)
    for number in numbers:
        cache.put(number, picture())
    newest = list(dict.fromkeys(reversed(numbers)))[:3]
    assert set(held(cache, range(10))) == set(newest)


@pytest.mark.parametrize(("kind", "share"), [("rgb24", 3), ("yuv420p", 1.5), ("yuv420p10le", 3), ("gray", 1)])
def test_bytes_of_a_decoded_frame(kind, share):
    assert 64 * 32 * share <= frame_bytes(VideoFrame(64, 32, kind)) <= 64 * 32 * share * 1.5


def test_together_they_hold_no_more_than_the_largest_may(monkeypatch):
    monkeypatch.setattr(random_access, "_together", random_access._Together())
    caches = [FrameCache(limit) for limit in (20, 30, 20)]
    for cache in caches:
        cache.put(0, picture())
    caches[0].get(0)
    caches[2].put(1, picture())
    assert [held(cache, (0, 1)) for cache in caches] == [[0], [], [0, 1]]
    caches.clear()
    del cache
    gc.collect()
    assert random_access._together.num_bytes == 0
