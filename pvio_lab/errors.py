"""The errors of pvio_lab. Each message says what was wrong, the value, and what is allowed or what to do."""

from typing import Any

__all__ = ["DecodeError", "EncodeError", "FrameTimestampError", "OpenError", "SourceError", "VideoError"]


class VideoError(RuntimeError):
    """Something is wrong with the media itself; the root of the errors below."""


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
