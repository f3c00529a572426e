"""RGB pixels of anything people call a frame, and the statistics of their colours."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..read import Frames

_CHANNELS = (1, 3, 4)
# Of larger frames, a grid of about so many pixels counts, another one each time.
MAX_PIXELS = 2**16

Channels = NDArray[np.float64]
"""A number for each of red, green and blue."""

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


@dataclass(frozen=True)
class FrameStats:
    """The distribution of the colours of many frames: for each of red, green and blue, from 0 to 255.

    Frames of up to 65,536 pixels count whole, and the numbers are exact. Of larger ones every second or third
    (...) pixel counts, in rows and columns, on a grid that moves from frame to frame.
    """

    min: Channels
    """The least value."""
    max: Channels
    """The greatest value."""
    mean: Channels
    """The average."""
    std: Channels
    """The standard deviation."""
    q01: Channels = field(repr=False)
    """1% of the values are below."""
    q10: Channels = field(repr=False)
    """10% of the values are below."""
    q50: Channels = field(repr=False)
    """The median."""
    q90: Channels = field(repr=False)
    """90% of the values are below."""
    q99: Channels = field(repr=False)
    """99% of the values are below."""
    count: int
    """The number of frames counted."""

    def to_dict(self) -> dict[str, Any]:
        """Return the same as lists and numbers, for JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value if name == "count" else value.tolist() for name, value in values.items()}


class RunningStats:
    """A collector of `FrameStats`, frame by frame: it counts how often each of the 256 values occurs.

    >>> stats = RunningStats()
    >>> stats.add(np.full((4, 6, 3), 7, np.uint8))
    >>> stats.result().mean
    array([7., 7., 7.])
    """

    def __init__(self) -> None:
        self._histogram = np.zeros((3, 256), np.int64)
        self.count = 0
        """The number of frames counted."""

    def add(self, pixels: Frames) -> None:
        """Count a frame `(H, W, 3)`."""
        height, width = pixels.shape[:2]
        step = ceil(sqrt(height * width / MAX_PIXELS))
        down, across = divmod(self.count % step**2, step)
        sample = pixels[down::step, across::step]
        for channel in range(3):
            self._histogram[channel] += np.bincount(sample[:, :, channel].ravel(), minlength=256)
        self.count += 1

    def result(self) -> FrameStats | None:
        """Return the statistics so far; None before the first frame."""
        if not self.count:
            return None
        values, counts = np.arange(256.0), self._histogram
        totals = counts.sum(1)
        mean = counts @ values / totals
        squares = (counts * np.square(values - mean[:, None])).sum(1)
        return FrameStats(
            min=_quantile(counts, 0.0),
            max=_quantile(counts, 1.0),
            mean=mean,
            std=np.sqrt(squares / totals),
            q01=_quantile(counts, 0.01),
            q10=_quantile(counts, 0.1),
            q50=_quantile(counts, 0.5),
            q90=_quantile(counts, 0.9),
            q99=_quantile(counts, 0.99),
            count=self.count,
        )


def _quantile(counts: NDArray[np.int64], part: float) -> Channels:
    """Return the value at this part of all, as numpy has it: between two values, in proportion."""
    place = part * (counts.sum(1) - 1.0)
    running = counts.cumsum(1)
    low, high = (
        np.array([np.searchsorted(row, at, side="right") for row, at in zip(running, places, strict=True)])
        for places in (np.floor(place), np.ceil(place))
    )
    between: Channels = low + (high - low) * (place - np.floor(place))
    return between
