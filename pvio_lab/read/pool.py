"""Of many readers, only those used lately keep decoders and files open; the others open them when used."""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Protocol
from weakref import WeakKeyDictionary

from ..base import new_lock

# Decoders of more readers than this are not kept: each costs memory, threads and open files.
MAX_AWAKE = 32
# Freed memory stays with the allocator, and this process, until it is asked to give it back.
_TRIM_BYTES = 8 * 2**20

_lock = new_lock()
_freed = 0


class Sleeper(Protocol):
    """Something with open decoders that it can do without for a while."""

    lock: threading.RLock

    def rest(self) -> None:
        """Closes them until they are needed."""


# In the order in which they were used.
_awake: WeakKeyDictionary[Sleeper, None] = WeakKeyDictionary()


def is_used(sleeper: Sleeper) -> None:
    """It was used just now; those that were not for longest are sent to rest, unless they are busy."""
    with _lock:
        _awake.pop(sleeper, None)
        _awake[sleeper] = None
        tired = list(_awake)[:-MAX_AWAKE] if len(_awake) > MAX_AWAKE else []
    for other in tired:
        if other.lock.acquire(blocking=False):
            try:
                other.rest()
                _forget(other)
            finally:
                other.lock.release()


def _forget(sleeper: Sleeper) -> None:
    with _lock:
        _awake.pop(sleeper, None)


def give_back(num_bytes: int) -> None:
    """So much memory was freed: returns it to the system once it is worth the while."""
    global _freed
    _freed += num_bytes
    if _freed >= _TRIM_BYTES and sys.platform == "linux":
        _freed = 0
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
