"""The writing of frames to files: videos, recordings of many cameras, images.

`join/` joins videos without encoding them again; `sample/` takes images from whole trees of videos.
"""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
