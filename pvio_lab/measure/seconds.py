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
