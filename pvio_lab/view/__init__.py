"""Pictures, cards, tables and widgets for notebooks; nothing here computes.

`browser/` is the frame browser; `panel` and its two users are the measurements with buttons.
"""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
