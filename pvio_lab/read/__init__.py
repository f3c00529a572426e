"""A source becomes frames, exactly.

`VideoReader` and `ImageSequence` are what users see. `decode/` turns packets into frames, and keeps its
engines to itself; `sources/` fetches sources that are not local files. The other modules here are about frame
numbers, times, facts and scanning.
"""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
