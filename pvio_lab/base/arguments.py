"""Checks of arguments: each returns the value, or raises an error that names argument and value."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np


def integer(value: Any, name: str, at_least: int | None = None) -> int:
    """Return an argument that must be an integer, Python's or numpy's; `name` is for the error message."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}={value!r} must be an integer")
    number = operator.index(value)
    if at_least is not None and number < at_least:
        raise ValueError(f"{name}={value!r} must be {at_least} or more")
    return number


def positive_integer(value: Any, name: str) -> int:
    """Return an argument that must be an integer, 1 or more."""
    return integer(value, name, 1)


def not_negative_integer(value: Any, name: str) -> int:
    """Return an argument that must be an integer, 0 or more."""
    return integer(value, name, 0)


def checked_size(value: Any, name: str) -> int | None:
    """Return an argument that must be an integer, 1 or more, or that was left out as None."""
    return None if value is None else integer(value, name, 1)


def one_of(value: Any, allowed: tuple[str, ...], name: str) -> Any:
    """Return an argument that must be one of these strings."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
    return value


def some_of(values: Any, allowed: Sequence[Any], name: str) -> list[Any]:
    """Return an argument that must be some of these values, or one of them, each once."""
    chosen: list[Any] = [values] if isinstance(values, str) else list(dict.fromkeys(values))
    choices = ", ".join(map(repr, allowed))
    for value in chosen:
        if value not in allowed:
            raise ValueError(f"{name}: there is no {value!r}; choose from {choices}")
    if not chosen:
        raise ValueError(f"{name} is empty; choose from {choices}")
    return chosen


def checked_seconds(value: Any, name: str = "seconds", unit: str = "seconds") -> float:
    """Return an argument that must be a number of seconds, or of another unit: more than 0, and finite."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}={value!r} must be a number of {unit}")
    if not 0 < float(value) < math.inf:
        raise ValueError(f"{name}={value!r} must be more than 0, and finite")
    return float(value)
