"""The plan of an epoch: from the frames of many files to batches, and to the pieces that workers decode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from ..base import new_rlock
from .files import MediaFile, Size
from .sources import BROKEN, SkippedVideos

Order = Literal["grouped", "shuffled"]

# A piece shall be worth handing over: at least about this many pixels are decoded for it.
_LEAST_COST = 8_000_000
# Pieces are shuffled among those of so many files, or of as many as have so many frames together.
_WINDOW_FILES, _WINDOW_FRAMES = 64, 500_000


class Piece(NamedTuple):
    """Frames of one file that one worker decodes in one go."""

    file: Any
    """The file, or anything that stands for it."""
    numbers: range
    """Its frames."""
    size: Size
    """Height and width of its frames as they are delivered."""
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
    """Height and width of its frames."""
    parts: tuple[Part, ...]
    """The parts that it is made of, row after row."""

    @cached_property
    def num_rows(self) -> int:
        """The number of its frames."""
        return sum(len(part.numbers) for part in self.parts)

    @cached_property
    def num_bytes(self) -> int:
        """The size of its frames as uint8."""
        return self.num_rows * self.size[0] * self.size[1] * 3


Task = tuple[Batch, Part]


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


def form_batches(
    pieces: Iterable[Piece], batch_size: int, *, drop_last: bool = False, by_size: bool = False
) -> Iterator[Batch]:
    """Yield batches of frames of one size, in the order of the pieces.

    Args:
        pieces: The frames.
        batch_size: The number of frames of a batch.
        drop_last: Leave out batches with fewer.
        by_size: Let batches of several sizes grow side by side, so that frames of another size do not end
            one; for pieces in random order.
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
    """Yield the parts of one piece after the other, with their batches: a worker decodes them in one go.

    Parts of a piece in batches that do not follow each other are apart, so that no worker has to wait with
    one of them while it is needed for the batches in between.
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


@dataclass(frozen=True)
class Recipe:
    """The settings that decide which frames are in which batch."""

    batch_size: int
    step: int = 1
    order: Order = "grouped"
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    drop_last: bool = False

    @property
    def is_shuffled(self) -> bool:
        """The pieces come in random order."""
        return self.order == "shuffled"

    def batches(self, pieces: Iterable[Piece]) -> Iterator[Batch]:
        """Yield the batches that these pieces make."""
        return form_batches(pieces, self.batch_size, drop_last=self.drop_last, by_size=self.is_shuffled)


class Epoch:
    """The plan of one epoch. It is made while it is followed: the next few files may be opened ahead of it.

    Args:
        num_files: The number of files.
        make_file: Makes a file of its number, not opened yet.
        recipe: The settings that decide about the batches.
        number: The number of the epoch: each is shuffled differently.
        cuts: Cut files into pieces at their keyframes, for more than one worker.
        ahead: The number of files that may be open before they are needed.
        skipped: Notes the files that cannot be opened; None if they are an error.
    """

    def __init__(
        self,
        num_files: int,
        make_file: Callable[[int], MediaFile],
        recipe: Recipe,
        number: int,
        *,
        cuts: bool,
        ahead: int,
        skipped: SkippedVideos | None,
    ):
        self._make_file, self._ahead, self._skipped = make_file, ahead, skipped
        self._recipe, self._cuts = recipe, cuts or recipe.is_shuffled or recipe.world_size > 1
        self._random = np.random.default_rng([recipe.seed, number])
        order = self._random.permutation(num_files) if recipe.is_shuffled else np.arange(num_files)
        self._order: list[int] = order.tolist()
        self._lock = new_rlock()  # closing may come from the garbage collector, in the middle of anything
        self._begun = self._taken = 0
        self._opened: dict[int, Future[MediaFile | None]] = {}
        self.error: Exception | None = None
        """The reason why the plan ends early."""

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of this rank; afterwards, look for an error."""
        return self._recipe.batches(share(self._pieces(), self._recipe.rank, self._recipe.world_size))

    def opening(self) -> Callable[[], None] | None:
        """Return a job for an idle worker that opens one of the next files; None if it is not time yet."""
        with self._lock:
            place = self._begun
            if place >= min(self._taken + self._ahead, len(self._order)):
                return None
            self._begun += 1
            number, result = self._order[place], Future[MediaFile | None]()
            self._opened[place] = result
        return lambda: self._open(number, result)

    def close(self) -> None:
        """End the plan, and close the files that it did not come to."""
        with self._lock:
            opened, self._opened, self._begun = list(self._opened.values()), {}, len(self._order)
            self._order = []
        for result in opened:
            if result.done() and result.exception() is None and (file := result.result()) is not None:
                file.close()

    def _pieces(self) -> Iterator[Piece]:
        try:
            for window in self._windows():
                pieces = [piece for file in window for piece in self._cut(file)]
                if self._recipe.is_shuffled:
                    pieces = [pieces[which] for which in self._random.permutation(len(pieces))]
                yield from pieces
        except BROKEN as error:
            self.error = error

    def _windows(self) -> Iterator[list[MediaFile]]:
        """Yield the files whose pieces may change places."""
        most = _WINDOW_FILES if self._recipe.is_shuffled else 1
        window: list[MediaFile] = []
        for file in self._files():
            window.append(file)
            if len(window) >= most or sum(each.facts().num_frames for each in window) >= _WINDOW_FRAMES:
                yield window
                window = []
        if window:
            yield window

    def _files(self) -> Iterator[MediaFile]:
        while True:
            with self._lock:
                place, self._taken = self._taken, self._taken + 1
                own = self.opening() if self._begun == place else None
                result = self._opened.pop(place, None)
            if result is None:  # there are no more, or the plan was closed
                return
            if own is not None:
                own()
            if (file := result.result()) is not None:
                yield file

    def _open(self, number: int, result: Future[MediaFile | None]) -> None:
        """Learn of a file what the plan will ask; None stands for one that is left out."""
        try:
            result.set_result(self._checked(self._make_file(number)))
        except BaseException as error:
            result.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def _checked(self, file: MediaFile) -> MediaFile | None:
        try:
            if self._is_worth_cutting(file):
                file.open()
            if self._recipe.is_shuffled:
                file.close()  # it may be long until its turn
        except BROKEN as error:
            if self._skipped is None:
                raise
            self._skipped.add(file.name, error)
            return None
        return file

    def _is_worth_cutting(self, file: MediaFile) -> bool:
        facts = file.facts()
        is_long = facts.num_frames * facts.pixels > 2 * _LEAST_COST
        return self._cuts and (is_long or self._recipe.is_shuffled)

    def _cut(self, file: MediaFile) -> list[Piece]:
        num_frames, size, pixels = file.facts()
        borders = file.borders() if self._is_worth_cutting(file) else []
        least = 1 if self._recipe.is_shuffled else _LEAST_COST // pixels
        runs = cut(num_frames, self._recipe.step, borders, least)
        return [Piece(file, run, size, (run[-1] + 1 - run[0]) * pixels) for run in runs]
