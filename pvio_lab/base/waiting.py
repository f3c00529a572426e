"""Waiting that Ctrl-C always ends with a KeyboardInterrupt."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")
_PIECE_SECONDS = 0.2  # on Windows a longer wait cannot be interrupted


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


def join(threads: Iterable[threading.Thread]) -> None:
    """Wait until those of these threads that were started have ended."""
    for thread in threads:
        while thread.is_alive():
            thread.join(_PIECE_SECONDS)


def take(results: queue.Queue[_T]) -> _T:
    """Return the next item of a queue, however long it takes."""
    with interruptible():
        while True:
            try:
                return results.get(timeout=_PIECE_SECONDS)
            except queue.Empty:
                continue
