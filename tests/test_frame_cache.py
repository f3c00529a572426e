from __future__ import annotations

import gc

import numpy as np
import pytest
from av import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.read.decode.frame_cache import FrameCache, frame_bytes


def picture(size=10):
    return np.zeros(size, np.uint8)


def held(cache, numbers):
    return [number for number in numbers if cache.get(number) is not None]


def test_the_frame_unused_for_longest_goes_first():
    cache = FrameCache(30)
    for number in range(3):
        cache.put(number, picture())
    cache.get(0)
    cache.put(3, picture())
    assert held(cache, range(4)) == [0, 2, 3]


def test_the_same_frame_comes_back():
    cache, frame = FrameCache(30), picture()
    cache.put(7, frame)
    assert cache.get(7) is frame
    assert cache.get(8) is None


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
    assert frame_bytes(VideoFrame(64, 32, kind)) >= 64 * 32 * share
    assert frame_bytes(VideoFrame(64, 32, kind)) <= 64 * 32 * share * 1.5


class Unlooked:
    """Caches that must not be gone through."""

    def __iter__(self):
        raise AssertionError("went through all caches")


def test_caches_that_hold_little_are_not_gone_through(monkeypatch):
    cache = FrameCache(2**40)
    cache.put(0, picture())
    monkeypatch.setattr(cache._together, "caches", Unlooked())
    cache.share()
    assert cache.get(0) is not None


def test_what_all_hold_is_known_after_puts_and_ends():
    together = FrameCache(0)._together
    before = together.num_bytes
    caches = [FrameCache(2**40) for _ in range(3)]
    for cache in caches:
        for number in (0, 1, 1):
            cache.put(number, picture())
    caches[0].clear()
    assert together.num_bytes == before + 40
    del caches, cache
    gc.collect()
    assert (together.num_bytes, together.limits[2**40]) == (before, 0)


def test_together_they_hold_no_more_than_the_largest_may():
    limit = 2**50
    caches = [FrameCache(limit) for _ in range(3)]
    for cache in caches:
        cache.put(0, picture())
        cache._count(limit // 2)  # as if the frame were so large
    caches[2].share()
    assert [cache.get(0) is not None for cache in caches] == [False, False, True]
