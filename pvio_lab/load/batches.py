"""One batch: its parts are read into its rows, then it is made into what the consumer gets."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..base import new_rlock
from ..read import BatchMemory, Frames
from .files import Check, FileDecoder
from .plan import Batch, Part
from .sources import BROKEN

Delivered = dict[str, Any]
Transform = Callable[[Any], Any]


class Spent(NamedTuple):
    """Seconds that the workers have spent."""

    decode: float = 0.0
    """Reading, decoding and converting to RGB."""
    transform: float = 0.0
    """Making tensors of the wanted type, and the transform."""


class Progress:
    """Counts of the frames that the workers of one loop have made, including those that wait for delivery."""

    def __init__(self) -> None:
        self._lock = new_rlock()
        self._read = self._finished = 0
        self.spent = Spent()

    def add(self, *, read: int = 0, decode: float = 0.0, finished: int = 0, transform: float = 0.0) -> None:
        """Count frames that were read or finished, and the seconds that it took."""
        with self._lock:
            self._read, self._finished = self._read + read, self._finished + finished
            self.spent = Spent(self.spent.decode + decode, self.spent.transform + transform)

    @property
    def num_frames(self) -> float:
        """The number of frames made; one that was read and not yet finished counts in part.

        >>> progress = Progress()
        >>> progress.add(read=10, decode=3.0)
        >>> progress.add(finished=5, transform=0.5)
        >>> progress.num_frames
        8.75
        """
        with self._lock:
            if not self._finished:
                return float(self._read)
            decode, transform = self.spent.decode / max(self._read, 1), self.spent.transform / self._finished
            share = decode / (decode + transform) if decode + transform else 1.0
            return self._finished + (self._read - self._finished) * share


@dataclass(frozen=True)
class BatchOptions:
    """The ways in which batches are made, wherever that is."""

    dtype: torch.dtype
    """The type of the tensor: uint8, or a floating-point type for values from 0 to 1."""
    transform: Transform | None
    """Applied to the whole batch, `(B, C, H, W)`."""
    num_kept: int
    """The number of files that a worker keeps open."""
    is_tolerant: bool
    """Frames that cannot be read are left out."""
    is_pinned: bool = False
    """The tensor is put into memory that a GPU can read by itself."""


class Loss(NamedTuple):
    """A frame that could not be read."""

    path: str
    error: Exception
    number: int


class Done(NamedTuple):
    """A finished batch."""

    delivered: Delivered
    """The dictionary that the consumer gets."""
    losses: list[Loss]
    """The frames that are missing in it."""
    spent: Spent
    """The time that it took."""


class PendingBatch:
    """A batch while its parts are read."""

    def __init__(self, plan: Batch, memory: BatchMemory):
        self._plan = plan
        self._rows = memory.take((plan.num_rows, *plan.size, 3), np.uint8)
        self._read: list[tuple[Part, dict[int, Exception], float]] = []  # appended to without a lock

    def fill(self, part: Part, reader: PartReader, threads: int = 1) -> float:
        """Read one part into its rows, note what cannot be read, and return the seconds that it took."""
        begin = time.perf_counter()
        lost = reader.read(part, self._rows[part.row : part.row + len(part.numbers)], threads)
        seconds = time.perf_counter() - begin
        self._read.append((part, lost, seconds))
        return seconds

    @property
    def is_filled(self) -> bool:
        """All parts were read."""
        return len(self._read) == len(self._plan.parts)

    def finish(self, options: BatchOptions, memory: BatchMemory) -> Done:
        """Make a transformed tensor of the wanted type; the memory goes with it."""
        begin = time.perf_counter()
        lost = {
            part.row + place: Loss(part.file.name, error, part.numbers[place])
            for part, errors, _ in self._read
            for place, error in errors.items()
        }
        every = ((part.file.name, number) for part in self._plan.parts for number in part.numbers)
        origins = [origin for row, origin in enumerate(every) if row not in lost]
        rows, self._rows = self._rows, np.empty(0, np.uint8)
        rows = np.delete(rows, list(lost), axis=0) if lost else rows
        frames: Any = _tensor(rows, options.dtype, memory).movedim(-1, 1)
        del rows
        if options.transform is not None:
            frames = options.transform(frames)
        if options.is_pinned and hasattr(frames, "pin_memory"):
            frames = frames.pin_memory()
        delivered = {
            "frames": frames,
            "video_paths": [path for path, _ in origins],
            "frame_indices": [number for _, number in origins],
        }
        spent = Spent(sum(seconds for *_, seconds in self._read), time.perf_counter() - begin)
        return Done(delivered, list(lost.values()), spent)


def _tensor(frames: Frames, dtype: torch.dtype, memory: BatchMemory) -> torch.Tensor:
    memory.hand_over(frames)
    if dtype == torch.uint8:
        return memory.tensor(frames)
    scaled = memory.take(frames.shape, np.float32)
    _scale(frames, scaled)
    memory.hand_over(scaled)
    return memory.tensor(scaled).to(dtype)


def _scale(frames: Frames, result: NDArray[np.float32]) -> None:
    """0 ... 255 -> 0 ... 1, frame by frame, so that each stays in the processor's cache."""
    for frame, target in zip(frames, result, strict=True):
        np.copyto(target, frame)
        np.divide(target, np.float32(255), out=target)


