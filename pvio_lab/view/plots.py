"""Figures: groups of pictures of a video, and reports of measurements."""

from __future__ import annotations

import io
import os
from os import PathLike
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from ..read import Fetching, open_video

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
COLOURS = {"I": "#D55E00", "P": "#0072B2", "B": "#56B4E9"}
MEANINGS = {
    "I": "I: a keyframe, complete in itself",
    "P": "P: builds on frames before it",
    "B": "B: builds on frames before and after it",
}
WIDTH_INCHES = 9.0
# More bars than this are thinner than two pixels in a notebook.
MAX_BARS = 400
MAX_TRIANGLES = 60


class NotebookFigure(Figure):
    """A matplotlib figure that shows itself at the end of a cell, even where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        drawn, small = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=100)
        # Every picture is stored in its notebook: 256 colours are enough, and half as many bytes.
        Image.open(drawn).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
        return small.getvalue()


def _wide_figure(height: float) -> NotebookFigure:
    return NotebookFigure(figsize=(WIDTH_INCHES, height), layout="constrained")


def plot_gops(
    reader: Any, *, start: int = 0, end: int | None = None, fetching: Fetching | None = None
) -> Figure:
    """Draw the size of each compressed frame along time, by type: how groups of pictures are built.

    A group begins with a keyframe, the only kind of frame that can be decoded without others. Where there are
    too many frames to tell apart, each bar is the sum of several, and the title says so.

    Args:
        reader: A `VideoReader`, its `index`, or a path or URL.
        start: The first frame to draw; negative counts from the end, as in a slice.
        end: One past the last frame to draw, or None for all; as in a slice.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        A figure that shows itself at the end of a cell.
    """
    index = _index_of(reader, fetching)
    total = len(index.pts_seconds)
    shown = np.arange(total)[start:end]
    if not shown.size:
        raise ValueError(f"there is no frame to draw from {start=} to {end=}: the video has {total} frames")
    per_bar = -(-shown.size // MAX_BARS)
    figure = _wide_figure(3)
    axes = figure.add_subplot()
    handles = [*_draw_bars(axes, index, shown, per_bar), *_draw_keyframes(axes, index, shown)]
    axes.set_xlabel("time (seconds)")
    axes.set_ylabel("compressed size (KiB)" if per_bar == 1 else f"size of {per_bar} frames (KiB)")
    axes.set_title(_gop_title(index, shown, per_bar), fontsize=10, loc="left", pad=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False, fontsize=8)
    return figure


def _index_of(reader: Any, fetching: Fetching | None) -> Any:
    if isinstance(reader, str | PathLike):
        with open_video(reader, fetching=fetching) as opened:
            return _index_of(opened, None)
    index = getattr(reader, "index", reader)
    if not hasattr(index, "frame_bytes"):
        raise TypeError(
            f"plot_gops takes a VideoReader, its index, or the path of a video, not {type(reader).__name__}; "
            "only compressed video has groups of pictures"
        )
    return index


def _draw_bars(axes: Axes, index: Any, shown: NDArray[np.int64], per_bar: int) -> list[Any]:
    """Draw one bar for each `per_bar` frames, stacked by type; return handles for the legend."""
    firsts = np.arange(0, shown.size, per_bar)
    times, kinds = index.pts_seconds[shown][firsts], np.asarray(index.frame_types)[shown]
    kibibytes = np.asarray(index.frame_bytes)[shown] / 1024
    ends = np.append(times[1:], index.pts_seconds[shown[-1]] + index.duration_seconds[shown[-1]])
    widths = np.minimum(ends - times, np.median(ends - times)) * (0.85 if firsts.size <= 120 else 1.0)
    bottom = np.zeros(firsts.size)
    present = [kind for kind in COLOURS if (kinds == kind).any()]
    for kind in present:
        heights = np.add.reduceat(np.where(kinds == kind, kibibytes, 0.0), firsts)
        axes.bar(times, heights, widths, bottom, align="edge", color=COLOURS[kind], linewidth=0)
        bottom += heights
    axes.set_xlim(times[0], ends[-1])
    axes.set_ylim(0, 1.05 * max(bottom.max(), 1 / 1024))
    return [Patch(color=COLOURS[kind], label=MEANINGS[kind]) for kind in present]


def _draw_keyframes(axes: Axes, index: Any, shown: NDArray[np.int64]) -> list[Any]:
    """Draw a mark above the plot for each keyframe, with which a group begins."""
    times = index.pts_seconds[np.intersect1d(index.keyframes, shown)]
    marker = "v" if times.size <= MAX_TRIANGLES else "|"
    style = {"marker": marker, "markersize": 5, "linestyle": "none", "color": COLOURS["I"], "clip_on": False}
    place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "label": "a group begins", **style}
    return list(axes.plot(times, np.full(times.size, 1.03), **place))


def _gop_title(index: Any, shown: NDArray[np.int64], per_bar: int) -> str:
    total = len(index.pts_seconds)
    title = f"{total} frames in {_groups(np.asarray(index.gop_lengths))}"
    if shown.size < total:
        title += f"; shown: {shown[0]} to {shown[-1]}"
    return title if per_bar == 1 else f"{title}; each bar is the sum of {per_bar} frames"


def _groups(lengths: NDArray[np.int64]) -> str:
    """Count groups in words: [250, 250, 100] -> '3 groups (GOPs) of up to 250'."""
    if lengths.size < 2:
        return "one group (GOP)"
    at_most = "" if lengths.min() == lengths.max() else "up to "
    return f"{lengths.size} groups (GOPs) of {at_most}{lengths.max()}"


KINDS = {"thread": ("#0072B2", "o", "threads"), "process": ("#D55E00", "s", "processes")}
SUGGESTED = "#CC79A7"
LOADER_PHASES = {"decode": "#0072B2", "transform": "#E69F00", "hand_over": "#999999"}
_FEW_MILLISECONDS = FuncFormatter(lambda value, _: f"{value:.3g}")


def plot_workers(report: Any) -> Figure:
    """Draw the rates with their spread beside the ideal, and the time of the workers for each frame."""
    rows = [row for row in report if row.frames_per_second is not None]
    if not rows:
        raise ValueError("there is nothing to draw: nothing could be measured")
    figure = _wide_figure(max(2.6, 0.34 * len(rows) + 1.2))
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


THREADS = {"1 thread": "#0072B2", "all cores": "#56B4E9"}
PHASES = {"open": "#999999", "seek": "#E69F00", "decode": "#0072B2", "convert": "#56B4E9", "copy": "#009E73"}
WRONG = "#D55E00"
_BAR = 0.38
# Thinner parts of a bar have no room for a number.
_ROOM_FOR_TEXT = 0.07


def plot_throughput(report: Any) -> Figure:
    """Draw a row of plots a file, one a pattern: a bar with its spread for each reader and its threads."""
    if not len(report):
        raise ValueError("there is nothing to draw: no reader could be measured")
    sources = list(dict.fromkeys(row.source for row in report))
    patterns = list(dict.fromkeys(row.pattern for row in report))
    readers = list(dict.fromkeys(row.reader for row in sorted(report, key=_speed)))
    figure = _wide_figure(len(sources) * (0.9 + 0.36 * len(readers)) + 0.4)
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
    figure = _wide_figure(1.9)
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
