"""The errors of pvio_lab. Each message says what was wrong, the value, and what is allowed or what to do."""

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
    """A source cannot be fetched or cached."""


class FrameTimestampError(ValueError):
    """No frame is on screen at the time asked for."""
