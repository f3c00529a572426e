"""decord's errors, for code that imports them from here."""

from ..base import DECORDError, DECORDLimitReachedError

__all__ = ["DECORDError", "DECORDLimitReachedError"]
