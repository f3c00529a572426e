"""Memory of batches is reused, but never while somebody can see it."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from truth_frames import SAMPLES, true_frames, wrong_frames

from pvio_lab import VideoReader
from pvio_lab.read import BatchMemory, SharedMemory

SHAPE = (4, 6, 8, 3)


def given_out(memory):
    block = memory.take(SHAPE, np.uint8)
    memory.hand_over(block)
    return memory.tensor(block)


@pytest.mark.parametrize(
    "hold",
    [
        lambda tensor: tensor,
        lambda tensor: tensor.movedim(-1, 1),
        lambda tensor: tensor[2:3, 0],
        lambda tensor: tensor.numpy()[1],
        lambda tensor: memoryview(tensor.numpy()),
        lambda tensor: torch.from_dlpack(tensor),
        lambda tensor: tensor.untyped_storage(),
    ],
)
def test_memory_is_not_used_while_somebody_has_part_of_it(hold):
    memory = BatchMemory()
    first = given_out(memory)
    place, held = first.data_ptr(), hold(first)
    del first
    assert given_out(memory).data_ptr() != place
    del held
    assert place in {given_out(memory).data_ptr() for _ in range(2)}


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 6, 8, 3), np.uint8), (SHAPE, np.float32), ((0, 2), np.uint8)]
)
def test_another_shape_or_type_gets_memory_of_its_own(shape, dtype):
    memory = BatchMemory()
    given_out(memory)
    assert (memory.take(shape, dtype).shape, memory.take(shape, dtype).dtype) == (shape, dtype)


def test_a_consumer_that_collects_keeps_what_it_holds_and_no_more():
    memory = BatchMemory()
    held = [given_out(memory) for _ in range(10)]
    assert len({tensor.data_ptr() for tensor in held}) == 10
    assert len(memory._used) < 5


class Clock:
    """A clock that only runs when a test says so, no matter what else the machine does."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize(("consumer_seconds", "num_blocks"), [(1, 2), (20, 1)])
def test_no_idle_block_is_kept_for_a_slow_consumer(monkeypatch, consumer_seconds, num_blocks):
    clock = Clock()
    monkeypatch.setattr("pvio_lab.read.decode.buffers.time", clock)
    memory, blocks, block = BatchMemory(frees_idle=True), [], None
    for _ in range(6):
        new = memory.take(SHAPE, np.uint8)
        clock.now += 10
        memory.hand_over(new)
        block, new = new, None  # the consumer drops the last one
        blocks.append(weakref.ref(block))
        clock.now += consumer_seconds
    assert len({id(each()) for each in blocks if each() is not None}) == num_blocks


@pytest.mark.parametrize("every", [1, 2, 3])
def test_frames_that_were_kept_stay_as_they_were(every):
    truth = true_frames(SAMPLES / "shapes.mp4")
    with VideoReader(SAMPLES / "shapes.mp4") as reader:
        kept = [pair for k, pair in enumerate(reader.batches(8)) if k % every == 0]
    for numbers, frames in kept:
        assert not wrong_frames(frames, truth[numbers])


def test_shared_memory_goes_to_another_process_as_it_is():
    memory = SharedMemory()
    block = memory.take(SHAPE, np.float32)
    block[:] = 7
    tensor = memory.tensor(block)
    assert tensor.is_shared()
    assert tensor.shape == SHAPE
    assert bool((tensor == 7).all())
