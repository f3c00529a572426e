"""Pictures of results in a notebook: the code that draws them is loaded when something is shown.

The readers name a picture here and `view/` draws it, so that reading never imports what draws.
"""

from __future__ import annotations

import importlib
from typing import Any

_DRAWN_BY = {
    "card": "pvio_lab.view.tables:reader_card",
    "doctor": "pvio_lab.view.measurements:doctor_table",
    "estimate": "pvio_lab.view.measurements:estimate_table",
    "info": "pvio_lab.view.tables:info_table",
    "lines": "pvio_lab.view.measurements:lines_table",
    "read_profile": "pvio_lab.view.measurements:profile_table",
    "samples": "pvio_lab.view.tables:sample_table",
    "scan": "pvio_lab.view.tables:scan_table",
    "throughput": "pvio_lab.view.measurements:throughput_table",
    "worker_choice": "pvio_lab.view.measurements:choice_table",
    "workers": "pvio_lab.view.measurements:workers_table",
}
_PLOTTED_BY = {
    "read_profile": "pvio_lab.view.measurements:plot_profile",
    "throughput": "pvio_lab.view.measurements:plot_throughput",
    "workers": "pvio_lab.view.measurements:plot_workers",
}


def html(kind: str, obj: Any) -> str:
    """Return the HTML that shows `obj` in a notebook, drawn as `kind`, such as "card" or "scan"."""
    return str(_found(_DRAWN_BY[kind])(obj))


def plot(kind: str, obj: Any) -> Any:
    """Return the figure that shows `obj`, drawn as `kind`, such as "throughput" or "workers"."""
    return _found(_PLOTTED_BY[kind])(obj)


def _found(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
