"""How results look in a notebook: the drawing code is found when something is shown, not before.

The readers name a picture here and `view/` draws it, so that reading never imports what draws.
"""

from __future__ import annotations

import importlib
from typing import Any

_DRAWN_BY = {
    "card": "pvio_lab.view.card:reader_card",
    "info": "pvio_lab.view.card:info_table",
    "scan": "pvio_lab.view.card:scan_table",
}


def html(kind: str, obj: Any) -> str:
    """The HTML that shows `obj` in a notebook, drawn as `kind`: "card", "info" or "scan"."""
    module, name = _DRAWN_BY[kind].split(":")
    draw = getattr(importlib.import_module(module), name)
    return str(draw(obj))
