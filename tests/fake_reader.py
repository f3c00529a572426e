"""A reader without a video, for tests of what is drawn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from pvio_lab.errors import DecodeError
from pvio_lab.read import Times, VideoInfo


class FakeReader:
    """Gray frames as bright as their number, a keyframe every `gop` frames, some frames damaged."""

    def __init__(self, length=30, gop=10, size=(96, 64), fps=10.0, path="clip.mp4", damaged=(), **facts):
        self.fps, self.shape, self.damaged, self.asked = fps, (length, size[1], size[0], 3), set(damaged), []
        numbers = np.arange(length)
        self.index = SimpleNamespace(
            path=path,
            pts_seconds=numbers / fps,
            duration_seconds=np.full(length, 1 / fps),
            keyframes=numbers[::gop],
            gop_lengths=np.diff(np.append(numbers[::gop], length)),
            engine="decord",
            reason="every group is closed.",
            frame_bytes=np.where(numbers % gop == 0, 10240, 1024),
            frame_types=np.where(numbers % gop == 0, "I", np.where(numbers % 2, "B", "P")),
        )
        known = {
            "path": path,
            "num_frames": length,
            "height": size[1],
            "width": size[0],
            "fps": fps,
            "duration_seconds": length / fps,
            "start_seconds": 0.0,
            "codec": "h264",
            "pixel_format": "yuv420p",
            "container": "mov,mp4,m4a",
            "rotation_degrees": 0,
            "is_variable_rate": False,
            "bit_rate": 1000,
            "size_bytes": 1536,
            "audio": None,
        }
        self.info = VideoInfo(**known | facts)

    def __len__(self):
        return self.shape[0]

    @property
    def times(self):
        return Times(self.index.pts_seconds, self.index.duration_seconds)

    def read(self, numbers):
        self.asked += list(numbers)
        for number in numbers:
            if number in self.damaged:
                raise DecodeError(f"frame {number} cannot be decoded")
        frames = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        frames[:] = np.reshape(numbers, (-1, 1, 1, 1)) % 256
        return frames
