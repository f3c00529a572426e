"""The errors of pvio_lab. Each message says what was wrong, the value, and what is allowed or what to do.

Names in messages go through `printable`, as anybody may have chosen them.
"""

import os
from typing import Any

__all__ = ["DecodeError", "EncodeError", "FrameTimestampError", "OpenError", "SourceError", "VideoError"]


def printable(text: str | os.PathLike[str], *, keep: str = "") -> str:
    r"""Return a text, such as the name of a file, with escapes for all that a terminal might act on.

    >>> print(printable("red\x1b[31m.mp4"))
    red\x1b[31m.mp4

    Args:
        text: A text that anybody may have written.
        keep: Characters that stay as they are, such as the end of a line.
    """
    name = os.fsdecode(text)
    if name.isprintable():
        return name
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in name
    )


class VideoError(RuntimeError):
    """Something is wrong with the media itself; the root of the errors below."""

    def __init__(self, *args: Any):
        # Names of files, and what a server or a file says, are part of many messages.
        super().__init__(*(printable(each, keep="\n") if isinstance(each, str) else each for each in args))


class OpenError(VideoError):
    """The file cannot be opened: not a video, no video stream, or an unknown codec."""


class DecodeError(VideoError):
    """A frame cannot be decoded; the message says which."""


class EncodeError(VideoError):
    """A video cannot be written; the message carries ffmpeg's own words."""


class SourceError(VideoError):
    """A source cannot be fetched or cached.

    >>> SourceError("the server answered 503", attempts=3, is_temporary=True).attempts
    3

    Args:
        *args: The message.
        attempts: How often it was tried; 0 where that was pointless.
        is_temporary: Whether it may go well another time: a time-out, a reset, 429, 5xx.
    """

    def __init__(self, *args: Any, attempts: int = 0, is_temporary: bool = False):
        super().__init__(*args)
        self.attempts, self.is_temporary = attempts, is_temporary


class FrameTimestampError(ValueError):
    """No frame is on screen at the time asked for."""
