"""Results of measurements in notebooks: their tables and plots."""

from __future__ import annotations

import os
from html import escape
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..base import LINE_COLUMNS, line_cells
from ..measure import (
    DOCTOR_COLUMNS,
    THROUGHPUT_COLUMNS,
    WORKER_COLUMNS,
    doctor_cells,
    keyframes_text,
    phase_cells,
    sparse_cells,
    worker_cells,
)
from .figures import wide_figure
from .html import TEXT, box, facts_html, note_html, table_html

WIDTH = 960
PHASE_COLUMNS = ("phase", "seconds", "ms a frame", "share")

KINDS = {"thread": ("#0072B2", "o", "threads"), "process": ("#D55E00", "s", "processes")}
SUGGESTED = "#CC79A7"
LOADER_PHASES = {"decode": "#0072B2", "transform": "#E69F00", "hand_over": "#999999"}
_FEW_MILLISECONDS = FuncFormatter(lambda value, _: f"{value:.3g}")
THREADS = {"1 thread": "#0072B2", "all cores": "#56B4E9"}
PHASES = {"open": "#999999", "seek": "#E69F00", "decode": "#0072B2", "convert": "#56B4E9", "copy": "#009E73"}
PHASES |= {"function": "#CC79A7"}
WRONG = "#D55E00"
_BAR = 0.38
# Thinner parts of a bar have no room for a number.
_ROOM_FOR_TEXT = 0.07


def throughput_table(report: Any) -> str:
    """Draw one table per file; readers whose frames are wrong, or that fail, are in the colour of errors."""
    parts, right = [], range(3, 7)
    for source, group in groupby(report, key=lambda row: row.source):
        rows = list(group)
        wrong = [bool(row.wrong_frames or row.error) for row in rows]
        cells = zip(sparse_cells(rows), wrong, strict=True)
        parts.append(note_html(source) + table_html(THROUGHPUT_COLUMNS, cells, right=right))
    parts += map(note_html, report.remarks)
    return box(f"Frames per second, {report.num_cores} cores", *parts, width=WIDTH)


def profile_table(profile: Any) -> str:
    """Draw the phases, and the advice."""
    table = table_html(PHASE_COLUMNS, ((cells, False) for cells in phase_cells(profile)), right=(1, 2, 3))
    heading = f"{profile.num_frames} frames of {profile.source}, one by one, in one thread"
    advice = f'<div style="{TEXT}; font-weight: 600; margin: 4px 0 0">{escape(profile.advice)}</div>'
    lines = [] if profile.lines is None else [lines_table(profile.lines)]
    return box(heading, table, note_html(keyframes_text(profile)), advice, *lines)


def lines_table(profile: Any) -> str:
    """Draw one row per line of a function, its code indented as in the file."""
    cells = ((each, False) for each in line_cells(profile))
    return box(f"Lines of {profile.title}", table_html(LINE_COLUMNS, cells, right=range(5)), width=WIDTH)


def doctor_table(report: Any) -> str:
    """Draw one line per part; a fault comes with its cure."""
    rows = []
    for row in report:
        *cells, details = doctor_cells(row)
        cure = f"; to cure it: {row.cure}" if row.cure else ""
        rows.append(([*cells, details + cure], row.state in ("broken", "warning")))
    return box(f"Installation: {report.summary}", table_html(DOCTOR_COLUMNS, rows), width=WIDTH)


def workers_table(report: Any) -> str:
    """Draw one line for each number and kind of workers."""
    heading = f"Frames per second, batches of {report.batch_size}, {report.num_cores} cores"
    return _workers_box(heading, report)


def choice_table(choice: Any) -> str:
    """Draw the suggestion, and the measurements behind it."""
    return _workers_box(str(choice), choice)


def estimate_table(estimate: Any) -> str:
    """Draw the figures, and what would halve them."""
    heading = f"What {estimate.num_clips:,} clips will take"
    return box(heading, facts_html(list(estimate.rows())), note_html(estimate.advice))


def _workers_box(heading: str, report: Any) -> str:
    cells = zip(worker_cells(report), (bool(row.error) for row in report.rows), strict=True)
    return box(heading, table_html(WORKER_COLUMNS, cells, right=range(1, 8)), width=WIDTH)


def plot_workers(report: Any) -> Figure:
    """Draw the rates with their spread beside the ideal, and the time of the workers for each frame."""
    rows = [row for row in report if row.frames_per_second is not None]
    if not rows:
        raise ValueError("there is nothing to draw: nothing could be measured")
    figure = wide_figure(max(2.6, 0.34 * len(rows) + 1.2))
    left, right = figure.subplots(1, 2)
    _draw_rates(left, rows, report)
    _draw_times(right, rows)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_rates(axes: Axes, rows: list[Any], report: Any) -> None:
    for kind, (colour, marker, label) in KINDS.items():
        own = [row for row in rows if row.worker_kind == kind and row.num_workers]
        if own:
            figures = sorted((row.num_workers, row.low, row.frames_per_second, row.high) for row in own)
            counts, lows, rates, highs = np.array(figures, float).T
            spread = [rates - lows, highs - rates]
            axes.errorbar(counts, rates, spread, color=colour, marker=marker, capsize=3, label=label)
    for row in rows:
        if not row.num_workers:
            axes.plot(0, row.frames_per_second, "D", color="#009E73", label="the calling thread")
    chosen = report.suggested
    ring: dict[str, Any] = {"markersize": 14, "markerfacecolor": "none", "linestyle": "none"}
    edge: dict[str, Any] = {"markeredgecolor": SUGGESTED, "markeredgewidth": 2}
    axes.plot(chosen.num_workers, chosen.frames_per_second, "o", label="suggested", **ring, **edge)
    _draw_ideal(axes, rows, report.num_cores)
    axes.set_xlabel("workers")
    axes.set_ylabel("frames per second")
    axes.margins(0.09)  # room for the ring
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22), "ncols": 2}
    axes.legend(fontsize=8, frameon=False, labelspacing=0.9, **place)


