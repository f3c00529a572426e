"""decord's `VideoReader`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray as Array

from ... import VideoReader as ExactReader
from .base import LocalSource, checked_index, checked_indices, decord_errors, opening, tell_once
from .bridge import bridge_out
from .ndarray import CPU, DECORDContext, NDArray, check_device


class VideoReader:
    """Frames of a video by number, or one after the other.

    >>> vr = VideoReader("data_samples/shapes.mp4", width=320, height=180)
    >>> len(vr), vr[137].shape, vr[:20:10].shape
    (300, (180, 320, 3), (2, 180, 320, 3))

    Args:
        uri: A path, a URL, or the content of a video: bytes, or a file object, of which the rest is read. It
            is copied to a temporary file, which is removed with the reader.
        ctx: The device, which must be `cpu()`.
        width: The width of the frames, if it is more than 0; the height does not follow it.
        height: The height of the frames, if it is more than 0.
        num_threads: How many threads decode, if it is more than 0.
        fault_tol: Not used: a frame that cannot be decoded is an error, and never replaced by another.
        warn: Warn, once a file, where decord itself may return other frames. It is logged in any case.

    Raises:
        DECORDError: It cannot be opened; then it is a RuntimeError as well. Or `ctx` is a GPU.
    """

    def __init__(
        self,
        uri: Any,
        ctx: DECORDContext = CPU,
        width: int = -1,
        height: int = -1,
        num_threads: int = 0,
        fault_tol: float = -1,
        *,
        warn: bool = False,
    ):
        check_device(ctx)
        self._source = LocalSource(uri)
        with opening(uri):
            self._reader = open_reader(
                self._source.uri, width, height, num_threads=max(num_threads, 0) or None
            )
        self._next, self._warn = 0, warn

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, idx: int | slice) -> Any:
        """Return one frame, or those of a slice."""
        if isinstance(idx, slice):
            return self.get_batch(range(len(self))[idx])
        self._next = checked_index(idx, len(self))
        return self.next()

    def next(self) -> Any:
        """Return the frame after the one that was read last.

        Raises:
            StopIteration: That was the last one.
        """
        if self._next >= len(self):
            raise StopIteration
        frame = self._read(np.array([self._next]))[0]
        self._next += 1
        return bridge_out(NDArray(frame))

    def get_batch(self, indices: Any) -> Any:
        """Return any frames, in this order, as one array.

        Args:
            indices: A list or an array of numbers; duplicates are allowed, negative ones count from the end.

        Raises:
            IndexError: A number is out of range.
        """
        numbers = checked_indices(indices, len(self))
        if numbers.ndim != 1:
            raise TypeError(f"indices={indices!r} must be a list or an array of numbers")
        frames = self._read(numbers)
        if numbers.size:  # decord goes on after the frame that it has decoded last, which is no repeat
            _, firsts = np.unique(numbers, return_index=True)
            self._next = int(numbers[firsts.max()]) + 1
        return bridge_out(NDArray(frames))

    def get_key_indices(self) -> list[int]:
        """Return the numbers of the keyframes."""
        return [int(number) for number in self._reader.index.keyframes]

    def get_avg_fps(self) -> float:
        """Return how many frames a second there are, on average."""
        return self._reader.fps

    def get_frame_timestamp(self, idx: Any) -> Array[np.float32]:
        """Return when frames appear and disappear, in seconds after the first frame appears.

        Args:
            idx: A number, a list of numbers, or a slice.

        Returns:
            An array of shape `(2,)` for a number, `(n, 2)` for n of them.
        """
        numbers = range(len(self))[idx] if isinstance(idx, slice) else idx
        begin, stay = self._reader.times
        spans = np.stack([begin, begin + stay], axis=-1) - begin[0]
        found: Array[np.float32] = spans.astype(np.float32)[checked_indices(numbers, len(self))]
        return found

    def seek(self, pos: int) -> None:
        """Go to a frame: it is the one that `next` returns. In decord, that may be a keyframe near to it."""
        self.seek_accurate(pos)

    def seek_accurate(self, pos: int) -> None:
        """Go to a frame: it is the one that `next` returns."""
        assert 0 <= pos < len(self), f"pos={pos} must be from 0 to {len(self) - 1}"
        self._next = int(pos)

    def skip_frames(self, num: int = 1) -> None:
        """Pass over some frames, at most to the end."""
        assert num > 0, f"num={num} must be 1 or more"
        self._next = min(self._next + int(num), len(self))

    def _read(self, numbers: Array[np.int64]) -> Array[np.uint8]:
        refusal = self._reader.index.decord_refusal
        if refusal is not None and numbers.size:
            tell_once(self._reader.info.path, int(numbers[0]), refusal, warn=self._warn)
        with decord_errors():
            return self._reader.read(numbers)


def open_reader(source: Any, width: int, height: int, **options: Any) -> ExactReader:
    """Open a source; a side that is not more than 0 is the video's own, whatever the other one is."""
    if (width > 0) == (height > 0):
        return ExactReader(source, width=max(width, 0) or None, height=max(height, 0) or None, **options)
    with ExactReader(source) as reader:
        _, own_height, own_width, _ = reader.shape
    size: dict[str, Any] = {
        "width": width if width > 0 else own_width,
        "height": height if height > 0 else own_height,
    }
    return ExactReader(source, **size, **options)
