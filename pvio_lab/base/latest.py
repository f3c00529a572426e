"""A thread that does only the newest of several tasks; older ones that wait are dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from .forks import new_condition

Wish = TypeVar("Wish")


class Latest(Generic[Wish]):
    """A thread that fulfils wishes one at a time. A new one takes the place of one that waits.

    Args:
        fulfil: Fulfils a wish.
        fail: Called with an exception that it raises.
        name: The name of the thread.
        rest: Called once when there has been no wish for a while.
        rest_seconds: How long that is.
    """

    def __init__(
        self,
        fulfil: Callable[[Wish], None],
        fail: Callable[[Exception], None],
        name: str,
        *,
        rest: Callable[[], None] | None = None,
        rest_seconds: float = 0.0,
    ):
        self._fulfil, self._fail, self._name = fulfil, fail, name
        self._rest, self._rest_seconds = rest, rest_seconds
        self._state = new_condition()
        self._waiting: list[Wish] = []
        self._is_busy = self._is_closed = False
        self._thread: threading.Thread | None = None

    def ask(self, wish: Wish) -> None:
        """Make a wish; of those made before, only the one that has been begun is finished."""
        with self._state:
            if self._is_closed:
                return
            self._waiting = [wish]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._state.notify_all()

    def settle(self, timeout: float) -> bool:
        """Wait until there is nothing left to do; return False if that takes longer."""
        with self._state:
            return self._state.wait_for(lambda: not (self._waiting or self._is_busy), timeout)

    def close(self, timeout: float = 10) -> None:
        """End the thread; the wish that it has begun is finished."""
        with self._state:
            self._is_closed, self._waiting = True, []
            self._state.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _work(self) -> None:
        can_rest = False
        while (task := self._next(can_rest)) is not None:
            can_rest = task is not self._rest and self._rest is not None
            try:
                task()
            except Exception as error:
                self._fail(error)

    def _next(self, can_rest: bool) -> Callable[[], None] | None:
        """Return the next task; None at the end."""
        with self._state:
            self._is_busy = False
            self._state.notify_all()
            is_asked = self._state.wait_for(
                lambda: bool(self._waiting) or self._is_closed, self._rest_seconds if can_rest else None
            )
            if self._is_closed:
                return None
            self._is_busy = True
            return partial(self._fulfil, self._waiting.pop()) if is_asked else self._rest
