"""One pass over a collection: from its files, opened a little ahead, to its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..base import new_rlock
from .files import MediaFile
from .plan import Batch, Piece, cut, form_batches, share
from .skipped import BROKEN, Trouble

Order = Literal["grouped", "shuffled"]

# A piece shall be worth the hand-over: at least about so many pixels are decoded for it.
_LEAST_COST = 8_000_000
# Pieces are shuffled among those of so many files, or of as many as have so many frames together.
_WINDOW_FILES, _WINDOW_FRAMES = 64, 500_000


@dataclass(frozen=True)
class Recipe:
    """What decides which frames are in which batch."""

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


class Epoch:
    """The plan of one epoch. It is made while it is followed: the next few files are opened ahead of it.

    Args:
        num_files: How many files there are.
        make_file: Makes a file of its number, not opened yet.
        recipe: What decides about the batches.
        number: Which epoch: each is shuffled differently.
        cuts: Files are cut into pieces at their keyframes, for more than one worker.
        ahead: How many files may be open before they are needed.
        trouble: Where files that cannot be opened are noted; None if they are an error.
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
        trouble: Trouble | None,
    ):
        self._make_file, self._trouble = make_file, trouble
        self._recipe, self._cuts = recipe, cuts or recipe.is_shuffled or recipe.world_size > 1
        self._random = np.random.default_rng([recipe.seed, number])
        order = self._random.permutation(num_files) if recipe.is_shuffled else np.arange(num_files)
        self._files = Ahead(order.tolist(), self._open, ahead)
        self.error: Exception | None = None
        """Why the plan ends before its time."""

    def batches(self) -> Iterator[Batch]:
        """The batches of this rank; the end may be an error."""
        recipe = self._recipe
        pieces = share(self._pieces(), recipe.rank, recipe.world_size)
        return form_batches(pieces, recipe.batch_size, drop_last=recipe.drop_last, by_size=recipe.is_shuffled)

    def help(self) -> None:
        """Opens one of the next files, if there is time for it; for idle workers."""
        self._files.help()

    def close(self) -> None:
        """Closes the files that were opened ahead."""
        self._files.close()

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
        """The files whose pieces may change places."""
        most = _WINDOW_FILES if self._recipe.is_shuffled else 1
        window: list[MediaFile] = []
        for file in self._files:
            if file is not None:
                window.append(file)
                if len(window) >= most or sum(each.num_frames for each in window) >= _WINDOW_FRAMES:
                    yield window
                    window = []
        if window:
            yield window

    def _open(self, which: int) -> MediaFile | None:
        """A file that knows what the plan will ask; None for one that is left out."""
        file = self._make_file(which)
        try:
            if self._is_worth_cutting(file):
                file.open()
            if self._recipe.is_shuffled:
                file.close()  # it may be long until its turn
        except BROKEN as error:
            if self._trouble is None:
                raise
            self._trouble.of_file(file.name, error)
            return None
        return file

    def _is_worth_cutting(self, file: MediaFile) -> bool:
        is_long = file.num_frames * file.pixels > 2 * _LEAST_COST
        return self._cuts and (is_long or self._recipe.is_shuffled)

    def _cut(self, file: MediaFile) -> list[Piece]:
        borders = file.borders if self._is_worth_cutting(file) else []
        least = 1 if self._recipe.is_shuffled else _LEAST_COST // file.pixels
        runs = cut(file.num_frames, self._recipe.step, borders, least)
        return [Piece(file, run, file.size, (run[-1] + 1 - run[0]) * file.pixels) for run in runs]


class Ahead:
    """Files in order, opened by those who have time before they are asked for.

    Args:
        order: The numbers of the files.
        open_file: Opens one of them.
        distance: How many may be open ahead.
    """

    def __init__(self, order: list[int], open_file: Callable[[int], MediaFile | None], distance: int):
        self._order, self._open_file, self._distance = order, open_file, distance
        self._lock = new_rlock()  # closing may come from the garbage collector, in the middle of anything
        self._claimed = self._taken = 0
        self._is_closed = False
        self._results: dict[int, Future[MediaFile | None]] = {}

    def __iter__(self) -> Iterator[MediaFile | None]:
        for place in range(len(self._order)):
            with self._lock:
                if self._is_closed:
                    return
                self._taken = place + 1
                is_mine = self._claimed == place
                if is_mine:
                    self._claimed += 1
                result = None if is_mine else self._results.pop(place)
            yield self._open_file(self._order[place]) if result is None else result.result()

    def help(self) -> None:
        """Opens the next file that nobody opens yet, if it will be needed soon."""
        with self._lock:
            place = self._claimed
            if place >= min(self._taken + self._distance, len(self._order)):
                return
            self._claimed += 1
            result = self._results[place] = Future()
        try:
            result.set_result(self._open_file(self._order[place]))
        except BaseException as error:
            result.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def close(self) -> None:
        """Closes what nobody took, and ends the iteration."""
        with self._lock:
            self._is_closed = True
            waiting, self._results, self._claimed = list(self._results.values()), {}, len(self._order)
        for result in waiting:
            if result.done() and result.exception() is None and (file := result.result()) is not None:
                file.close()