def _never() -> None:
    """Let decoding go on."""


class PartReader:
    """A worker's reader of parts, which keeps the decoders of the files that it read last.

    Args:
        options: How many files stay open, and whether a frame that cannot be read is an error.
        check: Called for each decoded frame.
    """

    def __init__(self, options: BatchOptions, check: Check = _never):
        self._options, self._check = options, check
        self._decoders: OrderedDict[tuple[int, int], FileDecoder] = OrderedDict()

    def read(self, part: Part, rows: Frames, threads: int) -> dict[int, Exception]:
        """Fill the rows, and return an error for each that could not be filled."""
        lost: dict[int, Exception] = {}
        done = 0
        while done < len(rows):
            try:
                decoder = self._decoder(part, threads)
            except BROKEN as error:  # nothing of this file can be read
                if not self._options.is_tolerant:
                    raise
                return dict.fromkeys(range(len(rows)), error)
            try:
                for pixels in decoder.frames(part.numbers[done:], self._check):
                    rows[done] = pixels
                    done += 1
            except BROKEN as error:
                if not self._options.is_tolerant:
                    raise
                lost[done] = error
                done += 1
        return lost

    def close(self) -> None:
        """Close all files."""
        while self._decoders:
            self._decoders.popitem()[1].close()

    def _decoder(self, part: Part, threads: int) -> FileDecoder:
        key = part.file.number, threads
        decoder = self._decoders.pop(key, None)
        while len(self._decoders) >= self._options.num_kept:
            self._decoders.popitem(last=False)[1].close()
        self._decoders[key] = decoder or part.file.decoder(threads)
        return self._decoders[key]


def make_batch(
    plan: Batch, reader: PartReader, options: BatchOptions, memory: BatchMemory, threads: int = 1
) -> Done:
    """Read and finish one batch."""
    batch = PendingBatch(plan, memory)
    for part in plan.parts:
        batch.fill(part, reader, threads)
    return batch.finish(options, memory)


def note_batch(progress: Progress, done: Done) -> None:
    """Count a batch that was read and finished elsewhere."""
    count = len(done.delivered["frame_indices"])
    progress.add(read=count, decode=done.spent.decode, finished=count, transform=done.spent.transform)


def make_batches(
    batches: Iterable[Batch], options: BatchOptions, progress: Progress, threads: int
) -> Generator[Done]:
    """Make one batch after the other in the calling thread, each when it is asked for."""
    reader, memory = PartReader(options), BatchMemory()
    try:
        for plan in batches:
            done = make_batch(plan, reader, options, memory, threads)
            note_batch(progress, done)
            yield done
            del done
    finally:
        reader.close()
