import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pvio_lab.scale.recipe import Form, Policy, out_of_order, preprocess_steps


@pytest.mark.parametrize(
    ("sampling", "cap", "numbers", "first", "seconds"),
    [
        ({"fps": 1}, None, [0, 25, 50, 75], None, None),
        ({"fps": 1.0}, 2, [0, 25], None, 1.0),
        ({"num_frames": 3}, None, [0, 1, 2], 3, None),
        ({"num_frames": 3}, 2, [0, 1], 2, None),
        ({"uniform": 3}, None, [0, 50, 99], None, None),
        ({"uniform": 3}, 2, [0, 50], None, None),
    ],
)
def test_what_each_policy_takes_and_what_is_known_before_the_video_is(sampling, cap, numbers, first, seconds):
    policy = Policy.of(sampling, cap)
    assert policy.numbers(SimpleNamespace(num_frames=100, fps=25.0)).tolist() == numbers
    assert (policy.num_first, policy.last_seconds) == (first, seconds)
    assert policy.needs_beginning_only == (first is not None or seconds is not None)


@pytest.mark.parametrize(
    "sampling",
    [
        None,
        3.0,
        "fps",
        {},
        {"fps": 1, "uniform": 2},
        {"every": 5},
        {"fps": 0},
        {"fps": "3"},
        {"fps": float("nan")},
        {"num_frames": 0},
        {"num_frames": 2.5},
        {"uniform": True},
    ],
)
def test_another_sampling_is_named(sampling):
    with pytest.raises(ValueError, match="sampling="):
        Policy.of(sampling)


PIXELS = np.random.default_rng(0).integers(0, 256, (36, 64, 3), dtype=np.uint8)


def made(preprocess):
    return Form(tuple(preprocess_steps(preprocess)), is_picture=True).of_frame(PIXELS)


def test_steps_are_those_of_pillow():
    resized = Image.fromarray(PIXELS).resize((32, 18), Image.Resampling.BILINEAR)
    assert made({"resize": {"size": (32, 18)}}) == resized
    assert made({"resize": {"size": [32, 18], "resample": "LANCZOS"}}) != resized
    assert made({"crop": {"box": (1, 2, 30, 20)}}) == Image.fromarray(PIXELS[2:20, 1:30])
    assert made({"convert": "L"}) == Image.fromarray(PIXELS).convert("L")


@pytest.mark.parametrize("resample", [Image.Resampling.BICUBIC, 3, np.int64(3), "BICUBIC"])
def test_a_filter_has_a_name_and_a_number(resample):
    resized = Image.fromarray(PIXELS).resize((32, 18), Image.Resampling.BICUBIC)
    assert made({"resize": {"size": (32, 18), "resample": resample}}) == resized


RESIZE, CROP, GREY = {"resize": {"size": (32, 18)}}, {"crop": {"box": (0, 0, 16, 9)}}, {"convert": "L"}


def test_a_dictionary_has_its_own_order():
    resized = Image.fromarray(PIXELS).resize((32, 18), Image.Resampling.BILINEAR)
    expected = resized.crop((0, 0, 16, 9)).convert("L")
    for steps in itertools.permutations([RESIZE, CROP, GREY]):
        assert made({key: value for step in steps for key, value in step.items()}) == expected
    assert out_of_order(RESIZE | CROP | GREY) is None
    assert "are applied as crop, convert; for convert, crop give a list" in out_of_order(GREY | CROP)


def test_a_list_has_the_order_given():
    cropped = Image.fromarray(PIXELS).crop((0, 0, 16, 9))
    assert made([CROP, RESIZE]) == cropped.resize((32, 18), Image.Resampling.BILINEAR)
    assert made([RESIZE, CROP]) == made(RESIZE | CROP)
    assert made([CROP, RESIZE, CROP]).size == (16, 9)
    assert made([]) == Image.fromarray(PIXELS)
    assert out_of_order([CROP, RESIZE]) is None


@pytest.mark.parametrize(
    ("preprocess", "words"),
    [
        (7, "preprocess=7 must be a dictionary"),
        ("resize", "must be a dictionary"),
        ([RESIZE | CROP], "a list of dictionaries of one step each"),
        ([RESIZE, "crop"], "a list of dictionaries of one step each"),
        ([{"rotate": 90}], "no step 'rotate'"),
        ({"resize": {"size": (64, 36), "resample": 9}}, "resample=9 must be one of 'NEAREST' .0., "),
        ({"resize": {"size": (64, 36), "resample": True}}, "resample=True must be one of"),
        ({"rotate": 90}, "no step 'rotate'; there are resize, crop, convert"),
        ({"resize": (64, 36)}, "dictionary of size, resample"),
        ({"resize": {"size": (64,)}}, r"\(width, height\)"),
        ({"resize": {"size": (64, 0)}}, "1 or more"),
        ({"resize": {"size": (64.5, 36)}}, "must be an integer"),
        ({"resize": {"size": (64, 36), "resample": "CUBIC"}}, "'CUBIC' must be one of 'NEAREST'"),
        ({"resize": {"size": (64, 36), "method": 1}}, "dictionary of size, resample"),
        ({"crop": {"box": (0, 0, 0, 9)}}, "left < right"),
        ({"crop": {"box": (-1, 0, 5, 9)}}, "0 <= left"),
        ({"crop": {}}, "dictionary of box"),
        ({"convert": "rgb"}, "'rgb' must be one of 'RGB'"),
        ({"convert": "F"}, "must be one of 'RGB'"),
    ],
)
def test_a_wrong_step_is_named(preprocess, words):
    with pytest.raises(ValueError, match=words):
        preprocess_steps(preprocess)


@pytest.mark.parametrize(
    ("mode", "channels_first", "shape"),
    [
        ("RGB", False, (36, 64, 3)),
        ("L", False, (36, 64, 1)),
        ("RGBA", True, (4, 36, 64)),
        ("L", True, (1, 36, 64)),
    ],
)
def test_arrays_have_three_axes_and_memory_of_their_own(mode, channels_first, shape):
    form = Form(tuple(preprocess_steps({"convert": mode})), channels_first=channels_first)
    frame = form.of_frame(PIXELS)
    assert (frame.shape, frame.dtype, frame.flags.writeable) == (shape, np.uint8, True)
    assert form.size_of(frame) == [64, 36]
    assert not np.shares_memory(Form(channels_first=channels_first).of_frame(PIXELS), PIXELS)


def test_packed_frames_are_one_array():
    packed = Form(channels_first=True, is_packed=True)
    frames = packed.of_video([packed.of_frame(PIXELS)] * 2)
    assert np.array_equal(frames, np.stack([PIXELS.transpose(2, 0, 1)] * 2))
    assert packed.of_video([]) == []
