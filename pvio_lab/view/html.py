"""Figures as drawings inside a page, in its own colours, and read aloud as a sentence."""

from __future__ import annotations

import io
import re
from collections.abc import Container, Iterable
from html import escape

from matplotlib import rc_context
from matplotlib.figure import Figure

from ..base import new_lock
from ..errors import printable

TEXT = "color: var(--jp-content-font-color1, inherit)"
PALE = "color: var(--jp-content-font-color2, #808080)"
WRONG = "color: var(--jp-error-color1, #d32f2f)"
TABLE = "border-collapse: collapse; margin: 0; font-size: 12px; width: 100%; table-layout: auto"
LINE = "border: 0; border-top: 1px solid var(--jp-border-color2, #80808060)"
CELL = "text-align: left; vertical-align: top; padding: 3px 10px 3px 0; background: transparent"

Facts = list[tuple[str, str]]


def box(heading: str, *parts: str, width: int = 720) -> str:
    """A heading, and what belongs under it, at most so many pixels wide."""
    title = f'<div style="font-weight: 600; margin: 0 0 6px; overflow-wrap: anywhere">{_text(heading)}</div>'
    return f'<div style="max-width: {width}px; line-height: 1.4; {TEXT}">{title}{"".join(parts)}</div>'


def table_html(header: Iterable[str], lines: Iterable[str], *, right: Container[int] = ()) -> str:
    """A table of lines that `row_html` has made."""
    return f'<table style="{TABLE}">{row_html(header, "th", right=right)}{"".join(lines)}</table>'


def row_html(
    cells: Iterable[str], tag: str = "td", *, wrong: bool = False, right: Container[int] = ()
) -> str:
    """One line of a table; `right` are the columns that are set to the right, as numbers are."""
    line = f"{LINE}; background: transparent; {WRONG if wrong else TEXT}"
    parts = (_cell(tag, cell, column in right) for column, cell in enumerate(cells))
    return f'<tr style="{line}">{"".join(parts)}</tr>'


def _cell(tag: str, text: str, is_right: bool) -> str:
    """Every cell is stored with its style, so what a whole line has in common stands at the line."""
    align = "text-align: right" if is_right else "text-align: left"
    wrap = "; white-space: nowrap" if is_right and tag == "td" else ""
    height = "top" if tag == "td" else "bottom"
    style = f"{align}{wrap}; vertical-align: {height}; padding: 3px 8px 3px 0; border: 0"
    return f'<{tag} style="{style}">{_text(text)}</{tag}>'


def _text(text: str) -> str:
    """Text that anybody may have written, without signs that turn or hide what stands beside it."""
    return escape(printable(text, keep="\n"))


def facts_html(facts: Facts) -> str:
    """Labels and what they say, as a table."""
    label_style = f"{CELL}; {LINE}; {PALE}; font-weight: 400; white-space: nowrap"
    fact_style = f"{CELL}; {LINE}; {TEXT}; width: 100%; overflow-wrap: anywhere"
    rows = (
        f'<tr><th scope="row" style="{label_style}">{label}</th>'
        f'<td style="{fact_style}">{_text(fact)}</td></tr>'
        for label, fact in facts
    )
    return f'<table style="{TABLE}">{"".join(rows)}</table>'


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
