"""Many videos for PyTorch: datasets, and a loader whose batches are the same at every number of workers."""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
