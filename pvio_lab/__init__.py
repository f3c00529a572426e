"""pvio_lab: a workbench for video in Python. Frames you can trust, measured speed, notebooks that teach."""

from .base import attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(__name__)
