"""Memory for batches, reused once nobody refers to it."""

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

if TYPE_CHECKING:
    import torch

# A consumer holds one batch when it asks for the next, and maybe the one before it.
_KEPT = 3


class BatchMemory:
    """Blocks of memory for batches, reused when the consumer has dropped them.

    New memory has to be zeroed by the system, which can take as long as decoding. Only the last few blocks
    that were handed over are remembered, so a consumer that collects batches keeps what it holds, no more.

    Args:
        num_ahead: How many batches are handed over before the consumer asks for them.
        frees_idle: Keep no block that nobody uses while the consumer is at work, if it takes longer over a
            batch than it took to fill; it gets new memory each time.
    """

    def __init__(self, num_ahead: int = 0, *, frees_idle: bool = False) -> None:
        self._lock = new_lock()
        self._used: deque[NDArray[Any]] = deque(maxlen=num_ahead + _KEPT)
        self._frees_idle, self._is_slow = frees_idle, False
        self._taken = self._handed_over = 0.0

    def take(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return memory to fill that nobody else refers to."""
        with self._lock:
            now = time.perf_counter()
            self._is_slow = now - self._handed_over > self._handed_over - self._taken
            self._taken = now
            for place in range(len(self._used)):
                if self._is_free(place, shape, dtype):
                    block = self._used[place]
                    del self._used[place]
                    return block
        return _new_block(shape, np.dtype(dtype))

    def hand_over(self, block: NDArray[Any]) -> None:
        """Note that the consumer has it now; it may be reused when that is over."""
        with self._lock:
            if self._frees_idle and self._is_slow:
                self._used.clear()
            self._used.append(block)
            self._handed_over = time.perf_counter()

    def tensor(self, block: NDArray[Any]) -> torch.Tensor:
        """Return the same memory as a tensor."""
        import torch

        return torch.from_numpy(block)

    def _is_free(self, place: int, shape: tuple[int, ...], dtype: Any) -> bool:
        block = self._used[place]
        return block.shape == shape and block.dtype == dtype and sys.getrefcount(block) <= _OWN_REFERENCES


def _new_block(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return memory straight from the system, which goes back there, and not to heaps of the allocator."""
    num_bytes = math.prod(shape) * dtype.itemsize
    flags = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    memory = mmap.mmap(-1, max(num_bytes, 1), **flags)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)


class SharedMemory(BatchMemory):
    """Memory that other processes see, so a batch reaches them without a copy; each block is used once."""

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
    """Return what Python counts where nobody else has a reference: it differs between its versions."""
    memory, counts = BatchMemory(), []
    memory.hand_over(np.empty(0, np.uint8))

    def count(place: int) -> None:
        block = memory._used[place]
        counts.append(sys.getrefcount(block))

    count(0)
    return counts[0]


_OWN_REFERENCES = _own_references()
