"""Batches made by whoever asks for them: the calling thread, or a worker process."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import numpy as np

from .batches import Done, Filling, Finisher, PartReader
from .chunks import Batch
from .progress import Progress


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
