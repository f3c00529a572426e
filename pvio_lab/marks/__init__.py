"""Marked frames and ranges of a video, and other people's annotations: in memory, and in files beside it."""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
