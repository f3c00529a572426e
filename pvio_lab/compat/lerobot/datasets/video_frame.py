"""LeRobot's feature for Hugging Face `datasets`."""

from __future__ import annotations

from dataclasses import dataclass

from ....scale import VideoFrame as _VideoFrame


@dataclass
class VideoFrame(_VideoFrame):
    """A column of `{"path": str, "timestamp": float32}`, which stay what they are.

    `decode=True` reads the pictures, as the feature of this library does.
    """

    decode: bool = False
