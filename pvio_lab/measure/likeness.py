"""Which frame is it? Small prints of frames tell wrong frames from right ones with slightly other colours.

A frame counts as wrong if another one is clearly nearer to it than the one that was asked for. So a reader
may round or convert colours as it likes, and where nothing moves nobody can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRID = (32, 48)
"""Rows and columns of a print, at most."""
# Frames whose prints differ by less, as a sum of squares, are alike.
_ALIKE = 1.0
# Seen from the right frame, how far on the way to another one a frame has to be to count as that.
_CLEARLY = 0.75
# Above this, colours are as they should be; differences of rounding stay above, other matrices below.
GOOD_COLOURS_DB = 38.0

Prints = NDArray[np.uint16]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Verdict:
    """What became of the frames of one reader."""

    wrong: int
    """How many are clearly another frame than the one asked for."""
    checked: int
    """How many were compared."""
    colours_db: float
    """How near the colours are to the true ones, as a PSNR in dB; infinite for the same."""


def print_of(frame: NDArray[np.uint8]) -> Prints:
    """The mean colour of each cell of a grid, in 256ths.

    >>> print_of(np.full((360, 640, 3), 7, np.uint8)).shape
    (30, 45, 3)
    """
    (height, width, _), (rows, columns) = frame.shape, GRID
    high, wide = -(-height // rows), -(-width // columns)
    rows, columns = height // high, width // wide
    lines = frame[: rows * high].reshape(rows, high, width * 3).sum(axis=1, dtype=np.uint32)
    cells = lines.reshape(rows, width, 3)[:, : columns * wide].reshape(rows, columns, wide, 3).sum(axis=2)
    return np.asarray(cells * (256 / (high * wide)), np.uint16)


class Truth:
    """The prints of some frames of a video, as they really are.

    Args:
        numbers: Which frames, sorted.
        prints: Their prints, `(n, rows, columns, 3)`.
    """

    def __init__(self, numbers: NDArray[np.int64], prints: Prints):
        self.numbers, self.prints = numbers, prints
        levels = prints.reshape(len(prints), -1).astype(np.float32) / 256
        self._centre = levels.mean(axis=0) if len(levels) else levels.sum(axis=0)
        self._levels: Floats = levels - self._centre
        self._verdicts: dict[tuple[bytes, bytes], Verdict] = {}

    def judge(self, asked: NDArray[np.int64], prints: Prints) -> Verdict:
        """Compares frames with those that were asked for, and these with all others.

        Args:
            asked: Which frames these should be.
            prints: The prints of what a reader returned for them.
        """
        key = asked.tobytes(), prints.tobytes()  # the same again, as a rule: readers agree
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(asked, prints)
        return self._verdicts[key]

    def _judge(self, asked: NDArray[np.int64], prints: Prints) -> Verdict:
        known = np.isin(asked, self.numbers)
        rows, prints = np.searchsorted(self.numbers, asked[known]), prints[known]
        checked = int(known.sum())
        if prints.shape[1:] != self.prints.shape[1:]:
            return Verdict(checked, checked, 0.0)
        differ = (prints != self.prints[rows]).any(axis=(1, 2, 3))
        if not differ.any():
            return Verdict(0, checked, float("inf"))
        levels = prints[differ].reshape(int(differ.sum()), -1).astype(np.float32) / 256 - self._centre
        return Verdict(*self._match(rows[differ], levels, checked))

    def _match(self, rows: NDArray[np.int64], levels: Floats, checked: int) -> tuple[int, int, float]:
        """Looks for the nearest true frames; twice, the second time with the colours brought into line."""
        nearest = self._distances(levels).argmin(axis=1)
        likeness = _psnr(levels, self._levels[nearest], checked)
        if likeness < GOOD_COLOURS_DB:
            levels = _recolour(levels + self._centre, self._levels[nearest] + self._centre) - self._centre
        return int(self._is_wrong(rows, self._distances(levels)).sum()), checked, likeness

    def _distances(self, levels: Floats) -> Floats:
        """The squared distance of each of these to each true frame."""
        return _squares(levels)[:, None] - 2 * (levels @ self._levels.T) + _squares(self._levels)

    def _is_wrong(self, rows: NDArray[np.int64], distances: Floats) -> NDArray[np.bool_]:
        own = np.take_along_axis(distances, rows[:, None], axis=1)
        between = self._distances(self._levels[rows])
        # On the line from the right frame to another one, how far is it? 0 at the right one, 1 at the other.
        way = (own - distances + between) / np.maximum(2 * between, _ALIKE)
        return np.asarray(((way > _CLEARLY) & (between > _ALIKE)).any(axis=1))


def _squares(levels: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", levels, levels), np.float32)


def _psnr(levels: Floats, truth: Floats, count: int) -> float:
    """Of the median frame, as single frames may be wrong; those up to `count` that are not here are exact."""
    errors = np.zeros(count)
    errors[: len(levels)] = np.square(levels - truth).mean(axis=1)
    middle = float(np.median(errors))
    return float(10 * np.log10(255**2 / middle)) if middle > 0 else float("inf")


def _recolour(levels: Floats, truth: Floats) -> Floats:
    """Applies the one change of colours, the same for all pixels, that brings these nearest to the truth."""
    colours = np.column_stack([levels.reshape(-1, 3), np.ones(levels.size // 3, np.float32)])
    matrix = np.linalg.lstsq(colours.T @ colours, colours.T @ truth.reshape(-1, 3), rcond=None)[0]
    return np.asarray((colours @ matrix).reshape(levels.shape), np.float32)
