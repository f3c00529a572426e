from __future__ import annotations

import numpy as np
import pytest
from fake_peers import moving_frames

from pvio_lab.measure.frame_check import GOOD_COLOURS_DB, Truth
from pvio_lab.measure.timed_reads import print_of

FRAMES = moving_frames(90)
ASKED = np.arange(5, 85, 4)


def truth_of(frames):
    return Truth(np.arange(len(frames)), np.array([print_of(frame) for frame in frames]))


MOVING = truth_of(FRAMES)


def judged(frames, truth=MOVING, asked=ASKED):
    return truth.judge(asked, np.array([print_of(frame) for frame in frames]))


def recoloured(frames, matrix, offset=0.0):
    return np.clip(frames @ np.array(matrix) + offset, 0, 255).astype(np.uint8)


def test_right_frames_are_right():
    verdict = judged(FRAMES[ASKED])
    assert (verdict.wrong, verdict.checked, verdict.colours_db) == (0, len(ASKED), np.inf)


@pytest.mark.parametrize("offset", [-30, -2, -1, 1, 2, 30])
def test_frames_off_by_some_are_all_wrong(offset):
    inside = (ASKED + offset >= 0) & (ASKED + offset < len(FRAMES))
    asked = ASKED[inside]
    assert judged(FRAMES[asked + offset], asked=asked).wrong == len(asked)


def test_single_wrong_frames_are_counted():
    numbers = ASKED.copy()
    numbers[[2, 7, 11]] += 1
    verdict = judged(FRAMES[numbers])
    assert verdict.wrong == 3
    assert verdict.colours_db == np.inf


@pytest.mark.parametrize("seed", range(5))
def test_rounding_is_no_mistake(seed):
    noise = np.random.default_rng(seed).integers(-3, 4, FRAMES[ASKED].shape)
    verdict = judged(np.clip(FRAMES[ASKED] + noise, 0, 255).astype(np.uint8))
    assert verdict.wrong == 0
    assert verdict.colours_db > GOOD_COLOURS_DB


OTHER_COLOURS = {
    "BT.601 taken for BT.709": (
        [[1.0864, 0.0966, -0.0141], [-0.0724, 0.8446, -0.0276], [-0.0141, 0.0588, 1.0418]],
        0,
    ),
    "another range": (np.eye(3) * 219 / 255, 16),
    "red and blue exchanged": ([[0, 0, 1], [0, 1, 0], [1, 0, 0]], 0),
}


@pytest.mark.parametrize("colours", OTHER_COLOURS)
def test_other_colours_are_named_and_no_mistake(colours):
    verdict = judged(recoloured(FRAMES[ASKED], *OTHER_COLOURS[colours]))
    assert verdict.wrong == 0
    assert verdict.colours_db < GOOD_COLOURS_DB


@pytest.mark.parametrize("colours", OTHER_COLOURS)
def test_wrong_frames_in_other_colours_are_wrong(colours):
    numbers = ASKED.copy()
    numbers[::3] += 2
    assert judged(recoloured(FRAMES[numbers], *OTHER_COLOURS[colours])).wrong == len(ASKED[::3])


def test_where_nothing_moves_nobody_can_be_wrong():
    still = np.repeat(FRAMES[:1], 90, axis=0)
    assert judged(still[ASKED], truth_of(still)).wrong == 0


def test_frames_that_are_the_same_are_not_confused():
    twice = np.repeat(FRAMES[:45], 2, axis=0)
    assert judged(twice[ASKED], truth_of(twice)).wrong == 0
    assert judged(twice[ASKED + 2], truth_of(twice)).wrong == len(ASKED)


def test_frames_of_another_shape_are_all_wrong():
    assert judged(FRAMES[ASKED].transpose(0, 2, 1, 3)).wrong == len(ASKED)


def test_frames_without_truth_are_not_checked():
    verdict = judged(FRAMES[ASKED], Truth(MOVING.numbers[:30], MOVING.prints[:30]))
    assert verdict.checked == (ASKED < 30).sum()


@pytest.mark.parametrize("shape", [(1, 1), (31, 47), (32, 48), (33, 49), (1080, 1920)])
def test_frames_of_any_size_have_prints(shape):
    mean = print_of(np.full((*shape, 3), 200, np.uint8))
    assert set(mean.ravel().tolist()) == {200 * 256}
    assert mean.shape[0] <= 32
    assert mean.shape[1] <= 48
