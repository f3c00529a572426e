"""Threads and waiting for them: Ctrl-C always ends it, and `Latest` does only the newest of several tasks."""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Generic, TypeVar

from .forks import new_condition

_T = TypeVar("_T")
Request = TypeVar("Request")
_PIECE_SECONDS = 0.1  # on Windows a longer wait cannot be interrupted


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise the KeyboardInterrupt that Python's own waiting hid.

    `Condition.wait`, and so `Thread.start` and `Queue.get`, may be interrupted at the moment when they take
    their lock again; then the `with` around them finds it unlocked, and a RuntimeError comes out.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def start(threads: Iterable[threading.Thread]) -> None:
    """Start these threads."""
    with interruptible():
        for thread in threads:
            thread.start()


def join(
    threads: Iterable[threading.Thread],
    piece_seconds: float = _PIECE_SECONDS,
    is_finalizing: Callable[[], bool] = sys.is_finalizing,
) -> None:
    """Wait until those of these threads that were started have ended.

    Generators call it even when the interpreter ends: globals may be None then, and daemon threads frozen.
    """
    for thread in threads:
        while thread.is_alive() and not (thread.daemon and is_finalizing()):
            thread.join(piece_seconds)


def take(
    results: queue.Queue[_T] | queue.SimpleQueue[_T],
    seconds: float = math.inf,
    meanwhile: Callable[[], Any] = lambda: None,
) -> _T:
    """Return the next item of a queue, or raise a TimeoutError; `meanwhile` is called ten times a second."""
    end = time.monotonic() + seconds
    with interruptible():
        while True:
            with suppress(queue.Empty):
                return results.get(timeout=max(0.0, min(_PIECE_SECONDS, end - time.monotonic())))
            if time.monotonic() >= end:
                raise TimeoutError(f"nothing has come for {seconds:g} s")
            meanwhile()


class Latest(Generic[Request]):
    """A thread that handles requests one at a time. A new one replaces one that still waits.

    Exceptions go to `fail`. `rest` is called once when there has been no request for `rest_seconds`.
    """

    def __init__(
        self,
        handle: Callable[[Request], None],
        fail: Callable[[Exception], None],
        name: str,
        *,
        rest: Callable[[], None] = lambda: None,
        rest_seconds: float | None = None,
    ):
        self._handle, self._fail = handle, fail
        self._rest, self._rest_seconds = rest, rest_seconds
        self._state = new_condition()
        self._waiting: list[Request] = []
        self._is_busy = self._is_closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def ask(self, request: Request) -> None:
        """Add a request; of those before it, only the one that has begun is finished."""
        with self._state:
            if self._is_closed:
                return
            self._waiting = [request]
            if not self._thread.ident:
                self._thread.start()
            self._state.notify_all()

    def settle(self, timeout: float) -> bool:
        """Wait until there is nothing left to do; return False if that takes longer."""
        with self._state:
            return self._state.wait_for(lambda: not (self._waiting or self._is_busy), timeout)

    def close(self, timeout: float = 10) -> None:
        """End the thread; a request that has begun is finished."""
        with self._state:
            self._is_closed, self._waiting = True, []
            self._state.notify_all()
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _work(self) -> None:
        seconds = None
        while True:
            with self._state:
                self._is_busy = False
                self._state.notify_all()
                is_asked = self._state.wait_for(lambda: bool(self._waiting) or self._is_closed, seconds)
                if self._is_closed:
                    return
                self._is_busy = True
                task = partial(self._handle, self._waiting.pop()) if is_asked else self._rest
            seconds = self._rest_seconds if is_asked else None
            try:
                task()
            except Exception as error:
                self._fail(error)
