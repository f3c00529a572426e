"""A wish to end a measurement early, which may come from another thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..base.forks import new_lock


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
