"""The frames that are read in a comparison, and whether the right ones came.

The truth is read with this library's own exact reader. Small prints of frames tell wrong frames from right
ones in slightly other colours: a frame counts as wrong if another one is clearly nearer to it than the one
that was asked for. So a reader may round or convert colours as it likes, and where nothing moves no reader
can be wrong.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from ..errors import VideoError
from ..read import Fetching, HeldSource, VideoReader
from .timed_reads import Pattern, Prints, Task, print_of

# Wrong frames are looked for among this many before and after the one that was asked for.
NEIGHBOURS = 30
MOST_CHECKED = 64
BATCH_SIZE = 32
# How much checking one pattern may decode, and a batch may hold.
_CHECK_PIXELS = 3e9
_BATCH_BYTES = 256 * 2**20
_MOST_NUMBERS = 10_000
# Frames whose prints differ by less, as a sum of squares, are alike.
_ALIKE = 1.0
# A frame counts as another one if it lies at least this fraction of the way from the right frame to it.
_CLEARLY = 0.75
# Above this, colours are as they should be; differences of rounding stay above, other matrices below.
GOOD_COLOURS_DB = 38.0

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Verdict:
    """The findings about the frames of one reader."""

    wrong: int
    """The number of frames that are clearly not the one asked for."""
    checked: int
    """The number of frames that were compared."""
    colours_db: float
    """The likeness of the colours to the true ones, as a PSNR in dB; infinite for the same."""


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

    def judge(self, asked: NDArray[np.int64], prints: Prints) -> Verdict:
        """Compare frames with those that were asked for, and these with all others.

        Args:
            asked: Which frames these should be.
            prints: The prints of what a reader returned for them.
        """
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
        """Look for the nearest true frames; twice, the second time with the colours brought into line."""
        nearest = self._distances(levels).argmin(axis=1)
        likeness = _psnr(levels, self._levels[nearest], checked)
        if likeness < GOOD_COLOURS_DB:
            levels = _recolour(levels + self._centre, self._levels[nearest] + self._centre) - self._centre
        return int(self._is_wrong(rows, self._distances(levels)).sum()), checked, likeness

    def _distances(self, levels: Floats) -> Floats:
        """Return the squared distance of each of these to each true frame."""
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
    """Return that of the median frame, as single ones may be wrong; those missing up to `count` are exact."""
    errors = np.zeros(count)
    errors[: len(levels)] = np.square(levels - truth).mean(axis=1)
    middle = float(np.median(errors))
    return float(10 * np.log10(255**2 / middle)) if middle > 0 else float("inf")


def _recolour(levels: Floats, truth: Floats) -> Floats:
    """Apply the one change of colours, the same for all pixels, that brings these nearest to the truth."""
    colours = np.column_stack([levels.reshape(-1, 3), np.ones(levels.size // 3, np.float32)])
    matrix = np.linalg.lstsq(colours.T @ colours, colours.T @ truth.reshape(-1, 3), rcond=None)[0]
    return np.asarray((colours @ matrix).reshape(levels.shape), np.float32)


@dataclass(frozen=True)
class Course:
    """The work of all readers on one file."""

    held: HeldSource
    """The local file, which is kept until then."""
    shape: tuple[int, int, int, int]
    """Number of frames, height, width, 3."""
    tasks: dict[Pattern, Task]
    """One for each pattern."""
    truth: Truth
    """The frames that are checked, and their neighbours."""


def plan_course(
    source: str | PathLike[str],
    patterns: tuple[Pattern, ...],
    seconds: float,
    fetching: Fetching | None = None,
) -> Course:
    """Choose the frames, the same for all readers, and read those that will be checked."""
    held = HeldSource(source, fetching)
    path = os.path.abspath(held.path)  # other readers may take `cam:1.mp4` for a URL
    with VideoReader(path, num_threads=1) as reader:
        shape, ahead = reader.shape, _frames_in(reader, seconds) if "sequential" in patterns else 0
    size = int(np.clip(_BATCH_BYTES // (3 * shape[1] * shape[2]), 2, BATCH_SIZE))
    orders = {pattern: _numbers(pattern, shape[0], ahead) for pattern in patterns}
    tasks = {
        pattern: Task(path, pattern, numbers.tolist(), _checked(pattern, numbers, shape), seconds, size)
        for pattern, numbers in orders.items()
    }
    wanted = sorted({number for task in tasks.values() for number in task.checked})
    with VideoReader(path, cache_bytes=0) as reader:
        truth = read_truth(reader, np.array(wanted, np.int64), size)
    return Course(held, shape, tasks, truth)


def read_truth(reader: VideoReader, checked: NDArray[np.int64], at_once: int) -> Truth:
    """Return the prints of these frames and of their neighbours, without those that cannot be decoded."""
    near = checked[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    numbers = np.unique(near[(near >= 0) & (near < len(reader))])
    known: list[int] = []
    prints: list[Prints] = []
    for start in range(0, len(numbers), at_once):
        part = numbers[start : start + at_once]
        found = _decodable(reader, part)
        known += found
        prints += [print_of(frame) for frame in found.values()]
    rows, columns = print_of(np.zeros(reader.shape[1:], np.uint8)).shape[:2]
    return Truth(np.array(known, np.int64), np.array(prints, np.uint16).reshape(-1, rows, columns, 3))


def _decodable(reader: VideoReader, numbers: NDArray[np.int64]) -> dict[int, NDArray[np.uint8]]:
    try:
        return dict(zip(numbers.tolist(), reader[numbers], strict=True))
    except VideoError:
        if len(numbers) == 1:
            return {}
    half = len(numbers) // 2
    return _decodable(reader, numbers[:half]) | _decodable(reader, numbers[half:])


def _frames_in(reader: VideoReader, seconds: float) -> int:
    """Return how many frames this library reads in order with one thread in this time."""
    count, begin = 0, time.perf_counter()
    try:
        for _ in reader:
            count += 1
            if time.perf_counter() - begin >= seconds:
                break
    except VideoError:  # it is damaged from there on
        pass
    return max(count, 1)


def _numbers(pattern: Pattern, length: int, ahead: int) -> NDArray[np.int64]:
    if pattern == "sequential":
        return np.arange(min(length, ahead))
    return np.random.default_rng(0).permutation(length)[:_MOST_NUMBERS]


def _checked(pattern: Pattern, numbers: NDArray[np.int64], shape: tuple[int, int, int, int]) -> list[int]:
    """Return some of the numbers: spread over those in order, else the first, which every reader gets to."""
    affordable = _CHECK_PIXELS / ((2 * NEIGHBOURS + 1) * shape[1] * shape[2])
    count = min(int(np.clip(affordable, 4, MOST_CHECKED)), len(numbers))
    rows = np.linspace(0, len(numbers) - 1, count) if pattern == "sequential" else np.arange(count)
    return [int(number) for number in numbers[rows.astype(int)]]
