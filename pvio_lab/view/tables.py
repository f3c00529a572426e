"""HTML tables for notebooks.

Colours come from JupyterLab's own variables, so that they fit its light and its dark theme.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from html import escape

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
