"""Figures for notebooks: the filmstrip of a video, the sizes of its groups of pictures, and any as SVG."""

from __future__ import annotations

import io
import re
from html import escape
from os import PathLike
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

from ..base import new_lock
from ..read import Fetching, open_video, sample_indices
from .stills import opened, stills

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
_TILES_IN_A_ROW = 8
# matplotlib's memory of fonts is shared by all figures.
_DRAWING = new_lock()
_SVG_INCHES, _MOST_PIXELS = 7.0, 760
# matplotlib asks this of every line in the page; here it is asked of one drawing.
_SVG_STYLE = (
    f"display: block; width: 100%; max-width: {_MOST_PIXELS}px; height: auto; "
    "stroke-linejoin: round; stroke-linecap: butt; "
    "color: var(--jp-content-font-color1, currentColor); fill: currentColor"
)


class NotebookFigure(Figure):
    """A matplotlib figure that shows itself at the end of a cell, even where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        drawn, small = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=100)
        # Every picture is stored in its notebook: 256 colours are enough, and half as many bytes.
        Image.open(drawn).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
        return small.getvalue()


def wide_figure(height: float) -> NotebookFigure:
    """Return an empty figure of a notebook's width, and this height in inches."""
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
    figure = wide_figure(3)
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


def filmstrip(source: Any, num_frames: int = 8, *, fetching: Fetching | None = None) -> Figure:
    """Draw frames spread evenly over a video, each with its number and its time.

    Args:
        source: A path or URL, or an open reader, which stays open.
        num_frames: How many frames; all if the video has fewer.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        A figure that shows itself at the end of a cell.
    """
    with opened(source, fetching) as reader:
        numbers = sample_indices(reader, num_frames=num_frames)
        if not numbers.size:
            raise ValueError(f"{reader!r} has no frames to show")
        tiles = stills(reader, numbers, max_size=(320, 320))
    figure, grid = _tiles_figure(len(tiles), tiles[0].picture.height / tiles[0].picture.width)
    for axes, tile in zip(grid, tiles, strict=True):
        axes.imshow(tile.picture, aspect="auto")
        axes.set_axis_off()
        label = f"frame {tile.number}\n{tile.seconds:.2f} s"
        axes.text(0.5, -0.04, label, transform=axes.transAxes, ha="center", va="top", fontsize=8)
    return figure


def _tiles_figure(count: int, shape: float) -> tuple[Figure, list[Axes]]:
    """Make equal tiles of this height by width, with room below each for two lines of text."""
    columns = min(count, _TILES_IN_A_ROW)
    rows = -(-count // columns)
    gap, text = 0.06, 0.36
    width = (WIDTH_INCHES + gap) / _TILES_IN_A_ROW * (1 if columns > _TILES_IN_A_ROW // 2 else 2) - gap
    height = width * min(shape, 3.0)
    total_width, total_height = columns * (width + gap) - gap, round(rows * (height + text), 2)
    figure = NotebookFigure(figsize=(round(total_width, 2), total_height))
    grid = []
    for place in range(count):
        left = place % columns * (width + gap)
        bottom = total_height - (place // columns + 1) * (height + text) + text
        box = (left / total_width, bottom / total_height, width / total_width, height / total_height)
        grid.append(figure.add_axes(box))
    return figure, grid


def figure_html(figure: Figure, text: str) -> str:
    """Return a figure without a background as SVG, which is read aloud as `text`.

    Its black parts have the colour of the text around it.
    """
    drawn = io.StringIO()
    with _DRAWING, rc_context({"svg.fonttype": "none"}):  # letters stay letters: a fifth of the size
        figure.set_size_inches(_SVG_INCHES, figure.get_size_inches()[1])
        figure.savefig(drawn, format="svg", transparent=True)
    _, _, rest = drawn.getvalue().partition("<svg ")
    opening, _, inside = rest.partition(">")
    view_box = re.search(r'viewBox="[^"]*"', opening)
    inside = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", inside, flags=re.DOTALL)
    inside = inside.replace("#000000", "currentColor")
    label = escape(text, quote=True)
    return f'<svg role="img" aria-label="{label}" {view_box and view_box[0]} style="{_SVG_STYLE}">{inside}'
