"""Memory of batches is used again, but never while somebody can see it."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from truth_frames import SAMPLES, true_frames, wrong_frames

from pvio_lab import VideoReader
from pvio_lab.read.decode.buffers import Recycler

SHAPE = (2, 3)


class Clock:
    """Time passes only where a test says so, whatever else the machine does."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("pvio_lab.read.decode.buffers.time", clock)
    return clock


def batches(clock, recycler, count):
    for number in range(count):
        frames = recycler.take(SHAPE)
        frames[:] = number
        clock.sleep(0.005)
        yield recycler.hand_over(frames)
        del frames


def test_a_quick_consumer_gets_the_memory_back(clock):
    seen = [weakref.ref(frames) for frames in batches(clock, Recycler(), 10)]
    assert len({id(reference) for reference in seen}) == 2


def test_nothing_is_kept_for_a_slow_consumer(clock):
    recycler = Recycler()
    for _ in batches(clock, recycler, 4):
        clock.sleep(0.01)
        assert recycler._spare is None


def keep_itself(frames):
    return frames


def keep_a_row(frames):
    return frames[1]


def keep_a_tensor(frames):
    return torch.from_numpy(frames)[0]


def keep_a_view(frames):
    return memoryview(frames)


@pytest.mark.parametrize("keep", [keep_itself, keep_a_row, keep_a_tensor, keep_a_view])
def test_what_somebody_holds_is_left_alone(clock, keep):
    kept = [keep(frames) for frames in batches(clock, Recycler(), 8)]
    assert [np.unique(np.asarray(each)).tolist() for each in kept] == [[number] for number in range(8)]


def test_another_shape_is_other_memory(clock):
    recycler = Recycler()
    for _ in batches(clock, recycler, 3):
        pass
    assert recycler.take((5, 5)).shape == (5, 5)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_frames_that_were_kept_stay_as_they_were(every):
    truth = true_frames(SAMPLES / "shapes.mp4")
    with VideoReader(SAMPLES / "shapes.mp4") as reader:
        kept = [pair for k, pair in enumerate(reader.batches(8)) if k % every == 0]
    for numbers, frames in kept:
        assert not wrong_frames(frames, truth[numbers])
