"""Whatever people call a frame becomes RGB bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pvio_lab.write.pixels import rgb_pixels

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]
ALPHA = np.dstack([RGB, np.full((6, 8), 77, np.uint8)])
ALL_BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)

SAME_PICTURE = {
    "rows": RGB,
    "channels first": RGB.transpose(2, 0, 1).copy(),
    "a view of channels first": RGB.transpose(2, 0, 1),
    "alpha": ALPHA,
    "alpha, channels first": ALPHA.transpose(2, 0, 1),
    "every other row": np.repeat(RGB, 2, axis=0)[::2],
    "backwards twice": RGB[::-1].copy()[::-1],
    "Fortran's order": np.asfortranarray(RGB),
    "read only": np.frombuffer(RGB.tobytes(), np.uint8).reshape(RGB.shape),
    "float64": RGB / 255,
    "float32": (RGB / 255).astype("float32"),
    "float16": (RGB / 255).astype("float16"),
    "other byte order": (RGB / 255).astype(">f4"),
    "tensor": torch.from_numpy(RGB).permute(2, 0, 1),
    "contiguous tensor": torch.from_numpy(RGB).permute(2, 0, 1).contiguous(),
    "float tensor": torch.from_numpy(RGB).permute(2, 0, 1) / 255,
    "half tensor": (torch.from_numpy(RGB).permute(2, 0, 1) / 255).half(),
    "tensor with gradients": (torch.from_numpy(RGB).permute(2, 0, 1) / 255).requires_grad_(),
    "tensor in numpy's order": torch.from_numpy(RGB),
    "PIL": Image.fromarray(RGB),
    "PIL with alpha": Image.fromarray(ALPHA),
}
SAME_GREY = {
    "two dimensions": GREY,
    "one channel": GREY[:, :, None],
    "one channel, first": GREY[None],
    "floats": GREY / 255,
    "tensor": torch.from_numpy(GREY.copy()),
    "tensor of one channel": torch.from_numpy(GREY.copy())[None],
    "PIL": Image.fromarray(GREY),
}
WRONG_KINDS = {
    "int64": (RGB.astype("int64"), "a frame of int64 is not clear: give uint8 .* or floats from 0 to 1"),
    "bool": (RGB > 9, "a frame of bool is not clear"),
    "int tensor": (torch.zeros(3, 4, 6, dtype=torch.int64), "a frame of int64 is not clear"),
    "complex": (RGB * 1j, "a frame of complex128 is not clear"),
    "objects": (RGB.astype(object), "a frame of object is not clear"),
    "a name": ("frame.png", "must be an array, a tensor or a PIL image, not str"),
    "bytes": (b"abc", "not bytes"),
    "None": (None, "not NoneType"),
    "lists": (RGB.tolist(), "not list"),
    "a deep image": (Image.new("I;16", (4, 4)), "an image of mode 'I;16' has more than 8 bits"),
    "an image of floats": (Image.new("F", (4, 4)), "an image of mode 'F' has more than 8 bits"),
}
WRONG_VALUES = {
    "NaN": (np.full((4, 6, 3), np.nan), "must have numbers from 0 to 1; this one has nan to nan"),
    "one NaN": (np.where(np.arange(72).reshape(4, 6, 3) == 9, np.nan, 0.5), "from 0 to 1"),
    "infinity": (np.full((4, 6, 3), np.inf), "this one has inf to inf"),
    "0 to 255": (RGB.astype(float), r"this one has \d+ to \d+ \(uint8 has 0 to 255\)"),
    "below 0": (np.full((4, 6, 3), -0.1), "this one has -0.1 to -0.1"),
    "two channels": (np.zeros((6, 8, 2), np.uint8), r"1, 3 or 4 channels, .* \(6, 8, 2\)"),
    "a line": (np.zeros(8, np.uint8), r"not \(8,\)"),
    "a number": (np.uint8(3), r"not \(\)"),
    "a stack": (RGB[None], r"not \(1, 6, 8, 3\)"),
    "nothing": (np.zeros((0, 8, 3), np.uint8), r"not \(0, 8, 3\)"),
}


@pytest.mark.parametrize("frame", SAME_PICTURE.values(), ids=SAME_PICTURE)
def test_the_same_picture(frame):
    pixels = rgb_pixels(frame)
    assert pixels.flags.c_contiguous
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, RGB)


@pytest.mark.parametrize("frame", SAME_GREY.values(), ids=SAME_GREY)
def test_grey_becomes_three_equal_channels(frame):
    assert np.array_equal(rgb_pixels(frame), np.dstack([GREY] * 3))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "longdouble"])
def test_every_byte_survives_as_a_float(kind):
    assert np.array_equal(rgb_pixels(ALL_BYTES.astype(kind) / np.dtype(kind).type(255))[:, :, 0], ALL_BYTES)


def test_bfloat16_is_as_good_as_its_digits():
    frame = (torch.from_numpy(ALL_BYTES) / 255).bfloat16()
    assert np.array_equal(rgb_pixels(frame), rgb_pixels(frame.float()))
    assert np.abs(rgb_pixels(frame)[:, :, 0].astype(int) - ALL_BYTES).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "HSV"])
def test_every_mode_of_pil_is_what_pil_makes_of_it(mode):
    image = Image.fromarray(RGB).convert(mode)
    assert np.array_equal(rgb_pixels(image), np.asarray(image.convert("RGB")))


def test_what_is_transparent_keeps_its_colour():
    assert np.array_equal(rgb_pixels(np.dstack([RGB, np.zeros((6, 8), np.uint8)])), RGB)


def test_what_is_right_already_is_not_copied():
    assert np.shares_memory(rgb_pixels(RGB), RGB)
    assert np.shares_memory(rgb_pixels(torch.from_numpy(RGB).permute(2, 0, 1)), RGB)


@pytest.mark.parametrize("frame", [SAME_PICTURE["float32"], SAME_PICTURE["tensor with gradients"], ALPHA])
def test_what_is_given_stays_as_it_was(frame):
    array = frame.detach().numpy() if isinstance(frame, torch.Tensor) else frame
    before = array.copy()
    rgb_pixels(frame)[:] = 0
    assert np.array_equal(array, before)


def test_three_rows_of_three_pixels_have_their_channels_last_in_numpy_and_first_in_torch():
    frame = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert np.array_equal(rgb_pixels(frame), frame)
    assert np.array_equal(rgb_pixels(torch.from_numpy(frame)), frame.transpose(1, 2, 0))


@pytest.mark.parametrize(("frame", "message"), WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_no_picture(frame, message):
    with pytest.raises(TypeError, match=message):
        rgb_pixels(frame)


@pytest.mark.parametrize(("frame", "message"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_wrong_shapes_and_numbers(frame, message):
    with pytest.raises(ValueError, match=message):
        rgb_pixels(frame)


@settings(deadline=None)
@given(st.integers(4, 20), st.integers(5, 20), st.sampled_from([1, 3, 4]), st.booleans(), st.booleans())
def test_every_layout_keeps_every_pixel_in_its_place(height, width, channels, first, is_tensor):
    frame = np.random.default_rng(0).integers(0, 256, (height + 1, width, channels), dtype=np.uint8)
    given = frame.transpose(2, 0, 1) if first else frame
    expected = frame[:, :, :3] if channels > 1 else np.repeat(frame, 3, axis=2)
    assert np.array_equal(rgb_pixels(torch.from_numpy(given) if is_tensor else given), expected)
