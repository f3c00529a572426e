"""LeRobot's feature for Hugging Face `datasets`."""

from __future__ import annotations

from dataclasses import dataclass, field

from ....scale import VideoFrame as _VideoFrame


@dataclass
class VideoFrame(_VideoFrame):
    """A column of `{"path": str, "timestamp": float32}`, which stay what they are.

    `decode=True` reads the pictures, as the feature of this library does.
    """

    # `datasets` stores no defaults, and this one is not that of the feature that reads it.
    decode: bool = field(default=False, metadata={"include_in_asdict_even_if_is_default": True})
