"""From the frames of many files to batches, and to the work of each worker. Pure: numbers, no videos."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

Size = tuple[int, int]
"""Height and width of a frame."""


class Piece(NamedTuple):
    """Frames of one file that one worker decodes in one go."""

    file: Any
    """Whatever stands for the file."""
    numbers: range
    """Which of its frames."""
    size: Size
    """How large they are when they come out."""
    cost: int
    """About how many pixels have to be decoded for them."""


class Part(NamedTuple):
    """The share of one piece in one batch."""

    piece: int
    """Which piece, counted along the epoch."""
    file: Any
    """Whatever stands for the file."""
    numbers: range
    """Which of its frames."""
    row: int
    """The row of the batch that the first of them takes."""
    is_late: int
    """How many frames of its piece come before, in earlier batches."""


class Batch(NamedTuple):
    """Frames of one size that are delivered together."""

    number: int
    """Its place in the epoch."""
    size: Size
    """Height and width of its frames."""
    parts: tuple[Part, ...]
    """What it is made of, row after row."""

    @property
    def num_rows(self) -> int:
        """How many frames it has."""
        return sum(len(part.numbers) for part in self.parts)

    @property
    def num_bytes(self) -> int:
        """What its frames take as uint8."""
        return self.num_rows * self.size[0] * self.size[1] * 3


Task = tuple[Batch, Part]


def cut(num_frames: int, step: int, borders: Sequence[int], least: int) -> list[range]:
    """Every `step`-th frame of a file, cut at borders that are at least so many frames apart.

    >>> cut(10, 1, [0, 4, 5, 8], least=4)
    [range(0, 4), range(4, 8), range(8, 10)]
    >>> cut(10, 3, [0, 4, 8], least=1)
    [range(0, 4, 3), range(6, 8, 3), range(9, 10, 3)]
    """
    places = [0]
    for border in borders:
        if border - places[-1] >= max(least, 1):
            places.append(border)
    runs = (range(-(-a // step) * step, b, step) for a, b in pairwise([*places, num_frames]))
    return [run for run in runs if run]


def share(pieces: Iterable[Piece], rank: int, world_size: int) -> Iterator[Piece]:
    """The pieces of one of many ranks: each goes to the one that had the least to do so far."""
    costs = [0] * world_size
    for piece in pieces:
        lightest = costs.index(min(costs))
        costs[lightest] += piece.cost
        if lightest == rank:
            yield piece


def form_batches(
    pieces: Iterable[Piece], batch_size: int, *, drop_last: bool = False, by_size: bool = False
) -> Iterator[Batch]:
    """Batches of frames of one size, in the order of the pieces.

    Args:
        pieces: The frames.
        batch_size: How many frames a batch has.
        drop_last: Leave out batches with fewer.
        by_size: Frames of another size do not end a batch: those of each size are collected beside each
            other. For pieces in random order.
    """
    number = 0
    for size, parts in _full_and_rest(pieces, batch_size, by_size):
        batch = Batch(number, size, tuple(parts))
        if not drop_last or batch.num_rows == batch_size:
            yield batch
            number += 1


def _full_and_rest(
    pieces: Iterable[Piece], batch_size: int, by_size: bool
) -> Iterator[tuple[Size, list[Part]]]:
    begun: dict[Size, list[Part]] = {}
    for which, piece in enumerate(pieces):
        if not by_size and piece.size not in begun:
            yield from begun.items()
            begun.clear()
        done = 0
        while done < len(piece.numbers):
            parts = begun.setdefault(piece.size, [])
            row = parts[-1].row + len(parts[-1].numbers) if parts else 0
            numbers = piece.numbers[done : done + batch_size - row]
            parts.append(Part(which, piece.file, numbers, row, done))
            done += len(numbers)
            if row + len(numbers) == batch_size:
                yield piece.size, begun.pop(piece.size)
    yield from begun.items()


def by_piece(batches: Iterable[Batch]) -> Iterator[list[Task]]:
    """What is decoded in one go, in the order in which it is needed: the parts of a piece, in their batches.

    Parts of a piece in batches that do not follow each other are apart: the one that waits for the batches in
    between must not keep a worker from them.
    """
    tasks = ((batch, part) for batch in batches for part in batch.parts)
    for _, of_piece in groupby(tasks, key=lambda task: task[1].piece):
        together: list[Task] = []
        for task in of_piece:
            if together and task[0].number != together[-1][0].number + 1:
                yield together
                together = []
            together.append(task)
        yield together


def by_batch(batches: Iterable[Batch], max_bytes: int, max_batches: int = 1_000_000) -> Iterator[list[Batch]]:
    """Batches for workers that cannot share one: cut where little has to be decoded twice.

    A batch that begins late in a piece makes its worker decode what comes before it; that is accepted where
    it is small beside what the worker did since the last cut, and where the frames would become too many.
    """
    together: list[Batch] = []
    rows = num_bytes = 0
    for batch in batches:
        is_cheap = 8 * batch.parts[0].is_late <= rows
        is_full = len(together) >= max_batches or num_bytes + batch.num_bytes > max_bytes
        if together and (is_cheap or is_full):
            yield together
            together, rows, num_bytes = [], 0, 0
        together.append(batch)
        rows, num_bytes = rows + batch.num_rows, num_bytes + batch.num_bytes
    if together:
        yield together


def in_turns(runs: Iterable[list[Batch]], num_workers: int, max_bytes: int = 2**62) -> Iterator[Batch | None]:
    """A sequence whose k-th item is for worker k modulo `num_workers`; None where that one shall do nothing.

    Each worker goes through its run, and then takes the next. One that would get too far ahead pauses.

    >>> runs = [[Batch(number, (1, 1), ()) for number in run] for run in ([0, 1, 2], [3], [4])]
    >>> [batch and batch.number for batch in in_turns(runs, 2)]
    [0, 3, 1, 4, 2, None]

    Args:
        runs: Batches that one worker makes, one after the other.
        num_workers: How many workers there are.
        max_bytes: How much may wait for batches that come before it.
    """
    source = iter(runs)
    own: list[deque[Batch]] = [deque() for _ in range(num_workers)]
    waiting: dict[int, int] = {}
    next_one: int | None = None
    while True:
        turn: list[Batch | None] = []
        for run in own:
            if not run:
                run.extend(next(source, ()))
            if run and next_one is None:
                next_one = run[0].number
            is_next = bool(run) and run[0].number == next_one
            has_room = bool(run) and sum(waiting.values()) + run[0].num_bytes <= max_bytes
            turn.append(run.popleft() if is_next or has_room else None)
            if (batch := turn[-1]) is not None:
                waiting[batch.number] = batch.num_bytes
            while next_one in waiting:
                del waiting[next_one]
                next_one += 1
        if not any(turn) and not any(own):
            return
        yield from turn
