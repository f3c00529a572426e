"""Recently decoded frames: within a limit of bytes for each reader, and for all of a process together."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from weakref import WeakSet

import numpy as np

from ...base import abandon, new_rlock, survive_forks
from .rgb import Frame

_clock = itertools.count()


class _Together:
    """The caches of a process, and how much they hold together."""

    def __init__(self) -> None:
        # Reentrant: a frame freed while it is held may close a reader, which acquires it again.
        self.lock = new_rlock()
        self.caches: WeakSet[FrameCache] = WeakSet()
        self.num_bytes = 0
        survive_forks(self)

    def after_fork(self) -> None:
        """Empty all caches in the child, but never free their frames, which are of the parent's decoders."""
        self.caches = WeakSet(list(self.caches))
        for cache in self.caches:
            abandon(cache.frames)
            cache.frames, cache.num_bytes = OrderedDict(), 0
        self.num_bytes = 0


_together = _Together()


class FrameCache:
    """The frames used most recently. They are kept in the format of the codec, half as large as RGB.

    Args:
        max_bytes: How much the frames may take together; 0 keeps none. All caches together hold no more than
            the largest of them may.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes, self.num_bytes = max_bytes, 0
        self.frames: OrderedDict[int, tuple[Frame, int]] = OrderedDict()
        self._last_used = 0
        with _together.lock:
            _together.caches.add(self)

    def get(self, number: int) -> Frame | None:
        """Return the frame, if it is still here."""
        with _together.lock:
            self._last_used = next(_clock)
            if number not in self.frames:
                return None
            self.frames.move_to_end(number)
            return self.frames[number][0]

    def put(self, number: int, frame: Frame) -> None:
        """Keep a frame; others may have to go, even those of other caches."""
        size = frame_bytes(frame)
        if size > self.max_bytes:
            return
        with _together.lock:
            self._last_used = next(_clock)
            if number in self.frames:
                self._count(-self.frames.pop(number)[1])
            self.frames[number] = frame, size
            self._count(size)
            while self.num_bytes > self.max_bytes:
                self._count(-self.frames.popitem(last=False)[1][1])
            if _together.num_bytes > self.max_bytes:
                self._empty_others()

    def clear(self) -> None:
        """Forget all frames."""
        with _together.lock:
            self._count(-self.num_bytes)
            self.frames.clear()

    def __del__(self) -> None:
        self.clear()

    def _empty_others(self) -> None:
        """Empty the caches not used for longest, until all together hold no more than the largest may."""
        limit = max(each.max_bytes for each in _together.caches)
        others = [each for each in _together.caches if each is not self]
        for each in sorted(others, key=lambda other: other._last_used):
            if _together.num_bytes > limit:
                each.clear()

    def _count(self, num_bytes: int) -> None:
        self.num_bytes += num_bytes
        _together.num_bytes += num_bytes


def frame_bytes(frame: Frame) -> int:
    """Return how much memory the pixels of a decoded frame take."""
    return frame.nbytes if isinstance(frame, np.ndarray) else sum(plane.buffer_size for plane in frame.planes)
