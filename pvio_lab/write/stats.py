"""Statistics of the colours of many frames, gathered while they pass by."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..read import Frames

# Of larger frames, a grid of about so many pixels counts, another one each time.
MAX_PIXELS = 2**16

Channels = NDArray[np.float64]
"""A number for each of red, green and blue."""


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
