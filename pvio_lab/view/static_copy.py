"""What a notebook keeps of a widget: pictures and a sentence, for whoever opens it where no kernel runs."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .html import PALE
from .stills import to_jpeg

# A widget that lives marks itself with this class; then what is kept of it is not shown.
LIVE = "pvio-live"
STYLE = f".jp-OutputArea-child:has(.{LIVE}) + .jp-OutputArea-child:has(.pvio-kept) {{ display: none; }}"
# And where it does not live, nobody has to read that its model was not found. (A notebook that is not trusted
# loses this rule, and shows both.)
_ALONE = (
    f".jp-OutputArea-child:not(:has(.{LIVE})):has(+ .jp-OutputArea-child .pvio-kept) {{ display: none; }}"
)
_MOST_DOTS, _QUALITY = (640, 360), 80


class Keepsake:
    """Stands behind a widget in the outputs of a cell.

    Args:
        make: Says what to keep now, as HTML.
    """

    def __init__(self, make: Callable[[], str]):
        self._make, self._id = make, uuid.uuid4().hex
        self._is_shown = False

    def display(self, widget: Any) -> None:
        """Shows the widget, and behind it what is kept."""
        bundle = widget._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        _publish(data, metadata=metadata)
        _publish(self._bundle(), transient={"display_id": self._id})
        self._is_shown = True

    def renew(self) -> None:
        """What is kept is made anew, wherever it is shown."""
        if self._is_shown:
            _publish(self._bundle(), transient={"display_id": self._id}, update=True)

    def _bundle(self) -> dict[str, str]:
        html = f'<div class="pvio-kept"><style>{_ALONE}</style>{self._make()}</div>'
        return {"text/html": html, "text/plain": "(what is kept of it for reading without a kernel)"}


def _publish(data: dict[str, Any], **options: Any) -> None:
    from IPython.display import publish_display_data

    publish_display_data(data, **options)  # type: ignore[no-untyped-call]


def kept_html(words: str, pictures: Iterable[NDArray[np.uint8]] = ()) -> str:
    """Pictures side by side, and below them a sentence."""
    row = "".join(_image_html(picture) for picture in pictures)
    return f'<div style="display: flex; gap: 8px">{row}</div><div style="{PALE}">{escape(words)}</div>'


def _image_html(picture: NDArray[np.uint8]) -> str:
    image = Image.fromarray(picture)
    image.thumbnail(_MOST_DOTS)
    data = base64.b64encode(to_jpeg(image, _QUALITY)).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="" style="min-width: 0; max-width: 100%">'
