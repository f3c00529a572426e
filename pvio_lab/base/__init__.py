"""Tools without video in them: whole files, locks, forks, waiting, small files, child processes.

Every other room may use them; nothing here knows what a frame is.
"""

from .lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
