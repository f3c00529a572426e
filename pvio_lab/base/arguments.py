"""Checks of arguments: each returns the value, or raises an error that names argument and value."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def integer(value: Any, name: str) -> int:
    """Return an argument that must be an integer, Python's or numpy's; `name` is for the error message."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}={value!r} must be an integer")
    return operator.index(value)


def positive_integer(value: Any, name: str) -> int:
    """Return an argument that must be an integer, 1 or more; `name` is for the error message."""
    if integer(value, name) < 1:
        raise ValueError(f"{name}={value!r} must be 1 or more")
    return operator.index(value)


def not_negative_integer(value: Any, name: str) -> int:
    """Return an argument that must be an integer, 0 or more; `name` is for the error message."""
    if integer(value, name) < 0:
        raise ValueError(f"{name}={value!r} must be 0 or more")
    return operator.index(value)


def checked_size(value: int | None, name: str) -> int | None:
    """Return a width or a height, or None where it is left out."""
    return None if value is None else positive_integer(value, name)


def one_of(value: Any, allowed: tuple[str, ...], name: str) -> Any:
    """Return an argument that must be one of some words; `name` is for the error message."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
    return value
