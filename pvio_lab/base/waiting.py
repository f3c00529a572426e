"""Waiting that Ctrl-C always ends with a KeyboardInterrupt."""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

_T = TypeVar("_T")
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
    """Return the next item of a queue.

    Args:
        results: The queue.
        seconds: How long it may take.
        meanwhile: Called ten times a second until the item is there.

    Raises:
        TimeoutError: It takes longer.
    """
    end = time.monotonic() + seconds
    with interruptible():
        while True:
            with suppress(queue.Empty):
                return results.get(timeout=max(0.0, min(_PIECE_SECONDS, end - time.monotonic())))
            if time.monotonic() >= end:
                raise TimeoutError(f"nothing has come for {seconds:g} s")
            meanwhile()
