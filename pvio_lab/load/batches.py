"""One batch: its parts are read into its rows, then it is made into what the consumer gets."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from ..base import new_rlock
from ..read import BatchMemory, Frames
from .batch_plan import Batch, Part, Size
from .dataset import BROKEN, Transform
from .epoch import FileDecoder, MediaFile

Delivered = dict[str, Any]


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


Result = Done | Exception
"""A finished batch, or the reason why there is none."""


class PendingBatch:
    """A batch while its parts are read into its rows, by one thread or several; `end` is for their queue."""

    def __init__(self, plan: Batch, end: int = 0):
        self.plan, self.end, self.num_left = plan, end, len(plan.parts)
        self.rows: Frames | None = None
        self.result: Result | None = None
        self._lost: dict[int, Loss] = {}

    def begin(self, memory: BatchMemory) -> None:
        """Take memory for the rows."""
        self.rows = memory.take((self.plan.num_rows, *self.plan.size, 3), np.uint8)

    def fill(self, part: Part, reader: PartReader, progress: Progress, threads: int = 1) -> None:
        """Read one part into its rows, and note what cannot be read."""
        assert self.rows is not None
        begin = time.perf_counter()
        errors = reader.read(part, self.rows[part.row : part.row + len(part.numbers)], threads)
        for place, error in errors.items():
            self._lost[part.row + place] = Loss(part.file.name, error, part.numbers[place])
        progress.add(read=len(part.numbers), decode=time.perf_counter() - begin)

    def finish(self, options: BatchOptions, memory: BatchMemory, progress: Progress) -> Done:
        """Make a transformed tensor of the wanted type; the memory goes with it."""
        begin = time.perf_counter()
        every = ((part.file.name, number) for part in self.plan.parts for number in part.numbers)
        origins = [origin for row, origin in enumerate(every) if row not in self._lost]
        assert self.rows is not None
        rows, self.rows = self.rows, None
        rows = np.delete(rows, list(self._lost), axis=0) if self._lost else rows
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
        progress.add(finished=self.plan.num_rows, transform=time.perf_counter() - begin)
        return Done(delivered, [self._lost[row] for row in sorted(self._lost)])


def _tensor(frames: Frames, dtype: torch.dtype, memory: BatchMemory) -> torch.Tensor:
    memory.hand_over(frames)
    if dtype == torch.uint8:
        return memory.tensor(frames)
    scaled = memory.take(frames.shape, np.float32)
    # 0 ... 255 -> 0 ... 1, frame by frame, so that each stays in the processor's cache
    for frame, target in zip(frames, scaled, strict=True):
        np.copyto(target, frame)
        np.divide(target, np.float32(255), out=target)
    memory.hand_over(scaled)
    return memory.tensor(scaled).to(dtype)


class PartReader:
    """A worker's reader of parts, which keeps the decoders of the files that it read last.

    `check` is called for each decoded frame, and may raise an exception to stop decoding.
    """

    def __init__(self, options: BatchOptions, check: Callable[[], None] = lambda: None):
        self._options, self._check = options, check
        # The file knows what its decoder may have to open again, so both are kept.
        self._decoders: OrderedDict[tuple[str, int], tuple[MediaFile, FileDecoder]] = OrderedDict()

    def read(self, part: Part, rows: Frames, threads: int) -> dict[int, Exception]:
        """Fill the rows, and return an error for each that could not be filled."""
        lost: dict[int, Exception] = {}
        done = 0
        while done < len(rows):
            numbers = part.numbers[done:]
            # Those after the part will be asked for next, so they must not be left out of the decoding.
            needed = range(numbers[0], sys.maxsize, numbers.step)
            try:
                decoder = self._decoder(part, rows.shape[1:3], threads)
            except BROKEN as error:  # nothing of this file can be read
                if not self._options.is_tolerant:
                    raise
                return dict.fromkeys(range(len(rows)), error)
            try:
                for pixels in decoder.frames(numbers, needed, self._check):
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
            self._decoders.popitem()[1][1].close()

    def _decoder(self, part: Part, size: Size, threads: int) -> FileDecoder:
        key = part.file.path, threads
        kept = self._decoders.pop(key, None)
        while len(self._decoders) >= self._options.num_kept:
            self._decoders.popitem(last=False)[1][1].close()
        self._decoders[key] = kept or (part.file, part.file.decoder(size, threads))
        return self._decoders[key][1]


def make_batch(
    plan: Batch,
    reader: PartReader,
    options: BatchOptions,
    memory: BatchMemory,
    progress: Progress,
    threads: int = 1,
) -> Done:
    """Read and finish one batch."""
    batch = PendingBatch(plan)
    batch.begin(memory)
    for part in plan.parts:
        batch.fill(part, reader, progress, threads)
    return batch.finish(options, memory, progress)


def make_batches(
    batches: Iterable[Batch], options: BatchOptions, progress: Progress, threads: int
) -> Generator[Done]:
    """Make one batch after the other in the calling thread, each when it is asked for."""
    reader, memory = PartReader(options), BatchMemory()
    try:
        for plan in batches:
            yield make_batch(plan, reader, options, memory, progress, threads)
    finally:
        reader.close()
