"""Memory for one batch of frames after the other."""

from __future__ import annotations

import sys
import time

import numpy as np

from .frames import Frames


class Recycler:
    """Gives memory for batches; what a quick consumer is done with is used again.

    New memory has to be zeroed by the system, which can take as long as decoding. A consumer still holds one
    batch when it asks for the next, so the one before that is kept for it. A consumer that takes longer over
    a batch than it took to fill gets new memory each time, and nothing is kept while it is at work.
    """

    def __init__(self) -> None:
        self._given: Frames | None = None
        self._spare: Frames | None = None
        self._begin = self._end = 0.0
        self._is_quick = False

    def take(self, shape: tuple[int, ...]) -> Frames:
        """Memory to fill, that nobody else refers to."""
        now = time.perf_counter()
        self._is_quick = now - self._end < self._end - self._begin
        self._begin = now
        if self._spare is None or self._spare.shape != shape or self._references() > _ONE_REFERENCE:
            return np.empty(shape, np.uint8)
        frames, self._spare = self._spare, None
        return frames

    def hand_over(self, frames: Frames) -> Frames:
        """Notes that this memory is full and goes to the consumer."""
        self._spare, self._given = (self._given if self._is_quick else None), frames
        self._end = time.perf_counter()
        return frames

    def _references(self) -> int:
        return sys.getrefcount(self._spare)


def _one_reference() -> int:
    """What Python counts, with its own references, where nobody else has one."""
    recycler = Recycler()
    recycler._spare = np.empty(0, np.uint8)
    return recycler._references()


_ONE_REFERENCE = _one_reference()
