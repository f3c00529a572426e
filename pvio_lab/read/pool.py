"""Readers used lately: only some are kept, and only a few of them keep decoders and files open."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from ..base import new_lock, survive_forks, waiting
from .frames import FrameReader

# More readers than this keep no decoders in a process: each takes memory, threads and open files.
_MAX_AWAKE = 32
# Measured of a reader at rest.
_BYTES_PER_READER, _BYTES_PER_FRAME = 60_000, 150
# Freed memory stays with the allocator, and this process, until a trim returns it to the system.
_TRIM_BYTES = 8 * 2**20

Key = TypeVar("Key", bound=Hashable)
Reader = TypeVar("Reader", bound=FrameReader)


class _Sleeper(Protocol):
    def rest(self) -> None:
        """Close decoders until they are needed, unless they are in use."""


class Awake:
    """The sleepers that keep their decoders open: those used lately, up to a limit.

    Args:
        limit: How many keep them.
        idle_seconds: Send those to rest that were not used for so long; None for never.
    """

    def __init__(self, limit: int, idle_seconds: float | None = None):
        self._limit, self._idle_seconds, self._lock = limit, idle_seconds, new_lock()
        self._used: WeakKeyDictionary[_Sleeper, float] = WeakKeyDictionary()  # when, in this order
        self._is_watched = False

    def touch(self, sleeper: _Sleeper) -> None:
        """Note that it is in use now, and send those to rest that were not used for longest."""
        with self._lock:
            self._used.pop(sleeper, None)
            self._used[sleeper] = time.monotonic()
            tired = list(self._used)[: -self._limit] if len(self._used) > self._limit else []
            for other in tired:
                del self._used[other]
            is_new = self._idle_seconds is not None and not self._is_watched
            self._is_watched |= is_new
        if is_new:
            self._watch()
        for other in tired:
            other.rest()

    def _watch(self) -> None:
        assert self._idle_seconds is not None
        timer = threading.Timer(self._idle_seconds, self._rest_idle)
        timer.daemon = True
        waiting.start([timer])

    def _rest_idle(self) -> None:
        assert self._idle_seconds is not None
        with self._lock:
            latest = time.monotonic() - self._idle_seconds
            tired = [sleeper for sleeper, used in self._used.items() if used <= latest]
            for sleeper in tired:
                del self._used[sleeper]
            self._is_watched = bool(self._used)
        for sleeper in tired:
            sleeper.rest()
        if self._is_watched:
            self._watch()


touch = Awake(_MAX_AWAKE).touch


class ReaderPool(Generic[Key, Reader]):
    """Readers that are opened when they are asked for; those used lately are kept, in each process its own.

    Readers that have to go are dropped, not closed: another thread may be reading. The last one is kept even
    if it alone costs more than the limit. Of those kept, `max_awake` have open decoders and files, and with
    `idle_seconds` only while they are in use.
    """

    def __init__(
        self,
        open_reader: Callable[[Key], Reader],
        limit: int,
        cost: Callable[[Reader], int] = lambda _: 1,
        max_awake: int = _MAX_AWAKE,
        idle_seconds: float | None = None,
    ):
        self._open_reader, self._limit, self._cost = open_reader, limit, cost
        self._max_awake, self._idle_seconds = max_awake, idle_seconds
        self._lock = new_lock()
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin with none: readers of the parent may use more threads than a child should."""
        self._readers: OrderedDict[Key, Reader] = OrderedDict()
        self._total, self._awake = 0, Awake(self._max_awake, self._idle_seconds)

    def __len__(self) -> int:
        return len(self._readers)

    def get(self, key: Key) -> Reader:
        """Return the reader of this key; call `touch` after reading from it."""
        with self._lock:
            if key in self._readers:
                self._readers.move_to_end(key)
                return self._readers[key]
        reader = self._open_reader(key)
        with self._lock:
            if key in self._readers:  # by another thread, meanwhile
                return self._readers[key]
            self._readers[key] = reader
            self._total += self._cost(reader)
            while self._total > self._limit and len(self._readers) > 1:
                self._total -= self._cost(self._readers.popitem(last=False)[1])
        return reader

    def drop(self, key: Key, reader: Reader) -> None:
        """Keep this reader of the key no longer; the next one is opened anew."""
        with self._lock:
            if self._readers.get(key) is reader:
                self._total -= self._cost(self._readers.pop(key))

    def touch(self, reader: Reader) -> None:
        """Note that a reader was used; see `Awake`."""
        self._awake.touch(reader)

    def drop_all(self) -> list[Reader]:
        """Keep no reader any longer, and return those that there were."""
        with self._lock:
            readers = list(self._readers.values())
            self.after_fork()
        return readers

    def close(self) -> None:
        """Close all readers; those asked for again are opened anew."""
        for reader in self.drop_all():
            reader.close()


def bytes_at_rest(reader: FrameReader) -> int:
    """Return about how much memory a reader at rest takes: for its index, most of all."""
    return _BYTES_PER_READER + _BYTES_PER_FRAME * len(reader)


_freed = 0


def trim_memory(num_bytes: int) -> None:
    """Note that this much memory was freed; return it to the system once it is worth the time."""
    global _freed
    _freed += num_bytes
    if _freed >= _TRIM_BYTES and sys.platform == "linux":
        _freed = 0
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
