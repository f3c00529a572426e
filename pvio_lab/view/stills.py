"""Small pictures of single frames, with their numbers and times, for whatever shows a video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ..read import Fetching, open_video, sample_indices, timeline

Pixels = NDArray[np.uint8]
JPEG_QUALITY = 85


def jpeg(frame: Pixels) -> bytes:
    """Small and quick, but not exact."""
    return to_jpeg(Image.fromarray(frame), JPEG_QUALITY)


def to_jpeg(picture: Image.Image, quality: int) -> bytes:
    """The same of a picture."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def png(frame: Pixels) -> bytes:
    """Exact."""
    file = BytesIO()
    Image.fromarray(frame).save(file, "PNG", compress_level=1)
    return file.getvalue()


def difference(frame: Pixels, before: Pixels) -> Pixels:
    """How far each value is from the one in the frame before; black is no difference."""
    return np.asarray(np.maximum(frame, before) - np.minimum(frame, before))


@dataclass(frozen=True)
class Still:
    """One frame, small."""

    number: int
    """Which frame of the video."""
    seconds: float
    """When it appears."""
    picture: Image.Image
    """The frame, scaled down."""


def stills(reader: Any, numbers: ArrayLike, max_size: tuple[int, int]) -> list[Still]:
    """These frames of an open reader, scaled down to fit into `max_size` (width, height)."""
    numbers = np.asarray(numbers, np.int64)
    frames, times = reader.read(numbers), timeline(reader)[0][numbers]
    return [
        Still(int(number), float(time), _scaled(frame, max_size))
        for number, time, frame in zip(numbers, times, frames, strict=True)
    ]


def spread(reader: Any, count: int) -> NDArray[np.int64]:
    """Frames spread over the video; keyframes where there are enough of them, as these are read at once."""
    numbers = sample_indices(reader, num_frames=count)
    keyframes = np.asarray(getattr(getattr(reader, "index", None), "keyframes", ()), np.int64)
    if not keyframes.size:
        return numbers
    before = keyframes[np.maximum(np.searchsorted(keyframes, numbers, side="right") - 1, 0)]
    return before if np.unique(before).size == numbers.size else numbers


@contextmanager
def opened(source: Any, fetching: Fetching | None = None) -> Iterator[Any]:
    """An open reader as it is; a path or URL as a reader that is closed at the end."""
    if isinstance(source, str | PathLike):
        with open_video(source, fetching=fetching) as reader:
            yield reader
    else:
        yield source


def _scaled(frame: Any, max_size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(frame)
    picture.thumbnail(max_size)
    return picture
