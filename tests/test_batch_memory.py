from __future__ import annotations

import numpy as np
import pytest
import torch

from pvio_lab.read import BatchMemory, SharedMemory

SHAPE = (4, 6, 8, 3)


def given_out(memory):
    block = memory.take(SHAPE, np.uint8)
    memory.hand_over(block)
    return memory.tensor(block)


def test_memory_is_used_again_when_nobody_has_it():
    memory = BatchMemory()
    place = given_out(memory).data_ptr()
    assert given_out(memory).data_ptr() == place


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


def test_another_shape_or_type_gets_memory_of_its_own():
    memory = BatchMemory()
    given_out(memory)
    assert memory.take((2, 6, 8, 3), np.uint8).shape == (2, 6, 8, 3)
    assert memory.take(SHAPE, np.float32).dtype == np.float32


def test_a_consumer_that_collects_keeps_what_it_holds_and_no_more():
    memory = BatchMemory()
    held = [given_out(memory) for _ in range(10)]
    assert len({tensor.data_ptr() for tensor in held}) == 10
    assert len(memory._used) < 5


def test_shared_memory_goes_to_another_process_as_it_is():
    memory = SharedMemory()
    block = memory.take(SHAPE, np.float32)
    block[:] = 7
    tensor = memory.tensor(block)
    assert tensor.is_shared()
    assert tensor.shape == SHAPE
    assert bool((tensor == 7).all())


def test_no_frames_take_no_memory():
    assert BatchMemory().take((0, 2, 2, 3), np.uint8).shape == (0, 2, 2, 3)
