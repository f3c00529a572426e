"""Controls that panels of measurements share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from html import escape
from typing import Any

import ipywidgets as widgets

from .tables import PALE, TEXT

LABEL_WIDTH = "84px"


class Choices(widgets.Box):  # type: ignore[misc]
    """Boxes to tick, of which several can be; at 600 pixels they take more lines.

    Args:
        label: What is chosen.
        options: The words beside each box, and what it stands for.
        ticked: What is chosen at first.
        note: What else is to know.
    """

    def __init__(self, label: str, options: dict[str, Any], ticked: Collection[Any], note: str = ""):
        self.boxes = {
            value: widgets.Checkbox(
                value=value in ticked,
                description=words,
                indent=False,
                tooltip=f"{label}: {words}",
                layout={"width": "auto", "margin": "0 14px 0 0"},
            )
            for words, value in options.items()
        }
        parts = list(self.boxes.values())
        if note:
            parts.append(widgets.HTML(f'<span style="{PALE}">{escape(note)}</span>'))
        ticks = widgets.Box(parts, layout={"flex_flow": "row wrap", "flex": "1 1 0", "min_width": "0"})
        super().__init__([_label(label), ticks], layout={"align_items": "baseline"})

    @property
    def chosen(self) -> list[Any]:
        """What is ticked, in order."""
        return [value for value, box in self.boxes.items() if box.value]

    def choose(self, values: Iterable[Any]) -> None:
        """Ticks these, and no others."""
        wanted = set(values)
        for value, box in self.boxes.items():
            box.value = value in wanted


def seconds_field(value: float) -> Any:
    """How long each piece takes."""
    return _field(widgets.BoundedFloatText, "seconds", "How long each piece takes", value, 0.01, 60.0, 0.1)


def count_field(label: str, tooltip: str, value: int, most: int) -> Any:
    """A number from 1 on."""
    return _field(widgets.BoundedIntText, label, tooltip, value, 1, most, 1)


def dropdown(label: str, options: dict[str, Any], tooltip: str) -> Any:
    """One of several."""
    return widgets.Dropdown(
        options=list(options.items()),
        description=label,
        tooltip=tooltip,
        style={"description_width": LABEL_WIDTH},
        layout={"width": "auto", "max_width": "560px", "margin": "2px 0"},
    )


def line(*parts: Any) -> Any:
    """Beside each other, or below where there is no room."""
    return widgets.Box(parts, layout={"flex_flow": "row wrap", "align_items": "center"})


def _field(kind: Any, label: str, tooltip: str, value: Any, least: Any, most: Any, step: Any) -> Any:
    return kind(
        value=value,
        min=least,
        max=most,
        step=step,
        description=label,
        tooltip=tooltip,
        style={"description_width": LABEL_WIDTH},
        layout={"width": "180px", "margin": "2px 14px 2px 0"},
    )


def _label(text: str) -> Any:
    style = f"{TEXT}; display: inline-block; width: {LABEL_WIDTH}; text-align: right; padding-right: 8px"
    return widgets.HTML(f'<span style="{style}; box-sizing: border-box">{escape(text)}</span>')
