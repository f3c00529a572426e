"""Memory for batches, used again once nobody refers to it."""

from __future__ import annotations

import math
import mmap
import sys
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base import new_lock
from ..frames import Frames

if TYPE_CHECKING:
    import torch


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


# A consumer holds one batch when it asks for the next, and maybe the one before it.
_KEPT = 3


class BatchMemory:
    """Gives memory for batches, and takes it back when the consumer has dropped them.

    New memory has to be zeroed by the system, which can take as long as decoding. Only the last few blocks
    that were handed over are remembered, so a consumer that collects batches keeps what it holds, no more.

    Args:
        num_ahead: How many batches are handed over before the consumer asks for them.
    """

    def __init__(self, num_ahead: int = 0) -> None:
        self._lock = new_lock()
        self._used: deque[NDArray[Any]] = deque(maxlen=num_ahead + _KEPT)

    def take(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Memory to fill, that nobody else refers to."""
        with self._lock:
            for place in range(len(self._used)):
                if self._is_free(place, shape, dtype):
                    block = self._used[place]
                    del self._used[place]
                    return block
        return _new_block(shape, np.dtype(dtype))

    def hand_over(self, block: NDArray[Any]) -> None:
        """Notes that somebody else has it now; it may be used again when that is over."""
        with self._lock:
            self._used.append(block)

    def tensor(self, block: NDArray[Any]) -> torch.Tensor:
        """The same memory as a tensor."""
        import torch

        return torch.from_numpy(block)

    def _is_free(self, place: int, shape: tuple[int, ...], dtype: Any) -> bool:
        block = self._used[place]
        return block.shape == shape and block.dtype == dtype and sys.getrefcount(block) <= _OWN_REFERENCES


def _new_block(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Memory straight from the system, that goes straight back to it, and not to the allocator's heaps."""
    num_bytes = math.prod(shape) * dtype.itemsize
    flags = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    memory = mmap.mmap(-1, max(num_bytes, 1), **flags)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)


class SharedMemory(BatchMemory):
    """Memory that other processes can see, so that a batch reaches them without a copy; each is used once."""

    def take(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """See `BatchMemory`."""
        import torch

        as_torch = torch.from_numpy(np.empty(0, dtype)).dtype
        num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        storage: Any = torch.UntypedStorage
        tensor = torch.empty(0, dtype=as_torch).set_(storage._new_shared(num_bytes))
        block: NDArray[Any] = tensor.view(shape).numpy()
        return block

    def hand_over(self, block: NDArray[Any]) -> None:
        """See `BatchMemory`."""

    def tensor(self, block: NDArray[Any]) -> torch.Tensor:
        """See `BatchMemory`."""
        import torch

        return block.base if isinstance(block.base, torch.Tensor) else torch.from_numpy(block)


def _own_references() -> int:
    """What Python counts where nobody else has a reference: it differs between its versions."""
    memory, counts = BatchMemory(), []
    memory.hand_over(np.empty(0, np.uint8))

    def count(place: int) -> None:
        block = memory._used[place]
        counts.append(sys.getrefcount(block))

    count(0)
    return counts[0]


_OWN_REFERENCES = _own_references()
