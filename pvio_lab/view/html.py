"""HTML for notebooks: boxes, tables, and the static copy that a notebook keeps of a widget."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container, Iterable, Sequence
from html import escape
from typing import Any

from ..errors import printable

TEXT = "color: var(--jp-content-font-color1, inherit)"
PALE = "color: var(--jp-content-font-color2, #808080)"
WRONG = "color: var(--jp-error-color1, #d32f2f)"
_TABLE = "border-collapse: collapse; margin: 0; font-size: 12px; width: 100%; table-layout: auto"
_LINE = "border: 0; border-top: 1px solid var(--jp-border-color2, #80808060)"
_FACT = f"text-align: left; vertical-align: top; padding: 3px 10px 3px 0; background: transparent; {_LINE}"

Facts = list[tuple[str, str]]


def box(heading: str, *parts: str, width: int = 720) -> str:
    """Return a heading with parts below it, at most so many pixels wide."""
    title = f'<div style="font-weight: 600; margin: 0 0 6px; overflow-wrap: anywhere">{_text(heading)}</div>'
    return f'<div style="max-width: {width}px; line-height: 1.4; {TEXT}">{title}{"".join(parts)}</div>'


def note_html(text: str, *, style: str = f"{PALE}; margin: 6px 0 2px") -> str:
    """Return a line of text."""
    return f'<div style="{style}; overflow-wrap: anywhere">{escape(text)}</div>'


def table_html(
    header: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]], *, right: Container[int] = ()
) -> str:
    """Return a table of rows, each with whether something is wrong with it; numbers stand `right`."""
    lines = (_row(cells, "td", is_wrong, right) for cells, is_wrong in rows)
    return f'<table style="{_TABLE}">{_row(header, "th", False, right)}{"".join(lines)}</table>'


def facts_html(facts: Facts) -> str:
    """Return labels and their facts as a table."""
    rows = (
        f'<tr><th scope="row" style="{_FACT}; {PALE}; font-weight: 400; white-space: nowrap">{label}</th>'
        f'<td style="{_FACT}; {TEXT}; width: 100%; overflow-wrap: anywhere">{_text(fact)}</td></tr>'
        for label, fact in facts
    )
    return f'<table style="{_TABLE}">{"".join(rows)}</table>'


def _row(cells: Iterable[str], tag: str, is_wrong: bool, right: Container[int]) -> str:
    """Every cell is stored with its style, so what is common to a row stands at the row."""
    style = f"{_LINE}; background: transparent; {WRONG if is_wrong else TEXT}"
    parts = (_cell(tag, cell, column in right) for column, cell in enumerate(cells))
    return f'<tr style="{style}">{"".join(parts)}</tr>'


def _cell(tag: str, text: str, is_right: bool) -> str:
    align = "text-align: right" if is_right else "text-align: left"
    wrap = "; white-space: nowrap" if is_right and tag == "td" else ""
    if text.startswith(" "):  # code, which is indented
        wrap = "; white-space: pre-wrap; font-family: monospace"
    height = "top" if tag == "td" else "bottom"
    style = f"{align}{wrap}; vertical-align: {height}; padding: 3px 8px 3px 0; border: 0"
    return f'<{tag} style="{style}">{_text(text)}</{tag}>'


def _text(text: str) -> str:
    """Escape a text that anybody may have written, and signs that turn or hide other text."""
    return escape(printable(text, keep="\n"))


# A live widget has this class; then its static copy is hidden.
LIVE = "pvio-live"
LIVE_STYLE = f".jp-OutputArea-child:has(.{LIVE}) + .jp-OutputArea-child:has(.pvio-kept) {{ display: none; }}"
# Where the widget is not live, nobody has to read that its model was not found. (A notebook that is not
# trusted loses this rule, and shows both.)
_ALONE = (
    f".jp-OutputArea-child:not(:has(.{LIVE})):has(+ .jp-OutputArea-child .pvio-kept) {{ display: none; }}"
)


class StaticCopy:
    """The output behind a widget, for readers of the notebook without a kernel; `make` returns its HTML."""

    def __init__(self, make: Callable[[], str]):
        self._make, self._id = make, uuid.uuid4().hex
        self._is_shown = False

    def display(self, widget: Any) -> None:
        """Show the widget, and its copy behind it."""
        bundle = widget._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        _publish(data, metadata=metadata)
        _publish(self._bundle(), transient={"display_id": self._id})
        self._is_shown = True

    def update(self) -> None:
        """Make the copy anew, in all outputs that show it."""
        if self._is_shown:
            _publish(self._bundle(), transient={"display_id": self._id}, update=True)

    def _bundle(self) -> dict[str, str]:
        html = f'<div class="pvio-kept"><style>{_ALONE}</style>{self._make()}</div>'
        return {"text/html": html, "text/plain": "(what is kept of it for reading without a kernel)"}


def static_html(text: str, images: Iterable[str] = ()) -> str:
    """Return images side by side, and a sentence below them."""
    row = "".join(images)
    return f'<div style="display: flex; gap: 8px">{row}</div><div style="{PALE}">{escape(text)}</div>'


def _publish(data: dict[str, Any], **options: Any) -> None:
    from IPython.display import publish_display_data

    publish_display_data(data, **options)  # type: ignore[no-untyped-call]
