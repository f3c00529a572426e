"""How the rate grows with the number of workers, and where their time goes."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .plots import WIDTH_INCHES, NotebookFigure

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
KINDS = {"thread": ("#0072B2", "o", "threads"), "process": ("#D55E00", "s", "processes")}
SUGGESTED = "#CC79A7"
LOADER_PHASES = {"decode": "#0072B2", "transform": "#E69F00", "hand_over": "#999999"}
_FEW_MILLISECONDS = FuncFormatter(lambda value, _: f"{value:.3g}")


def plot_workers(report: Any) -> Figure:
    """The rates with their spread beside the ideal, and the time of the workers for each frame."""
    rows = [row for row in report if row.frames_per_second is not None]
    if not rows:
        raise ValueError("there is nothing to draw: nothing could be measured")
    height = max(2.6, 0.34 * len(rows) + 1.2)
    figure = NotebookFigure(figsize=(WIDTH_INCHES, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_rates(left, rows, report)
    _draw_times(right, rows)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_rates(axes: Axes, rows: list[Any], report: Any) -> None:
    for kind, (colour, marker, label) in KINDS.items():
        own = sorted((row for row in rows if row.worker_kind == kind), key=lambda row: row.num_workers)
        several = [row for row in own if row.num_workers]
        if several:
            rates = [row.frames_per_second for row in several]
            spread = [
                [row.frames_per_second - row.low for row in several],
                [row.high - row.frames_per_second for row in several],
            ]
            counts = [row.num_workers for row in several]
            axes.errorbar(counts, rates, spread, color=colour, marker=marker, capsize=3, label=label)
    _draw_alone(axes, rows)
    chosen = report.suggested
    ring: dict[str, Any] = {
        "markersize": 14,
        "markerfacecolor": "none",
        "markeredgecolor": SUGGESTED,
        "markeredgewidth": 2,
    }
    axes.plot(chosen.num_workers, chosen.frames_per_second, "o", label="suggested", linestyle="none", **ring)
    _draw_ideal(axes, rows, report.num_cores)
    axes.set_xlabel("workers")
    axes.set_ylabel("frames per second")
    axes.margins(0.09)  # room for the ring
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22), "ncols": 2}
    axes.legend(fontsize=8, frameon=False, labelspacing=0.9, **place)


def _draw_alone(axes: Axes, rows: list[Any]) -> None:
    for row in rows:
        if not row.num_workers:
            axes.plot(0, row.frames_per_second, "D", color="#009E73", label="the calling thread")


def _draw_ideal(axes: Axes, rows: list[Any], num_cores: int) -> None:
    """As if each worker were as fast as one thread alone, up to the number of processors."""
    one = next((row for row in rows if (row.worker_kind, row.num_workers) == ("thread", 1)), None)
    most = max(row.num_workers for row in rows)
    if one is not None and most > 1:
        counts = sorted({1, min(num_cores, most), most})
        ideal = [one.frames_per_second * min(count, num_cores) for count in counts]
        axes.plot(counts, ideal, "--", color="#999999", linewidth=1, label=f"ideal, {num_cores} cores")


def _draw_times(axes: Axes, rows: list[Any]) -> None:
    """A stacked bar for each, in milliseconds of worker time a frame."""
    names = [str(row.setting) for row in rows]
    lefts = [0.0] * len(rows)
    for phase, colour in LOADER_PHASES.items():
        widths = [1e3 * getattr(row, f"{phase}_seconds") for row in rows]
        axes.barh(names, widths, left=lefts, color=colour, label=phase.replace("_", "-"))
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("worker time per frame (ms)")
    axes.xaxis.set_major_formatter(_FEW_MILLISECONDS)
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.4, -0.22), ncols=3)
