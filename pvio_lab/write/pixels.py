"""The conversion of anything people call a frame to RGB bytes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..read import Frames

_CHANNELS = (1, 3, 4)

Picture = tuple[NDArray[Any], bool]
"""Checked numbers in three dimensions, and whether channels come first."""


def rgb_pixels(frame: Any) -> Frames:
    """Return a frame as `(H, W, 3)` uint8, without a copy where it is that already.

    Takes arrays `(H, W, 3)`, `(H, W)`, `(H, W, 1)`, `(H, W, 4)` and `(C, H, W)`, torch tensors `(C, H, W)`,
    and PIL images; uint8, or floats from 0 to 1. Grey becomes three equal channels. Alpha is dropped: what
    is transparent keeps the colour that it has underneath, and is not blended with anything.

    >>> rgb_pixels(np.zeros((4, 6))).shape
    (4, 6, 3)

    Raises:
        TypeError: It is not a picture, or has numbers of another kind.
        ValueError: It has another shape, or numbers that are not between 0 and 1.
    """
    return picture_to_rgb(as_picture(frame))


def picture_to_rgb(picture: Picture) -> Frames:
    """Return a picture as RGB bytes."""
    array, channels_first = picture
    if channels_first:
        array = array.transpose(1, 2, 0)
    if array.dtype != np.uint8:
        scaled = np.multiply(array, 255, dtype=np.float32)
        array = np.rint(scaled, out=scaled).astype(np.uint8)
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def as_picture(frame: Any) -> Picture:
    """Return a frame as a picture, or raise the errors of `rgb_pixels`."""
    array, is_tensor = _as_array(frame)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise TypeError(
            f"a frame of {array.dtype} is not clear: give uint8 from 0 to 255, or floats from 0 to 1"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"a frame must be (H, W), (H, W, C) or (C, H, W), not {array.shape}")
    last, first = array.shape[2] in _CHANNELS, array.shape[0] in _CHANNELS
    if not (last or first):
        raise ValueError(f"a frame must have 1, 3 or 4 channels, first or last; this one is {array.shape}")
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # or NaN
            raise ValueError(
                f"a frame of {array.dtype} must have numbers from 0 to 1; this one has {low:g} to {high:g}"
                f" (uint8 has 0 to 255)"
            )
    return array, first and (is_tensor or not last)


def _as_array(frame: Any) -> tuple[NDArray[Any], bool]:
    """Return the frame as an array, and whether it was a tensor."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(frame, torch.Tensor):
        tensor = frame.detach().cpu()
        return (tensor if tensor.dtype != torch.bfloat16 else tensor.float()).numpy(), True
    image = sys.modules.get("PIL.Image")
    if image is not None and isinstance(frame, image.Image):
        if frame.mode in ("F", "I") or ";" in frame.mode:
            raise TypeError(
                f"an image of mode {frame.mode!r} has more than 8 bits; make it 'RGB' or 'L' first"
            )
        return np.asarray(frame.convert("RGB")), False
    if isinstance(frame, (str, bytes, dict)) or not hasattr(frame, "__array__"):
        raise TypeError(f"a frame must be an array, a tensor or a PIL image, not {type(frame).__name__}")
    return np.asarray(frame), False
