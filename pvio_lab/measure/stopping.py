"""A wish to end a measurement early, which may come from another thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

from ..base import new_lock


def checked_seconds(seconds: Any) -> float:
    """A time: more than 0, and finite."""
    if isinstance(seconds, bool) or not isinstance(seconds, Real):
        raise TypeError(f"seconds={seconds!r} must be a number of seconds")
    if not 0 < float(seconds) < math.inf:
        raise ValueError(f"seconds={seconds!r} must be more than 0, and finite")
    return float(seconds)


def time_left(done: int, total: int, seconds: float) -> str:
    """In words, how long it will take still, when so much was done in so many seconds.

    >>> time_left(0, 6, 1.0), time_left(2, 6, 10.0), time_left(1, 3, 100.0)
    ('', 'about 20 s left', 'about 3 min left')
    """
    if not done:
        return ""
    left = seconds / done * (total - done)
    return f"about {left:.0f} s left" if left < 100 else f"about {left / 60:.0f} min left"


class Stop:
    """Asked for once, for good; a measurement that was given it soon ends, and forgets the piece it is at.

    >>> stop, ended = Stop(), []
    >>> with stop.ends(lambda: ended.append("a process")):
    ...     stop.request()
    >>> stop.is_wanted, ended
    (True, ['a process'])
    """

    def __init__(self) -> None:
        self._lock = new_lock()
        self._is_wanted = False
        self._endings: list[Callable[[], None]] = []

    @property
    def is_wanted(self) -> bool:
        """It was asked for."""
        return self._is_wanted

    def request(self) -> None:
        """Asks for it, and ends at once what can be ended."""
        with self._lock:
            self._is_wanted = True
            for ending in self._endings:
                ending()

    @contextmanager
    def ends(self, ending: Callable[[], None]) -> Iterator[None]:
        """Whoever asks for the end meanwhile, or has asked before, calls this too."""
        with self._lock:
            self._endings.append(ending)
            if self._is_wanted:
                ending()
        try:
            yield
        finally:
            with self._lock:
                self._endings.remove(ending)
