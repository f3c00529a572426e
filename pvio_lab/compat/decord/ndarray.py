"""decord's arrays and devices. An array is a view of numpy's: `asnumpy` and DLPack do not copy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from numpy.typing import NDArray as Array

from .base import DECORDError

_NAMES = {1: "cpu", 2: "gpu"}
_TYPES = {"cpu": 1, "llvm": 1, "stackvm": 1, "gpu": 2, "cuda": 2, "nvptx": 2}


@dataclass(frozen=True, repr=False)
class DECORDContext:
    """A device: processors, or a GPU, which cannot be used here."""

    device_type: int
    """1 for processors, 2 for a GPU."""
    device_id: int
    """Its number."""

    @property
    def exist(self) -> bool:
        """True if it can be used."""
        return self.device_type == 1

    def __repr__(self) -> str:
        return f"{_NAMES.get(self.device_type, self.device_type)}({self.device_id})"


def cpu(dev_id: int = 0) -> DECORDContext:
    """Return the device of the processors."""
    return DECORDContext(1, dev_id)


def gpu(dev_id: int = 0) -> DECORDContext:
    """Return the device of a GPU; readers that are given it raise a `DECORDError`."""
    return DECORDContext(2, dev_id)


def context(dev_type: int | str, dev_id: int = 0) -> DECORDContext:
    """Return a device by its number or name.

    >>> context("cuda", 1)
    gpu(1)
    """
    if isinstance(dev_type, str):
        if dev_type.split()[0] not in _TYPES:
            raise ValueError(f"dev_type={dev_type!r} is unknown; there are {', '.join(_TYPES)}")
        dev_type = _TYPES[dev_type.split()[0]]
    return DECORDContext(dev_type, dev_id)


CPU = cpu(0)


def check_device(ctx: Any) -> None:
    """Refuse everything but processors.

    Raises:
        AssertionError: It is not a device.
        DECORDError: It is a GPU.
    """
    assert isinstance(ctx, DECORDContext), f"ctx={ctx!r} must be a device, such as cpu(0)"
    if ctx.device_type != 1:
        raise DECORDError(
            f"ctx={ctx!r}: videos are decoded on processors only; give cpu(0), or leave ctx out"
        )


class NDArray:
    """An array as decord returns it, around one of numpy.

    >>> frame = array(np.zeros((2, 3, 3), np.uint8))
    >>> frame.shape, frame.dtype, frame.ctx, len(frame)
    ((2, 3, 3), 'uint8', cpu(0), 18)

    As in decord, it has no items, two of them are equal only if they are the same, and its length is the
    number of its elements. Take `asnumpy()`, or give it to `np.asarray` or `torch.from_dlpack`.
    """

    def __init__(self, values: Array[Any]):
        self._values = values

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self._values.shape

    @property
    def dtype(self) -> str:
        """The name of the type of its elements."""
        return self._values.dtype.name

    @property
    def ctx(self) -> DECORDContext:
        """The device that it is on."""
        return cpu(0)

    context = ctx

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return f"<decord.NDArray shape={self.shape}, {self.ctx}>\n{self._values!r}"

    def __str__(self) -> str:
        return str(self._values)

    def asnumpy(self) -> Array[Any]:
        """Return it as an array of numpy, without a copy."""
        return self._values

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array[Any]:
        values = self._values if dtype is None else self._values.astype(dtype, copy=False)
        if copy is False and values is not self._values:
            raise ValueError(f"an array of {self.dtype} cannot become {dtype} without a copy")
        return values.copy() if copy and values is self._values else values

    def to_dlpack(self) -> Any:
        """Return a DLPack capsule, which can be used once."""
        return self._values.__dlpack__()

    def __dlpack__(self, **options: Any) -> Any:
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._values.__dlpack_device__()

    def same_as(self, other: object) -> bool:
        """Return whether this and another are one."""
        return self is other

    def copyfrom(self, source_array: ArrayLike | NDArray) -> NDArray:
        """Take over the values of an array of the same shape, and return this one."""
        values = np.asarray(source_array)
        if values.shape != self.shape:
            raise ValueError(f"array shape do not match the shape of NDArray {values.shape} vs {self.shape}")
        self._values[...] = values
        return self

    def copyto(self, target: DECORDContext | NDArray) -> NDArray:
        """Copy it into an array, or into a new one on a device, and return that."""
        if isinstance(target, DECORDContext):
            check_device(target)
            return NDArray(self._values.copy())
        if not isinstance(target, NDArray):
            raise ValueError(f"target must be an NDArray or a device, not {type(target).__name__}")
        return target.copyfrom(self)

    def __setitem__(self, in_slice: slice, value: ArrayLike | NDArray) -> None:
        if in_slice != slice(None):
            raise ValueError(f"only all values can be set, as in array[:] = values, not {in_slice!r}")
        self.copyfrom(value)


def array(arr: ArrayLike | NDArray, ctx: DECORDContext = CPU) -> NDArray:
    """Return a new array with these values."""
    check_device(ctx)
    return NDArray(np.array(arr, order="C"))


def empty(shape: tuple[int, ...], dtype: str = "float32", ctx: DECORDContext = CPU) -> NDArray:
    """Return a new array, with any values."""
    check_device(ctx)
    return NDArray(np.empty(shape, dtype))


def zerocopy_from_numpy(np_data: Array[Any]) -> NDArray:
    """Return an array with the memory of this one."""
    return NDArray(np_data)


def from_dlpack(dltensor: Any) -> NDArray:
    """Return an array with the memory of a DLPack capsule, or of anything that has `__dlpack__`."""
    return NDArray(np.from_dlpack(dltensor if hasattr(dltensor, "__dlpack__") else _Capsule(dltensor)))


class _Capsule:
    """A bare capsule, as numpy takes it."""

    def __init__(self, capsule: Any):
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)
