"""Recently decoded frames: within a limit of bytes for each reader, and for all of a process together."""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from collections.abc import Container
from weakref import WeakSet

import numpy as np

from ...base import abandon, new_rlock, survive_forks
from .rgb import Frame

# Up to this many frames are a step or a jump, not a batch: all that is decoded for them is remembered.
FEW = 8
# After a jump into a part of the video, this many frames before it are remembered; after the second, all.
_BEFORE_JUMP = 16

_clock = itertools.count()


class _Together:
    """The caches of a process: how much they hold together, and how much they may."""

    def __init__(self) -> None:
        # Reentrant: a frame freed while it is held may close a reader, which acquires it again.
        self.lock = new_rlock()
        self.caches: WeakSet[FrameCache] = WeakSet()
        self.num_bytes = 0
        self.limits: Counter[int] = Counter()
        survive_forks(self)

    def add(self, cache: FrameCache) -> None:
        with self.lock:
            self.caches.add(cache)
            self.limits[cache.max_bytes] += 1

    def remove(self, cache: FrameCache) -> None:
        with self.lock:
            self.num_bytes -= cache.num_bytes
            self.limits[cache.max_bytes] -= 1
            if not self.limits[cache.max_bytes]:
                del self.limits[cache.max_bytes]

    def after_fork(self) -> None:
        """Empty all caches in the child: the frames belong to decoders of the parent."""
        caches = list(self.caches)
        for cache in caches:
            cache.renew()
        self.caches, self.limits = WeakSet(caches), Counter(cache.max_bytes for cache in caches)
        self.num_bytes = 0


_together = _Together()


class FrameCache:
    """The frames used most recently. They are kept in the format of the codec, half as large as RGB.

    Args:
        max_bytes: How much the frames may take together; 0 keeps none. All caches together hold no more than
            the largest of them may.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self._frames: OrderedDict[int, tuple[Frame, int]] = OrderedDict()
        self._visited: set[int] = set()
        self._used = 0
        self.num_bytes = 0
        self._together = _together
        self._together.add(self)

    def get(self, number: int) -> Frame | None:
        """Return the frame, if it is still here."""
        with self._together.lock:
            self._used = next(_clock)
            found = self._frames.get(number)
            if found is None:
                return None
            self._frames.move_to_end(number)
            return found[0]

    def put(self, number: int, frame: Frame) -> None:
        """Keep a frame; others may have to go."""
        size = frame_bytes(frame)
        with self._together.lock:
            self._used = next(_clock)
            if number in self._frames:
                self._count(-self._frames.pop(number)[1])
            self._frames[number] = frame, size
            self._count(size)
            while self.num_bytes > self.max_bytes:
                self._count(-self._frames.popitem(last=False)[1][1])

    def wanted(self, entry: int, number: int, num_frames: int) -> Container[int] | None:
        """Return what to decode for a jump: first what the next steps need, then all (None), for scrubbing.

        Args:
            entry: Where decoding begins.
            number: The frame that was asked for.
            num_frames: How many frames there are.
        """
        if not self.max_bytes:
            return range(number, num_frames)
        if entry in self._visited:
            return None
        self._visited.add(entry)
        return range(number - _BEFORE_JUMP, num_frames)

    def clear(self) -> None:
        """Forget all frames."""
        with self._together.lock:
            self._count(-self.num_bytes)
            self._frames.clear()

    def renew(self) -> None:
        """Begin anew, and never free the frames it held."""
        abandon(self._frames)
        self._frames, self.num_bytes = OrderedDict(), 0

    def share(self) -> None:
        """Empty the caches not used for longest, if all together hold too much."""
        with self._together.lock:
            limit = max(self._together.limits)
            if self._together.num_bytes > limit:
                others = (each for each in self._together.caches if each is not self)
                for each in sorted(others, key=lambda other: other._used):
                    if self._together.num_bytes > limit:
                        each.clear()

    def __del__(self) -> None:
        self._together.remove(self)

    def _count(self, num_bytes: int) -> None:
        self.num_bytes += num_bytes
        self._together.num_bytes += num_bytes


def frame_bytes(frame: Frame) -> int:
    """Return how much memory the pixels of a decoded frame take."""
    return frame.nbytes if isinstance(frame, np.ndarray) else sum(plane.buffer_size for plane in frame.planes)
