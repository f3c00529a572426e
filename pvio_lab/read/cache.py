"""Recently decoded frames: within a number of bytes for each reader, and for all of a process together."""

from __future__ import annotations

import itertools
import os
import threading
from collections import OrderedDict
from weakref import WeakSet

import numpy as np

from .convert import Frame

# Reentrant: what is thrown away while it is held may close a reader, which asks for it again.
_lock = threading.RLock()
_caches: WeakSet[FrameCache] = WeakSet()
_clock = itertools.count()


class FrameCache:
    """Forgets the frames that were not used for longest. Frames are kept as the codec has them: half of RGB.

    Args:
        max_bytes: How much the frames may hold together; 0 keeps none. All caches together hold no more than
            the largest of them may.
    """

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._used = 0
        self.num_bytes = 0
        with _lock:
            _caches.add(self)

    def get(self, number: int) -> Frame | None:
        """The frame, if it is still here."""
        with _lock:
            self._used = next(_clock)
            frame = self._frames.get(number)
            if frame is not None:
                self._frames.move_to_end(number)
            return frame

    def put(self, number: int, frame: Frame) -> None:
        """Keeps a frame; others may have to go."""
        with _lock:
            self._used = next(_clock)
            if number in self._frames:
                self.num_bytes -= frame_bytes(self._frames[number])
            self.num_bytes += frame_bytes(frame)
            self._frames[number] = frame
            self._frames.move_to_end(number)
            while self.num_bytes > self._max_bytes:
                _, oldest = self._frames.popitem(last=False)
                self.num_bytes -= frame_bytes(oldest)

    def clear(self) -> None:
        """Forgets them all."""
        with _lock:
            self._clear()

    def retire(self) -> None:
        """No longer counts, and is left as it is."""
        with _lock:
            _caches.discard(self)

    def share(self) -> None:
        """If all caches together hold too much, those that were not used for longest forget everything."""
        with _lock:
            others = sorted((each for each in _caches if each is not self), key=lambda each: each._used)
            total = self.num_bytes + sum(each.num_bytes for each in others)
            limit = max(self._max_bytes, *(each._max_bytes for each in others), 0)
            for each in others:
                if total <= limit:
                    break
                total -= each.num_bytes
                each._clear()

    def _clear(self) -> None:
        self._frames.clear()
        self.num_bytes = 0


def frame_bytes(frame: Frame) -> int:
    """How much memory the pixels of a decoded frame take."""
    return frame.nbytes if isinstance(frame, np.ndarray) else sum(plane.buffer_size for plane in frame.planes)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
