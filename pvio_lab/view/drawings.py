"""Figures as drawings inside a page, in its own colours, and read aloud as a sentence."""

from __future__ import annotations

import io
import re
from html import escape

from matplotlib import rc_context
from matplotlib.figure import Figure

from ..base.forks import new_lock

# matplotlib's memory of fonts is shared by all figures.
_DRAWING = new_lock()
_WIDTH_INCHES, _MOST_PIXELS = 7.0, 760
# What matplotlib asks of every line in the page is asked of this drawing only.
_STYLE = (
    f"display: block; width: 100%; max-width: {_MOST_PIXELS}px; height: auto; "
    "stroke-linejoin: round; stroke-linecap: butt; "
    "color: var(--jp-content-font-color1, currentColor); fill: currentColor"
)


def figure_html(figure: Figure, words: str) -> str:
    """The figure without a ground; what is black in it has the colour of the text around it."""
    drawn = io.StringIO()
    with _DRAWING, rc_context({"svg.fonttype": "none"}):  # letters stay letters: a fifth of the size
        figure.set_size_inches(_WIDTH_INCHES, figure.get_size_inches()[1])
        figure.savefig(drawn, format="svg", transparent=True)
    _, _, rest = drawn.getvalue().partition("<svg ")
    opening, _, inside = rest.partition(">")
    box = re.search(r'viewBox="[^"]*"', opening)
    inside = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", inside, flags=re.DOTALL)
    inside = inside.replace("#000000", "currentColor")
    label = escape(words, quote=True)
    return f'<svg role="img" aria-label="{label}" {box and box[0]} style="{_STYLE}">{inside}'
