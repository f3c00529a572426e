"""Small pictures of single frames with their numbers and times, and a filmstrip of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ..read import Fetching, open_video, sample_indices
from .plots import WIDTH_INCHES, NotebookFigure

Pixels = NDArray[np.uint8]
JPEG_QUALITY = 85
TILES_IN_A_ROW = 8


def jpeg(frame: Pixels) -> bytes:
    """Return a frame as a file that is small and quickly made, but not exact."""
    return to_jpeg(Image.fromarray(frame), JPEG_QUALITY)


def to_jpeg(picture: Image.Image, quality: int) -> bytes:
    """Return a picture as a JPEG file."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def png(frame: Pixels) -> bytes:
    """Return a frame as a file that is exact."""
    file = BytesIO()
    Image.fromarray(frame).save(file, "PNG", compress_level=1)
    return file.getvalue()


def difference(frame: Pixels, before: Pixels) -> Pixels:
    """Return how far each value is from the one in the frame before; black is no difference."""
    return np.asarray(np.maximum(frame, before) - np.minimum(frame, before))


@dataclass(frozen=True)
class Still:
    """One frame, small."""

    number: int
    """Its number in the video."""
    seconds: float
    """The time at which it appears."""
    picture: Image.Image
    """The frame, scaled down."""


def stills(reader: Any, numbers: ArrayLike, max_size: tuple[int, int]) -> list[Still]:
    """Return frames of an open reader, scaled down to fit into `max_size` (width, height)."""
    numbers = np.asarray(numbers, np.int64)
    frames, times = reader.read(numbers), reader.times[0][numbers]
    return [
        Still(int(number), float(time), _scaled(frame, max_size))
        for number, time, frame in zip(numbers, times, frames, strict=True)
    ]


def spread(reader: Any, count: int) -> NDArray[np.int64]:
    """Return frames spread over the video; keyframes if there are enough, as these are read at once."""
    numbers = sample_indices(reader, num_frames=count)
    keyframes = np.asarray(getattr(getattr(reader, "index", None), "keyframes", ()), np.int64)
    if not keyframes.size:
        return numbers
    before = keyframes[np.maximum(np.searchsorted(keyframes, numbers, side="right") - 1, 0)]
    return before if np.unique(before).size == numbers.size else numbers


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
    columns = min(count, TILES_IN_A_ROW)
    rows = -(-count // columns)
    gap, text = 0.06, 0.36
    width = (WIDTH_INCHES + gap) / TILES_IN_A_ROW * (1 if columns > TILES_IN_A_ROW // 2 else 2) - gap
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


@contextmanager
def opened(source: Any, fetching: Fetching | None = None) -> Iterator[Any]:
    """Yield an open reader as it is; of a path or URL, a reader that is closed at the end."""
    if isinstance(source, str | PathLike):
        with open_video(source, fetching=fetching) as reader:
            yield reader
    else:
        yield source


def _scaled(frame: Any, max_size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(frame)
    picture.thumbnail(max_size)
    return picture
