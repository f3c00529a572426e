"""Pieces of files become batches, and batches become the work of threads or processes. It opens nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any, Literal, NamedTuple

Order = Literal["grouped", "shuffled"]
Size = tuple[int, int]
"""Height and width of a frame."""


class Piece(NamedTuple):
    """Frames of one file that one worker decodes in one go."""

    file: Any
    """The file, or anything that stands for it."""
    numbers: range
    """Its frames."""
    size: Size
    """The size of its frames as they are delivered."""
    cost: int
    """About how many pixels have to be decoded for them."""


class Part(NamedTuple):
    """The share of one piece in one batch."""

    piece: int
    """The number of the piece, counted along the epoch."""
    file: Any
    """The file, or anything that stands for it."""
    numbers: range
    """The frames."""
    row: int
    """The row of the batch that the first of them takes."""
    offset: int
    """The number of frames of its piece that come before, in earlier batches."""


@dataclass(frozen=True)
class Batch:
    """Frames of one size that are delivered together."""

    number: int
    """Its place in the epoch."""
    size: Size
    """The size of its frames."""
    parts: tuple[Part, ...]
    """The parts that it is made of, row after row."""

    @cached_property
    def num_rows(self) -> int:
        """The number of its frames."""
        return sum(len(part.numbers) for part in self.parts)

    @property
    def num_bytes(self) -> int:
        """The size of its frames as uint8."""
        return self.num_rows * self.size[0] * self.size[1] * 3


@dataclass(frozen=True)
class BatchSettings:
    """The settings that decide which frames are in which batch."""

    batch_size: int
    step: int = 1
    order: Order = "grouped"
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    drop_last: bool = False


def cut(num_frames: int, step: int, borders: Sequence[int], least: int) -> list[range]:
    """Cut every `step`-th frame of a file at borders that are at least `least` frames apart.

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
    """Yield the pieces of one of many ranks: each goes to the one that had the least to do so far."""
    costs = [0] * world_size
    for piece in pieces:
        lightest = costs.index(min(costs))
        costs[lightest] += piece.cost
        if lightest == rank:
            yield piece


def form_batches(pieces: Iterable[Piece], settings: BatchSettings) -> Iterator[Batch]:
    """Yield the batches of one rank, in the order of the pieces."""
    number = 0
    for size, parts in _full_and_rest(share(pieces, settings.rank, settings.world_size), settings):
        batch = Batch(number, size, tuple(parts))
        if not settings.drop_last or batch.num_rows == settings.batch_size:
            yield batch
            number += 1


def _full_and_rest(pieces: Iterable[Piece], settings: BatchSettings) -> Iterator[tuple[Size, list[Part]]]:
    """Yield batches of one size; in random order, those of several sizes grow side by side."""
    begun: dict[Size, list[Part]] = {}
    for which, piece in enumerate(pieces):
        if settings.order == "grouped" and piece.size not in begun:
            yield from begun.items()
            begun.clear()
        done = 0
        while done < len(piece.numbers):
            parts = begun.setdefault(piece.size, [])
            row = parts[-1].row + len(parts[-1].numbers) if parts else 0
            numbers = piece.numbers[done : done + settings.batch_size - row]
            parts.append(Part(which, piece.file, numbers, row, done))
            done += len(numbers)
            if row + len(numbers) == settings.batch_size:
                yield piece.size, begun.pop(piece.size)
    yield from begun.items()


def by_piece(batches: Iterable[Batch]) -> Iterator[list[tuple[Batch, Part]]]:
    """Yield the parts of one piece after the other, with their batches: a thread decodes them in one go.

    If batches of other pieces come in between, the parts before and after them are yielded separately.
    """
    tasks = ((batch, part) for batch in batches for part in batch.parts)
    return (list(together) for _, together in groupby(tasks, key=lambda task: task[1].piece))


def by_batch(batches: Iterable[Batch], max_bytes: int, max_batches: int) -> Iterator[list[Batch]]:
    """Yield runs of batches for processes, which cannot share one: cut where little has to be decoded twice.

    A batch that begins late in a piece makes its worker decode the frames before it; that is accepted where
    they are few beside those of the last run, and where a longer run would be too large.
    """
    together: list[Batch] = []
    rows = num_bytes = 0
    for batch in batches:
        is_cheap = 8 * batch.parts[0].offset <= rows
        is_full = len(together) >= max_batches or num_bytes + batch.num_bytes > max_bytes
        if together and (is_cheap or is_full):
            yield together
            together, rows, num_bytes = [], 0, 0
        together.append(batch)
        rows, num_bytes = rows + batch.num_rows, num_bytes + batch.num_bytes
    if together:
        yield together


def in_turns(runs: Iterable[list[Batch]], num_workers: int, max_bytes: int = 2**62) -> Iterator[Batch | None]:
    """Yield items of which the k-th is for worker k modulo `num_workers`; None lets that worker pause.

    Each worker goes through its run, and then takes the next. One that would get too far ahead pauses.

    >>> runs = [[Batch(number, (1, 1), ()) for number in run] for run in ([0, 1, 2], [3], [4])]
    >>> [batch and batch.number for batch in in_turns(runs, 2)]
    [0, 3, 1, 4, 2, None]

    Args:
        runs: Batches that one worker makes, one after the other.
        num_workers: The number of workers.
        max_bytes: The size of the frames that may wait for batches that come before them.
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
