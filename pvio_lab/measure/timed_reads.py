"""One measured piece: a reader goes through a list of frames, over and over, until the time is up.

A `ReaderProcess` measures pieces in a process of its own. There a reader can neither crash the notebook, nor
decode behind the back of the next one: a file is opened before each piece and closed after it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..base import Child
from .peer_readers import PEERS, Frame, Peer, load_peer

Pattern = Literal["sequential", "random", "batch"]
"""In order from the first frame; single frames in no order; such frames, many in one call."""
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
Prints = NDArray[np.uint16]

GRID = (32, 48)
"""Rows and columns of a print, at most."""
# How long a piece may take beyond its time: one call may have to decode thousands of frames.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Task:
    """The work of a reader in one piece."""

    path: str
    """The file."""
    pattern: Pattern
    """In which way it is read."""
    numbers: list[int]
    """The frames, in this order."""
    checked: list[int]
    """Those of them whose prints are wanted."""
    seconds: float
    """After how long it ends."""
    batch_size: int
    """The number of frames in a batch."""


@dataclass(frozen=True)
class Piece:
    """The outcome of a task."""

    num_frames: int
    """The number of frames that were returned."""
    seconds: float
    """The time that took, opening and the first call excluded."""
    cpu_seconds: float
    """The processor time it took."""
    checked: list[int]
    """The frames of which there are prints."""
    prints: Prints
    """Their prints."""
    size: tuple[int, int]
    """Height and width of the frames."""
    missing: int = 0
    """The number of frames of the list that did not come, because the reader ended early."""


def print_of(frame: NDArray[np.uint8]) -> Prints:
    """Return a small print of a frame: the mean colour of each cell of a grid, in 256ths.

    >>> print_of(np.full((360, 640, 3), 7, np.uint8)).shape
    (30, 45, 3)
    """
    (height, width, _), (rows, columns) = frame.shape, GRID
    high, wide = -(-height // rows), -(-width // columns)
    rows, columns = height // high, width // wide
    lines = frame[: rows * high].reshape(rows, high, width * 3).sum(axis=1, dtype=np.uint32)
    cells = lines.reshape(rows, width, 3)[:, : columns * wide].reshape(rows, columns, wide, 3).sum(axis=2)
    return np.asarray(cells * (256 / (high * wide)), np.uint16)


def run_piece(peer: Peer, task: Task) -> Piece:
    """Measure an open reader.

    Frames that will be checked are kept until the end, so that nothing but reading is timed.
    """
    with closing(_calls(peer, replace(task, numbers=task.numbers[:2]))) as first:
        next(first, None)  # it takes longer: threads start, memory is taken
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
    prints = np.stack(list(map(print_of, kept.values()))) if kept else np.zeros((0, 0, 0, 3), np.uint16)
    return Piece(count, seconds, cpu_seconds, list(kept), prints, (height, width), missing)


def _over_and_over(peer: Peer, task: Task) -> Iterator[tuple[Sequence[int], Frame]]:
    while True:
        came = False
        for call in _calls(peer, task):
            came = True
            yield call
        if not came:
            raise EOFError("no frame came")


def _calls(peer: Peer, task: Task) -> Generator[tuple[Sequence[int], Frame]]:
    """Yield which frames were asked for in each call, and what came."""
    numbers, size = task.numbers, task.batch_size
    if task.pattern == "sequential":
        for number, frame in zip(numbers, peer.sequential(), strict=False):
            yield (number,), frame[None]
    elif task.pattern == "random":
        for number in numbers:
            yield (number,), peer.random(number)[None]
    else:
        for part in (numbers[start : start + size] for start in range(0, len(numbers), size)):
            yield part, peer.batch(part)


class ReaderProcess(Child):
    """A process that loads one reader and measures it.

    Args:
        name: The reader.
        threads: How many threads decode.
    """

    def __init__(self, name: str, threads: int):
        super().__init__(f"{__name__}:reader_service", name, threads)

    def version(self) -> str:
        """Return the package of the reader and its version.

        Raises:
            ChildError: It does not load; with the first line of why.
        """
        return str(self.greeting())

    def run(self, task: Task) -> Piece:
        """Measure one piece.

        Raises:
            ChildError: The reader fails, crashes, or takes much too long.
        """
        found = self.ask(asdict(task), 10 * task.seconds + PATIENCE_SECONDS)
        prints = np.frombuffer(base64.b64decode(found["prints"]), np.uint16).reshape(found.pop("shape"))
        return Piece(**found | {"prints": prints, "size": tuple(found["size"])})


def reader_service(name: str, threads: int) -> tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    """Load a reader in the child process; return its version and the function that measures it."""

    def measure(task: dict[str, Any]) -> dict[str, Any]:
        with closing(PEERS[name].open(task["path"], threads)) as peer:
            piece = run_piece(peer, Task(**task))
        prints = base64.b64encode(piece.prints.tobytes()).decode()
        return {**vars(piece), "prints": prints, "shape": piece.prints.shape}

    return load_peer(name), measure
