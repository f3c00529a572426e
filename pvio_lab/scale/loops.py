"""Blocking work beside an event loop, and an event loop beside blocking work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], timeout_seconds: float) -> T:
    """What `work` returns, which runs in a thread of its own; the loop goes on meanwhile.

    A thread cannot be stopped from outside: after the time limit, or when this is cancelled, it is only no
    longer waited for, not even at the end of the program.

    Raises:
        TimeoutError: It takes longer.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except BaseException as error:
            problem = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, result, problem)

    threading.Thread(target=run, daemon=True, name="pvio_lab_video").start()
    try:
        return await asyncio.wait_for(future, timeout_seconds)
    except asyncio.TimeoutError:  # before Python 3.11 another class than the built-in one
        raise TimeoutError(f"it took longer than {timeout_seconds:g} seconds") from None


def run_anywhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end; in another thread where this one has a running loop, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    return _run_beside(coroutine)


def _run_beside(coroutine: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    thread = threading.Thread(target=_run_out, args=(loop, task), daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)  # in pieces, because on Windows a longer wait cannot be interrupted
    except BaseException:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    return task.result()


def _run_out(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    try:
        loop.run_until_complete(asyncio.wait([task]))
    finally:
        loop.close()
