"""One batch: its rows are filled by whoever decodes them, then it becomes what the consumer gets."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base import new_lock
from ..read import BatchMemory, Frames
from .files import Check, Lane
from .plan import Batch, Part
from .progress import Progress, Spent
from .skipped import BROKEN

if TYPE_CHECKING:
    import torch


Delivered = dict[str, Any]
Transform = Callable[[Any], Any]


class Loss(NamedTuple):
    """A frame that could not be read."""

    path: str
    number: int
    error: Exception


class Done(NamedTuple):
    """A finished batch."""

    delivered: Delivered
    """What the consumer gets."""
    losses: list[Loss]
    """What is missing in it."""
    spent: Spent
    """How long it took."""


class Filling:
    """A batch while it is filled.

    Args:
        plan: What belongs into it.
        rows: Memory for it.
    """

    def __init__(self, plan: Batch, rows: Frames):
        self.plan, self.rows = plan, rows
        self.lost: dict[int, Loss] = {}
        self.seconds = 0.0  # of reading, over all workers
        self._lock = new_lock()

    def fill(self, part: Part, reader: PartReader, threads: int = 1) -> float:
        """Reads one part into its rows, notes what cannot be read, and returns how long it took."""
        rows = self.rows[part.row : part.row + len(part.numbers)]
        begin = time.perf_counter()
        lost = reader.read(part, rows, threads)
        seconds = time.perf_counter() - begin
        with self._lock:
            self.seconds += seconds
            for place, error in lost.items():
                self.lost[part.row + place] = Loss(part.file.name, part.numbers[place], error)
        return seconds

    def paths_and_numbers(self) -> list[tuple[str, int]]:
        """Where each row comes from; lost ones are left out."""
        every = ((part.file.name, number) for part in self.plan.parts for number in part.numbers)
        return [origin for row, origin in enumerate(every) if row not in self.lost]

    def take_frames(self) -> Frames:
        """The rows that were read; they are not kept here."""
        rows, self.rows = self.rows, _NOTHING
        return np.delete(rows, list(self.lost), axis=0) if self.lost else rows


_NOTHING = np.empty(0, np.uint8)


class PartReader:
    """Reads parts for one worker, and keeps the decoders of the files it was in last.

    Args:
        num_kept: How many files stay open.
        check: Called for each decoded frame.
        is_tolerant: Frames that cannot be read are noted, and the next one is tried.
    """

    def __init__(self, num_kept: int, check: Check, *, is_tolerant: bool):
        self._num_kept, self._check, self._is_tolerant = num_kept, check, is_tolerant
        self._lanes: OrderedDict[tuple[int, int], Lane] = OrderedDict()

    def read(self, part: Part, rows: Frames, threads: int) -> dict[int, Exception]:
        """Fills the rows; for each that could not be filled, the error."""
        try:
            lane = self._lane(part, threads)
        except BROKEN as error:  # nothing of this file can be read
            if not self._is_tolerant:
                raise
            return dict.fromkeys(range(len(rows)), error)
        lost: dict[int, Exception] = {}
        done = 0
        while done < len(rows):
            try:
                for pixels in lane.frames(part.numbers[done:], self._check):
                    rows[done] = pixels
                    done += 1
            except BROKEN as error:
                if not self._is_tolerant:
                    raise
                lost[done] = error
                done += 1
        return lost

    def close(self) -> None:
        """Closes all files."""
        while self._lanes:
            self._lanes.popitem()[1].close()

    def _lane(self, part: Part, threads: int) -> Lane:
        key = part.file.number, threads
        lane = self._lanes.pop(key, None)
        while len(self._lanes) >= self._num_kept:
            self._lanes.popitem(last=False)[1].close()
        self._lanes[key] = lane or part.file.lane(threads)
        return self._lanes[key]


class Finisher:
    """Makes of a filled batch what the consumer gets: a tensor of the wanted type, transformed.

    Args:
        dtype: The type of the tensor: uint8, or a floating-point type for values from 0 to 1.
        transform: Applied to the whole batch, `(B, C, H, W)`.
        memory: Where memory comes from and goes to.
        is_pinned: The tensor is put into memory that a GPU can read by itself.
    """

    def __init__(
        self, dtype: torch.dtype, transform: Transform | None, memory: BatchMemory, *, is_pinned: bool
    ):
        self._dtype, self._transform, self.memory = dtype, transform, memory
        self._is_pinned = is_pinned

    @property
    def num_bytes_per_value(self) -> int:
        """How much a red, green or blue takes in the tensor."""
        return self._dtype.itemsize

    def finish(self, filling: Filling) -> Done:
        """What the consumer gets; the rows go with it."""
        begin, origins = time.perf_counter(), filling.paths_and_numbers()
        frames = self._typed(filling.take_frames()).movedim(-1, 1)
        delivered = {
            "frames": self._pinned(frames if self._transform is None else self._transform(frames)),
            "video_paths": [path for path, _ in origins],
            "frame_indices": [number for _, number in origins],
        }
        spent = Spent(filling.seconds, time.perf_counter() - begin)
        return Done(delivered, list(filling.lost.values()), spent)

    def _typed(self, frames: Frames) -> torch.Tensor:
        import torch

        self.memory.hand_over(frames)
        if self._dtype == torch.uint8:
            return self.memory.tensor(frames)
        scaled = self.memory.take(frames.shape, np.float32)
        scale(frames, scaled)
        self.memory.hand_over(scaled)
        return self.memory.tensor(scaled).to(self._dtype)

    def _pinned(self, frames: Any) -> Any:
        return frames.pin_memory() if self._is_pinned and hasattr(frames, "pin_memory") else frames


def scale(frames: Frames, result: NDArray[np.float32]) -> None:
    """0 ... 255 -> 0 ... 1, frame by frame, so that each stays in the processor's cache."""
    for frame, target in zip(frames, result, strict=True):
        np.copyto(target, frame)
        np.divide(target, np.float32(255), out=target)


def make_batch(plan: Batch, reader: PartReader, finisher: Finisher, threads: int) -> Done:
    """Reads and finishes one batch."""
    filling = Filling(plan, finisher.memory.take((plan.num_rows, *plan.size, 3), np.uint8))
    for part in plan.parts:
        filling.fill(part, reader, threads)
    return finisher.finish(filling)


def note_batch(progress: Progress, done: Done) -> None:
    """A batch was read and finished."""
    count = len(done.delivered["frame_indices"])
    progress.add(read=count, decode=done.spent.decode, finished=count, transform=done.spent.transform)


def make_batches(
    batches: Iterable[Batch],
    finisher: Finisher,
    threads: int,
    *,
    progress: Progress,
    num_kept: int,
    is_tolerant: bool,
) -> Generator[Done]:
    """One batch after the other, each when it is asked for.

    Args:
        batches: The plan.
        finisher: Makes of a filled batch what the consumer gets.
        threads: How many threads decode.
        progress: Is told what was done.
        num_kept: How many files stay open.
        is_tolerant: Frames that cannot be read are left out.
    """
    reader = PartReader(num_kept, lambda: None, is_tolerant=is_tolerant)
    try:
        for plan in batches:
            done = make_batch(plan, reader, finisher, threads)
            note_batch(progress, done)
            yield done
            del done
    finally:
        reader.close()
