"""What is read in a comparison, and what should come: worked out with this library's own exact reader."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from ..errors import VideoError
from ..read import Fetching, HeldSource, VideoReader, public_name
from .likeness import Truth, print_of
from .pieces import Pattern, Task

# Wrong frames are looked for among so many frames before and after the one that was asked for.
NEIGHBOURS = 30
MOST_CHECKED = 64
BATCH_SIZE = 32
# What checking one pattern may decode, and what a batch may hold.
_CHECK_PIXELS = 3e9
_BATCH_BYTES = 256 * 2**20
_MOST_NUMBERS = 10_000


@dataclass(frozen=True)
class Course:
    """What all readers do with one file."""

    source: str
    """The file, as it was given; of a URL what may be shown."""
    held: HeldSource
    """The local file, which stays where it is meanwhile."""
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
    """Chooses the frames, the same for all readers, and reads those that will be checked."""
    held = HeldSource(source, fetching)
    path = os.path.abspath(held.path)  # other readers may take `cam:1.mp4` for a URL
    with VideoReader(path, num_threads=1) as reader:
        shape, ahead = reader.shape, _frames_in(reader, seconds) if "sequential" in patterns else 0
    size = batch_size(shape)
    orders = {pattern: _numbers(pattern, shape[0], ahead) for pattern in patterns}
    tasks = {
        pattern: Task(path, pattern, numbers.tolist(), _checked(pattern, numbers, shape), seconds, size)
        for pattern, numbers in orders.items()
    }
    wanted = sorted({number for task in tasks.values() for number in task.checked})
    with VideoReader(path, cache_bytes=0) as reader:
        truth = read_truth(reader, np.array(wanted, np.int64), size)
    return Course(public_name(source), held, shape, tasks, truth)


def read_truth(reader: VideoReader, checked: NDArray[np.int64], at_once: int) -> Truth:
    """The prints of these frames and of their neighbours; those that cannot be decoded are left out."""
    near = checked[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    numbers = np.unique(near[(near >= 0) & (near < len(reader))])
    known: list[int] = []
    prints: list[NDArray[np.uint16]] = []
    for start in range(0, len(numbers), at_once):
        part = numbers[start : start + at_once]
        found = _decodable(reader, part)
        known += found
        prints += [print_of(frame) for frame in found.values()]
    rows, columns = print_of(np.zeros(reader.shape[1:], np.uint8)).shape[:2]
    return Truth(np.array(known, np.int64), np.array(prints, np.uint16).reshape(-1, rows, columns, 3))


def batch_size(shape: tuple[int, int, int, int]) -> int:
    """How many frames of this size are read in one call."""
    return int(np.clip(_BATCH_BYTES // (3 * shape[1] * shape[2]), 2, BATCH_SIZE))


def _decodable(reader: VideoReader, numbers: NDArray[np.int64]) -> dict[int, NDArray[np.uint8]]:
    try:
        return dict(zip(numbers.tolist(), reader[numbers], strict=True))
    except VideoError:
        if len(numbers) == 1:
            return {}
    half = len(numbers) // 2
    return _decodable(reader, numbers[:half]) | _decodable(reader, numbers[half:])


def _frames_in(reader: VideoReader, seconds: float) -> int:
    """How many frames this library reads in order with one thread, in this time: the part of a long file."""
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
    """Some of the numbers: of those in order all over, else the first ones, which every reader gets to."""
    affordable = _CHECK_PIXELS / ((2 * NEIGHBOURS + 1) * shape[1] * shape[2])
    count = min(int(np.clip(affordable, 4, MOST_CHECKED)), len(numbers))
    rows = np.linspace(0, len(numbers) - 1, count) if pattern == "sequential" else np.arange(count)
    return [int(number) for number in numbers[rows.astype(int)]]
