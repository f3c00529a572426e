from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.read import frame_numbers
from pvio_lab.read.frames import ascending

lengths = st.integers(0, 50)
maybe = st.none() | st.integers(-70, 70)


@given(lengths, maybe, maybe, st.none() | st.integers(-9, 9).filter(bool))
def test_slices_mean_what_they_mean_in_numpy(length, start, stop, step):
    numbers, is_scalar = frame_numbers(slice(start, stop, step), length)
    np.testing.assert_array_equal(numbers, np.arange(length)[start:stop:step])
    assert not is_scalar


@given(st.integers(1, 50), st.data())
def test_lists_mean_what_they_mean_in_numpy(length, data):
    key = data.draw(st.lists(st.integers(-length, length - 1)))
    for form in (key, tuple(key), deque(key), np.array(key, np.int32), torch.tensor(key, dtype=torch.int64)):
        numbers, is_scalar = frame_numbers(form, length)
        assert numbers.dtype == np.int64
        assert not is_scalar
        np.testing.assert_array_equal(numbers, np.arange(length)[np.array(key, int)])


@given(st.lists(st.booleans()))
def test_masks_mean_what_they_mean_in_numpy(mask):
    mask = np.array(mask, bool)
    np.testing.assert_array_equal(frame_numbers(mask, len(mask))[0], np.flatnonzero(mask))


@pytest.mark.parametrize("key", [7, -3, np.int8(7), np.uint64(7), np.array(-3), torch.tensor(-3)])
def test_one_integer_is_one_frame(key):
    numbers, is_scalar = frame_numbers(key, 10)
    assert (numbers.tolist(), numbers.dtype, is_scalar) == ([7], np.int64, True)


@pytest.mark.parametrize("key", [[7], np.array([7]), torch.tensor([7]), range(7, 8), slice(7, 8)])
def test_a_list_of_one_is_not_one_frame(key):
    numbers, is_scalar = frame_numbers(key, 10)
    assert (numbers.tolist(), is_scalar) == ([7], False)


def test_a_range_keeps_its_order():
    assert frame_numbers(range(9, -1, -4), 10)[0].tolist() == [9, 5, 1]


@pytest.mark.parametrize("key", [[], (), range(0), slice(3, 3), np.array([]), np.array([], int)])
@pytest.mark.parametrize("length", [0, 5])
def test_nothing_asked_is_nothing(key, length):
    numbers, is_scalar = frame_numbers(key, length)
    assert (numbers.shape, numbers.dtype, is_scalar) == ((0,), np.int64, False)


@pytest.mark.parametrize("bad", [10, -11, 2**70, -(2**63)])
@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: [0, bad]])
def test_out_of_range(bad, wrap):
    with pytest.raises(
        IndexError, match=f"frame {bad} is out of range: there are 10 frames, .* 0 to 9, or -10"
    ):
        frame_numbers(wrap(bad), 10)


def test_out_of_range_of_nothing():
    with pytest.raises(IndexError, match="frame 0 is out of range: there are no frames"):
        frame_numbers(0, 0)


@pytest.mark.parametrize(
    "key",
    [
        *(1.0, np.float32(1), np.array(1.0), [1.0], [1, 2.5], np.array([1.0]), torch.tensor([0.5])),
        *(True, np.True_, [True, False], torch.tensor(True), [1, True], np.array(False)),
        *("3", b"3", ["3"], None, ..., {1}, {1: 2}, iter([1]), 1j, object()),
        *([[1, 2]], [[1], [2, 3]], np.zeros((2, 2), int), np.zeros((2, 5), bool), (1, slice(3))),
    ],
    ids=lambda key: f"{type(key).__name__} {key}".split(" at 0x")[0],
)
def test_other_kinds_of_key(key):
    with pytest.raises(TypeError, match="frame numbers must be an integer, a slice, a list"):
        frame_numbers(key, 10)


@pytest.mark.parametrize("size", [9, 11])
def test_a_mask_of_another_length(size):
    with pytest.raises(TypeError, match=f"10 entries, one per frame, not {size}"):
        frame_numbers(np.ones(size, bool), 10)


def test_a_long_key_is_not_repeated_in_full():
    with pytest.raises(TypeError) as caught:
        frame_numbers([0.5] * 10_000, 10)
    assert len(str(caught.value)) < 300


def test_a_slice_without_progress():
    with pytest.raises(ValueError, match="zero"):
        frame_numbers(slice(None, None, 0), 10)


def test_numbers_that_ascend():
    assert ascending([0, 4, -1], 10).tolist() == [0, 4, 9]
    assert ascending([], 10).tolist() == []


@pytest.mark.parametrize("key", [[3, 3], [0, 5, 4], slice(None, None, -1)])
def test_numbers_that_do_not_ascend(key):
    with pytest.raises(ValueError, match=r"must ascend here, each once: \d comes after \d"):
        ascending(key, 10)
