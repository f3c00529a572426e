"""How fast reading is, where the time goes, and what is installed to do it.

`bench/` measures again what the project claims about itself.
"""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
