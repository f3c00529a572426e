"""One measured piece: a reader goes through a list of frames, over and over, until the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .likeness import print_of
from .peers import Frame, Peer

Pattern = Literal["sequential", "random", "batch"]
"""In order from the first frame; single frames in no order; such frames, many in one call."""
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
Call = tuple[Sequence[int], Frame]
"""Which frames were asked for in one call, and what came."""
Calls = Generator[Call]


@dataclass(frozen=True)
class Task:
    """What a reader has to do in one piece."""

    path: str
    """The file."""
    pattern: Pattern
    """How it is read."""
    numbers: list[int]
    """Which frames, in which order."""
    checked: list[int]
    """Those of them whose prints are wanted."""
    seconds: float
    """After how long it ends."""
    batch_size: int
    """How many frames a batch has."""


@dataclass(frozen=True)
class Piece:
    """What came of it."""

    num_frames: int
    """How many frames were returned."""
    seconds: float
    """How long that took, opening and the first call excluded."""
    cpu_seconds: float
    """How much time of processors it took."""
    checked: list[int]
    """The frames of which there are prints."""
    prints: NDArray[np.uint16]
    """Their prints."""
    size: tuple[int, int]
    """Height and width of the frames."""
    missing: int = 0
    """How many frames of the list did not come, because the reader ended early."""


def run_piece(peer: Peer, task: Task) -> Piece:
    """Measures an open reader.

    Frames that will be checked are kept until the end, so that nothing but reading is timed.
    """
    _warm_up(peer, task)
    wanted, total = set(task.checked), len(task.numbers)
    kept: dict[int, Frame] = {}
    count = missing = 0
    begin, cpu_begin = time.perf_counter(), time.process_time()
    for numbers, frames in _over_and_over(peer, task):
        if 0 < count < total and numbers[0] == task.numbers[0]:  # it begins anew, too early
            missing = missing or total - count
        if count < total and not wanted.isdisjoint(numbers):
            kept |= {number: frames[row] for row, number in enumerate(numbers) if number in wanted}
        count += len(numbers)
        seconds = time.perf_counter() - begin
        if seconds >= task.seconds:
            break
    cpu_seconds = time.process_time() - cpu_begin
    height, width = next(iter(kept.values())).shape[:2] if kept else (0, 0)
    prints = _stacked([print_of(frame) for frame in kept.values()])
    return Piece(count, seconds, cpu_seconds, list(kept), prints, (height, width), missing)


def _over_and_over(peer: Peer, task: Task) -> Iterator[Call]:
    while True:
        came = False
        for call in READ[task.pattern](peer, task):
            came = True
            yield call
        if not came:
            raise EOFError("no frame came")


def _warm_up(peer: Peer, task: Task) -> None:
    """The first call of a reader takes longer: threads start, memory is taken."""
    with closing(READ[task.pattern](peer, replace(task, numbers=task.numbers[:2]))) as calls:
        next(calls, None)


def _sequential(peer: Peer, task: Task) -> Calls:
    frames = peer.sequential()
    for number, frame in zip(task.numbers, islice(frames, len(task.numbers)), strict=False):
        yield (number,), frame[None]


def _random(peer: Peer, task: Task) -> Calls:
    return (((number,), peer.random(number)[None]) for number in task.numbers)


def _batch(peer: Peer, task: Task) -> Calls:
    starts = range(0, len(task.numbers), task.batch_size)
    parts = (task.numbers[start : start + task.batch_size] for start in starts)
    return ((part, peer.batch(part)) for part in parts)


def _stacked(prints: list[NDArray[np.uint16]]) -> NDArray[np.uint16]:
    return np.stack(prints) if prints else np.zeros((0, 0, 0, 3), np.uint16)


READ: dict[Pattern, Callable[[Peer, Task], Calls]] = {
    "sequential": _sequential,
    "random": _random,
    "batch": _batch,
}
