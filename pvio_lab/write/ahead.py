"""A thread works ahead of an event loop, by a bounded number of items."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_END: Any = object()


class Ahead(Generic[T]):
    """The items of an iterator that one thread runs, at most `size` ahead of whoever awaits them.

    Nothing polls: the thread sleeps while the queue is full, and the loop while it is empty. When the object
    is dropped, the thread ends as after `close`, but nobody waits for it.

    Args:
        make: Makes the iterator, in the thread. A generator is closed there, too.
        size: How many items may wait.
    """

    def __init__(self, make: Callable[[], Iterator[T]], size: int):
        self._lane: _Lane[T] = _Lane(asyncio.get_running_loop(), size)
        self._drop = weakref.finalize(self, self._lane.stop)
        # Not the object itself, which else could not be dropped.
        self._thread = threading.Thread(
            target=self._lane.run, args=(make,), name="pvio_lab ahead", daemon=True
        )
        self._thread.start()

    def __aiter__(self) -> Ahead[T]:
        return self

    async def __anext__(self) -> T:
        item, error = await self._lane.queue.get()
        self._lane.room.release()
        if error is not None:
            raise error
        if item is _END:
            raise StopAsyncIteration
        return item

    async def close(self) -> None:
        """Stops the thread, and waits until it has given everything back."""
        self._drop()
        await asyncio.shield(self._lane.ended)
        self._thread.join()  # it has nothing left to do


class _Lane(Generic[T]):
    """What the thread and the loop share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int):
        self._loop, self._is_stopped = loop, False
        self.room = threading.Semaphore(size)
        self.queue: asyncio.Queue[tuple[T, BaseException | None]] = asyncio.Queue()
        self.ended: asyncio.Future[None] = loop.create_future()

    def stop(self) -> None:
        """The thread shall end; it may be waiting for room."""
        self._is_stopped = True
        self.room.release()

    def run(self, make: Callable[[], Iterator[T]]) -> None:
        """The work of the thread."""
        try:
            self._deliver(make())
            self._tell(self.queue.put_nowait, (_END, None))
        except BaseException as error:
            self._tell(self.queue.put_nowait, (_END, error))
        finally:
            self._tell(self._set_ended)

    def _deliver(self, items: Iterator[T]) -> None:
        try:
            while self._has_room():
                item = next(items, _END)
                if item is _END:
                    return
                self._tell(self.queue.put_nowait, (item, None))
                del item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _has_room(self) -> bool:
        self.room.acquire()
        return not self._is_stopped

    def _tell(self, call: Callable[..., object], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, *arguments)

    def _set_ended(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
