"""Pictures of single frames: as files, and small ones with number and time, for cards and pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html import escape
from io import BytesIO
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ..errors import VideoError
from ..read import Fetching, open_video, sample_indices
from .html import PALE, WRONG

Pixels = NDArray[np.uint8]
JPEG_QUALITY = 85
# What stays in a notebook in place of a widget.
_COPY_SIZE, _COPY_QUALITY = (640, 360), 80
# Every card is stored in its notebook, so its pictures together stay below this size.
_CARD_STILLS, _CARD_SIZE, _CARD_BYTES = 6, (144, 144), 30_000
_CARD_QUALITIES = (80, 65, 50, 35, 20, 5)


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


@contextmanager
def opened(source: Any, fetching: Fetching | None = None) -> Iterator[Any]:
    """Yield an open reader as it is; of a path or URL, a reader that is closed at the end."""
    if isinstance(source, str | PathLike):
        with open_video(source, fetching=fetching) as reader:
            yield reader
    else:
        yield source


def strip_html(reader: Any) -> str:
    """Draw frames side by side; where some cannot be decoded, the others and a sentence."""
    shown, trouble = _decodable(reader)
    note = f'<div style="{WRONG}; margin: 0 0 6px">{escape(trouble)}</div>' if trouble else ""
    if not shown:
        return note
    tiles = (
        f'<figure style="margin: 0; flex: 1 1 0; min-width: 0; max-width: {_CARD_SIZE[0]}px">'
        f'<img src="{_data_url(picture)}" alt="frame {still.number}" '
        f'style="display: block; width: 100%; margin: 0; border-radius: 2px">'
        f'<figcaption style="{PALE}; font-size: 11px; text-align: center">{still.number}<br>'
        f"{still.seconds:.2f} s</figcaption></figure>"
        for still, picture in zip(shown, _small_jpegs(shown), strict=True)
    )
    return f'<div style="display: flex; gap: 4px; margin: 0 0 6px">{"".join(tiles)}</div>{note}'


def _decodable(reader: Any) -> tuple[list[Still], str]:
    """Return small pictures of some frames, and the reason why others are missing."""
    numbers = spread(reader, _CARD_STILLS)
    try:
        return stills(reader, numbers, _CARD_SIZE), ""
    except (VideoError, ValueError, OSError) as error:
        trouble = f"Not all frames can be shown. {error}"
    shown = []
    for number in numbers:
        with suppress(VideoError, ValueError, OSError):
            shown += stills(reader, [number], _CARD_SIZE)
    return shown, trouble


def _small_jpegs(shown: list[Still]) -> list[bytes]:
    """Return the pictures as JPEG, in the best quality in which they are small enough."""
    pictures: list[bytes] = []
    for quality in _CARD_QUALITIES:
        pictures = [to_jpeg(still.picture, quality) for still in shown]
        if sum(map(len, pictures)) <= _CARD_BYTES:
            break
    return pictures


def image_html(frame: Pixels) -> str:
    """Return a frame, scaled down, as an element of a page."""
    picture = to_jpeg(_scaled(frame, _COPY_SIZE), _COPY_QUALITY)
    return f'<img src="{_data_url(picture)}" alt="" style="min-width: 0; max-width: 100%">'


def _data_url(jpeg_file: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg_file).decode()}"


def _scaled(frame: Any, max_size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(frame)
    picture.thumbnail(max_size)
    return picture
