"""Frames as files for a browser: quick ones while one moves, true ones to look at."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
