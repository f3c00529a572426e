"""Pictures of results in a notebook: the code that draws them is loaded when something is shown.

The readers name a picture here and `view/` draws it, so that reading never imports what draws.
"""

from __future__ import annotations

import importlib
from typing import Any

_DRAWN_BY = {
    "card": "pvio_lab.view.card:reader_card",
    "doctor": "pvio_lab.view.reports:doctor_table",
    "estimate": "pvio_lab.view.reports:estimate_table",
    "info": "pvio_lab.view.card:info_table",
    "read_profile": "pvio_lab.view.reports:profile_table",
    "samples": "pvio_lab.view.card:sample_table",
    "scan": "pvio_lab.view.card:scan_table",
    "throughput": "pvio_lab.view.reports:throughput_table",
    "worker_choice": "pvio_lab.view.reports:choice_table",
    "workers": "pvio_lab.view.reports:workers_table",
}
_PLOTTED_BY = {
    "read_profile": "pvio_lab.view.plots:plot_profile",
    "throughput": "pvio_lab.view.plots:plot_throughput",
    "workers": "pvio_lab.view.plots:plot_workers",
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
