"""Frames by number: what every reader of frames has in common, and the keys by which they are asked for."""

from __future__ import annotations

import operator
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import Drawn, positive_integer
from .decode import MAX_PIXELS_VARIABLE, max_pixels
from .info import VideoInfo
from .times import Times, frames_at, nearest_frames

if TYPE_CHECKING:
    import torch

Numbers = NDArray[np.int64]
Frames = NDArray[np.uint8]
Batches = Iterator[tuple[Numbers, Frames]]
Reader = TypeVar("Reader", bound="FrameReader")

_ALLOWED = "an integer, a slice, a list or 1-D array of integers, or a boolean array with one entry per frame"


def frame_numbers(key: Any, length: int) -> tuple[Numbers, bool]:
    """Return the frames that a key asks for, in its order, and whether it asks for a single one.

    >>> frame_numbers([7, 3, 3, -1], 10)
    (array([7, 3, 3, 9]), False)
    >>> frame_numbers(slice(None, None, 4), 10)
    (array([0, 4, 8]), False)
    >>> frame_numbers(-1, 10)
    (array([9]), True)

    Raises:
        IndexError: A number is out of range.
        TypeError: The key is of another kind: a float, bool, string ...
    """
    if isinstance(key, slice):
        return np.arange(*key.indices(length), dtype=np.int64), False
    array = _as_array(key)
    if array.dtype.kind == "b" and array.ndim == 1:
        if array.size != length:
            raise TypeError(f"a boolean array must have {length} entries, one per frame, not {array.size}")
        return np.flatnonzero(array).astype(np.int64), False
    if array.ndim > 1 or not (array.dtype.kind in "iu" or array.size == 0 or _all_integers(array)):
        raise _not_allowed(key)
    numbers = np.atleast_1d(array)
    outside = numbers[(numbers < -length) | (numbers >= length)]
    if outside.size:
        numbered = f"{length} frames, numbered 0 to {length - 1}, or -{length} to -1 from the end"
        there = numbered if length else "no frames"
        raise IndexError(f"frame {outside[0]} is out of range: there are {there}")
    numbers = numbers.astype(np.int64)
    return np.where(numbers < 0, numbers + length, numbers), array.ndim == 0


def ascending(key: Any, length: int) -> Numbers:
    """Return the frames that a key asks for, which must ascend, each once.

    >>> ascending([2, 3, -1], 10)
    array([2, 3, 9])
    """
    numbers, _ = frame_numbers(key, length)
    falls = np.flatnonzero(np.diff(numbers) <= 0)
    if falls.size:
        before, after = numbers[falls[0] : falls[0] + 2].tolist()
        raise ValueError(f"frame numbers must ascend here, each once: {after} comes after {before}")
    return numbers


def _as_array(key: Any) -> NDArray[Any]:
    if isinstance(key, range):
        return np.arange(key.start, key.stop, key.step)
    if hasattr(key, "__array__"):
        return np.asarray(key)
    if hasattr(key, "__index__") and not isinstance(key, bool):
        return np.asarray(operator.index(key))
    if not isinstance(key, Sequence) or isinstance(key, str | bytes):
        raise _not_allowed(key)
    try:
        array = np.asarray(key)
    except ValueError as error:  # nested, with parts of different lengths
        raise _not_allowed(key) from error
    if any(isinstance(number, bool | np.bool_) for number in key):
        raise _not_allowed(key)
    return array


def _all_integers(array: NDArray[Any]) -> bool:
    """Return True for the object arrays that numpy makes of integers beyond 64 bits."""
    return array.dtype.kind == "O" and all(isinstance(number, int) for number in array.flat)


def _not_allowed(key: Any) -> TypeError:
    return TypeError(f"frame numbers must be {_ALLOWED}, not {type(key).__name__}: {reprlib.repr(key)}")


