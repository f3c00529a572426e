"""What every reader of frames has in common: asking for them by number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from .. import show
from .numbers import frame_numbers

if TYPE_CHECKING:
    import torch

Frames = NDArray[np.uint8]
Reader = TypeVar("Reader", bound="FrameReader")


class FrameReader(ABC):
    """Frames by number, as from an array that is decoded piece by piece."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _read(self, numbers: NDArray[np.int64]) -> Frames:
        """These frames, whose numbers are all in range, in a new array."""

    @abstractmethod
    def close(self) -> None:
        """Gives everything back."""

    def __getitem__(self, key: Any) -> Frames:
        numbers, is_scalar = frame_numbers(key, len(self))
        frames = self._read(numbers)
        return frames[0] if is_scalar else frames

    @overload
    def read(self, indices: Any, *, as_torch: Literal[False] = False) -> Frames: ...
    @overload
    def read(self, indices: Any, *, as_torch: Literal[True]) -> torch.Tensor: ...
    @overload
    def read(self, indices: Any, *, as_torch: bool) -> Frames | torch.Tensor: ...
    def read(self, indices: Any, *, as_torch: bool = False) -> Frames | torch.Tensor:
        """The same as `reader[indices]`; as a torch tensor `(n, C, H, W)`, without a copy, when asked."""
        frames = self[indices]
        if not as_torch:
            return frames
        import torch

        return torch.from_numpy(frames).movedim(-1, -3)

    def __enter__(self: Reader) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_html_(self) -> str:
        return show.html("card", self)
