"""Recently decoded frames, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from .convert import Frame


class FrameCache:
    """Forgets the frames that were not used for longest. Frames are kept as the codec has them: half of RGB.

    Args:
        max_bytes: How much the frames may hold together; 0 keeps none.
    """

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._bytes = 0

    def get(self, number: int) -> Frame | None:
        """The frame, if it is still here."""
        frame = self._frames.get(number)
        if frame is not None:
            self._frames.move_to_end(number)
        return frame

    def put(self, number: int, frame: Frame) -> None:
        """Keeps a frame; others may have to go."""
        if number in self._frames:
            self._frames.move_to_end(number)
            return
        self._frames[number] = frame
        self._bytes += frame_bytes(frame)
        while self._bytes > self._max_bytes:
            _, oldest = self._frames.popitem(last=False)
            self._bytes -= frame_bytes(oldest)

    def clear(self) -> None:
        """Forgets them all."""
        self._frames.clear()
        self._bytes = 0


def frame_bytes(frame: Frame) -> int:
    """How much memory the pixels of a decoded frame take."""
    return frame.nbytes if isinstance(frame, np.ndarray) else sum(plane.buffer_size for plane in frame.planes)
