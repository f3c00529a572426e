"""One time limit for all that belongs to a fetch: connecting, redirects, waits, and every other try."""

from __future__ import annotations

import math
import time


class Deadline:
    """The moment by which something has to be done.

    >>> Deadline(60).wait(1.0)
    1.0

    Args:
        seconds: How far away it is; None is never.
    """

    def __init__(self, seconds: float | None = None):
        self.seconds = seconds
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left; 0 or less when it is over."""
        return self._end - time.monotonic()

    def wait(self, longest: float) -> float:
        """Return how long the next step may take: `longest`, or what is left.

        Raises:
            TimeoutError: Nothing is left.
        """
        left = self.left
        if left <= 0:
            raise TimeoutError
        return min(left, longest)
