"""Measurements of reading: its speed, the time of its phases, and the installation behind it.

`bench/` measures again what the project claims about itself.
"""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