def _draw_ideal(axes: Axes, rows: list[Any], num_cores: int) -> None:
    """Draw the rates of workers each as fast as one thread alone, up to the number of processors."""
    one = next((row for row in rows if (row.worker_kind, row.num_workers) == ("thread", 1)), None)
    most = max(row.num_workers for row in rows)
    if one is not None and most > 1:
        counts = sorted({1, min(num_cores, most), most})
        ideal = [one.frames_per_second * min(count, num_cores) for count in counts]
        axes.plot(counts, ideal, "--", color="#999999", linewidth=1, label=f"ideal, {num_cores} cores")


def _draw_times(axes: Axes, rows: list[Any]) -> None:
    """Draw a stacked bar for each setting, in milliseconds of worker time a frame."""
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


def plot_throughput(report: Any) -> Figure:
    """Draw a row of plots a file, one a pattern: a bar with its spread for each reader and its threads."""
    if not len(report):
        raise ValueError("there is nothing to draw: no reader could be measured")
    sources = list(dict.fromkeys(row.source for row in report))
    patterns = list(dict.fromkeys(row.pattern for row in report))
    readers = list(dict.fromkeys(row.reader for row in sorted(report, key=_speed)))
    figure = wide_figure(len(sources) * (0.9 + 0.36 * len(readers)) + 0.4)
    grid = figure.subplots(len(sources), len(patterns), squeeze=False, sharey=True)
    for source, line in zip(sources, grid, strict=True):
        for pattern, axes in zip(patterns, line, strict=True):
            rows = [row for row in report if (row.source, row.pattern) == (source, pattern)]
            _draw_rows(axes, rows, readers)
            axes.set_title(pattern, fontsize=10)
        line[0].set_ylabel(os.path.basename(source)[-40:], fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("frames per second")
    figure.legend(handles=_handles(report), loc="outside lower left", ncols=4, frameon=False, fontsize=8)
    return figure


def plot_profile(profile: Any) -> Figure:
    """Draw the phases of a profile as one stacked bar."""
    figure = wide_figure(1.9)
    axes, left = figure.add_subplot(), 0.0
    total = sum(profile.phases.values())
    for name, seconds in profile.phases.items():
        axes.barh(0, seconds, 0.6, left, color=PHASES[name], label=f"{name} {_seconds(seconds)}")
        if seconds >= _ROOM_FOR_TEXT * total:
            axes.text(
                left + seconds / 2, 0, f"{seconds / total:.0%}", ha="center", va="center", color="white"
            )
        left += seconds
    axes.set_xlim(0, left)
    axes.set_yticks([])
    axes.set_xlabel("time (seconds)")
    name = os.path.basename(os.path.normpath(profile.source))
    axes.set_title(
        f"{name}: {profile.num_frames} frames one by one, in one thread; "
        f"{profile.decoded_per_frame:.1f} decoded for each",
        fontsize=10,
        loc="left",
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside lower left", ncols=5, frameon=False, fontsize=8)
    return figure


def _draw_rows(axes: Axes, rows: list[Any], readers: list[str]) -> None:
    threads = [each for each in THREADS if any(row.threads == each for row in rows)]
    most = max((row.high or 0 for row in rows), default=0) or 1.0
    for row in rows:
        place = readers.index(row.reader) + _BAR * (threads.index(row.threads) - (len(threads) - 1) / 2)
        rate = row.frames_per_second
        if rate is None:
            axes.text(0.02 * most, place, "fails", va="center", fontsize=7, color=WRONG)
            continue
        hatch: dict[str, Any] = {"hatch": "////", "edgecolor": WRONG} if row.wrong_frames else {}
        axes.barh(place, rate, _BAR, color=THREADS[row.threads], **hatch)
        spread = np.array([[rate - row.low], [row.high - rate]])
        axes.errorbar(rate, place, xerr=spread, color="black", linewidth=1, capsize=2)
        if row.wrong_frames:
            words = f" {row.wrong_frames}/{row.checked_frames} wrong"
            axes.text(row.high, place, words, va="center", fontsize=7, color=WRONG)
    axes.set_xlim(0, 1.05 * most if not any(row.wrong_frames for row in rows) else 1.35 * most)
    axes.set_yticks(range(len(readers)), readers)
    axes.set_ylim(len(readers) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _handles(report: Any) -> list[Patch]:
    threads = [each for each in THREADS if any(row.threads == each for row in report)]
    handles = [Patch(color=THREADS[each], label=each) for each in threads]
    if any(row.wrong_frames for row in report):
        handles.append(Patch(facecolor="white", edgecolor=WRONG, hatch="////", label="returns wrong frames"))
    return handles


def _speed(row: Any) -> tuple[bool, float]:
    """Sort this library first, then the fastest."""
    return row.reader != "pvio_lab", -(row.frames_per_second or 0.0)


def _seconds(value: float) -> str:
    """Write a time in words: 0.0123 -> '12.3 ms'."""
    return f"{1e3 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
