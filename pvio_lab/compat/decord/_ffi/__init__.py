"""The place where decord keeps its errors and arrays, for code that imports them from there."""

from .. import ndarray
from . import base

__all__ = ["base", "ndarray"]
