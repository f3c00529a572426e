"""The largest frame that is allowed: a file of a few bytes can claim one that fills the memory."""

from __future__ import annotations

import os
import re

from ..errors import OpenError, printable

MAX_PIXELS_VARIABLE = "PVIO_LAB_MAX_PIXELS"
# 16384x8192: more than any camera has.
_MAX_PIXELS = 2**27
_ROUNDING_PIXELS = 64 * 2**16


def max_pixels() -> int:
    """Return the largest number of pixels of a frame: `$PVIO_LAB_MAX_PIXELS`, or 134,217,728.

    A variable of the environment reaches child processes and workers, too.

    Raises:
        ValueError: The variable is no number above 0.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE)
    if not text:
        return _MAX_PIXELS
    if not re.fullmatch("[0-9]{1,18}", text) or not int(text):
        raise ValueError(f"{MAX_PIXELS_VARIABLE}={text!r} must be a number of pixels, such as {_MAX_PIXELS}")
    return int(text)


def codec_options() -> dict[str, str]:
    """Return the options under which a decoder refuses what is too large, before it asks for memory.

    FFmpeg counts rows that are rounded up to 64 pixels, so that it is allowed a little more.
    """
    return {"max_pixels": str(max_pixels() + _ROUNDING_PIXELS)}


def check_size(width: int, height: int, path: str | os.PathLike[str]) -> None:
    """Refuse frames that are too large.

    >>> check_size(16000, 16000, "bomb.gif")
    Traceback (most recent call last):
    pvio_lab.errors.OpenError: the frames of bomb.gif are 16000x16000, more than 134217728 pixels; \
PVIO_LAB_MAX_PIXELS=256000000 in the environment allows them

    Raises:
        OpenError: They have more than `max_pixels()` pixels.
    """
    limit = max_pixels()
    if width * height > limit:
        raise OpenError(
            f"the frames of {printable(path)} are {width}x{height}, more than {limit} pixels; "
            f"{MAX_PIXELS_VARIABLE}={width * height} in the environment allows them"
        )
