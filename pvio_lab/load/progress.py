"""How far the workers of a loop are, and where their time went."""

from __future__ import annotations

from typing import NamedTuple

from ..base import new_rlock


class Spent(NamedTuple):
    """Where the time of the workers went, in seconds."""

    decode: float = 0.0
    """Reading, decoding and converting to RGB."""
    transform: float = 0.0
    """Making tensors of the wanted type, and the transform."""


class Progress:
    """Counts what the workers of one loop have done, also for batches that wait to be delivered."""

    def __init__(self) -> None:
        self._lock = new_rlock()
        self._read = self._finished = 0
        self.spent = Spent()

    def add(self, *, read: int = 0, decode: float = 0.0, finished: int = 0, transform: float = 0.0) -> None:
        """So many frames were read, or finished, in so much time."""
        with self._lock:
            self._read, self._finished = self._read + read, self._finished + finished
            self.spent = Spent(self.spent.decode + decode, self.spent.transform + transform)

    @property
    def num_frames(self) -> float:
        """How many frames are done; one that was read and not yet finished counts in part.

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
