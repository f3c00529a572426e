"""The argument that says how long to measure."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any


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