def frame_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height, checked.

    >>> frame_size((64, 0))
    Traceback (most recent call last):
    ValueError: height=0 must be 1 or more
    """
    width, height = size
    return _not_too_large((positive_integer(width, "width"), positive_integer(height, "height")))


def scaled_size(own: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    """Return width and height of scaled frames; one that is not given follows from their own shape.

    >>> scaled_size((640, 360), None, 180)
    (320, 180)
    """
    if width is None and height is None:
        return own
    if height is None:
        assert width is not None
        return _not_too_large((width, max(1, round(width * own[1] / own[0]))))
    return _not_too_large((width or max(1, round(height * own[0] / own[1])), height))


def _not_too_large(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    if width * height > max_pixels():
        raise ValueError(
            f"frames of width={width} and height={height} would have more than {max_pixels()} pixels; "
            f"ask for smaller ones, or set {MAX_PIXELS_VARIABLE} in the environment"
        )
    return size


class FrameReader(Drawn, ABC):
    """Frames by number, as from an array that is decoded piece by piece."""

    drawn_as = "card"
    _shape: tuple[int, int, int, int]

    @property
    @abstractmethod
    def info(self) -> VideoInfo:
        """The facts of the video."""

    @property
    @abstractmethod
    def times(self) -> Times:
        """The times at which frames appear, and for which they stay on screen."""

    @property
    def fps(self) -> float:
        """Frames a second, on average."""
        return self.info.fps

    @property
    def _name(self) -> str:
        """The source, as messages may show it."""
        return self.info.path

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of frames, height, width, 3."""
        return self._shape

    @property
    def convert_seconds(self) -> float:
        """Time spent so far to convert frames asked for at random to RGB, where that is a step of its own."""
        return 0.0

    def __len__(self) -> int:
        return self._shape[0]

    def __iter__(self) -> Iterator[Frames]:
        return self._stream(np.arange(len(self)), None)

    @abstractmethod
    def _read(self, numbers: Numbers) -> Frames:
        """Return these frames, whose numbers are all in range, in a new array."""

    @abstractmethod
    def _stream(self, numbers: Numbers, size: tuple[int, int] | None) -> Iterator[Frames]:
        """Yield these frames, whose numbers ascend, in this width and height, else those of the reader."""

    def _batches(self, parts: list[Numbers], *, is_ascending: bool) -> Batches:
        """Yield these parts, each with its frames; the numbers of all together ascend, or descend."""
        return ((part, self._read(part)) for part in parts)

    @abstractmethod
    def close(self) -> None:
        """Free memory, threads and files."""

    @abstractmethod
    def rest(self) -> None:
        """Free threads and files until the next read."""

    def __getitem__(self, key: Any) -> Frames:
        numbers, is_scalar = frame_numbers(key, self._shape[0])
        frames = self._read(numbers)
        return frames[0] if is_scalar else frames

    @overload
    def read(self, indices: Any, *, as_torch: Literal[False] = False) -> Frames: ...
    @overload
    def read(self, indices: Any, *, as_torch: Literal[True]) -> torch.Tensor: ...
    @overload
    def read(self, indices: Any, *, as_torch: bool) -> Frames | torch.Tensor: ...
    def read(self, indices: Any, *, as_torch: bool = False) -> Frames | torch.Tensor:
        """Return the same as `reader[indices]`, or as a torch tensor `(n, C, H, W)`, without a copy."""
        frames = self[indices]
        if not as_torch:
            return frames
        import torch

        return torch.from_numpy(frames).movedim(-1, -3)

    def at(self, seconds: ArrayLike) -> Frames:
        """Return the frame on screen at this time, or the frames at these times.

        Raises:
            FrameTimestampError: A time is outside the video.
        """
        return self[frames_at(*self.times, seconds)]

    @overload
    def nearest(
        self, seconds: ArrayLike, tolerance_s: float, *, as_torch: Literal[False] = False
    ) -> Frames: ...
    @overload
    def nearest(self, seconds: ArrayLike, tolerance_s: float, *, as_torch: Literal[True]) -> torch.Tensor: ...
    def nearest(
        self, seconds: ArrayLike, tolerance_s: float, *, as_torch: bool = False
    ) -> Frames | torch.Tensor:
        """Return the frame whose time is nearest to this one, or the frames for these times.

        Args:
            seconds: A time, or many.
            tolerance_s: How far from a time its frame may be.
            as_torch: Return a torch tensor `(n, C, H, W)`, as `read` does.

        Raises:
            FrameTimestampError: The nearest frame is further away.
        """
        numbers = nearest_frames(self.times.pts_seconds, seconds, tolerance_s, self._name)
        return self.read(numbers, as_torch=as_torch)

    def batches(self, batch_size: int, *, start: int = 0, stop: int | None = None, step: int = 1) -> Batches:
        """Yield pairs of `(numbers, frames)`, `batch_size` at a time, each decoded when it is asked for.

        Args:
            batch_size: How many frames each batch has; the last one may have fewer.
            start: The first frame; negative counts from the end, as in a slice.
            stop: One past the last frame, or None for all; as in a slice.
            step: Take every `step`-th frame; negative goes backwards.
        """
        size = positive_integer(batch_size, "batch_size")
        numbers, _ = frame_numbers(slice(start, stop, step), self._shape[0])
        parts = [numbers[i : i + size] for i in range(0, len(numbers), size)]
        return self._batches(parts, is_ascending=step > 0)

    def stream(self, indices: Any, *, size: tuple[int, int] | None = None) -> Iterator[Frames]:
        """Yield these frames one by one, each decoded when it is asked for, with flat memory.

        Args:
            indices: Their numbers, which must ascend; otherwise as in `reader[indices]`.
            size: Width and height of the frames, if not those of the reader.
        """
        numbers = ascending(indices, self._shape[0])
        return self._stream(numbers, None if size is None else frame_size(size))

    def __enter__(self: Reader) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
