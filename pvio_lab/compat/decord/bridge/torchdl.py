"""The bridge to torch: tensors with the memory of decord's arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ndarray import NDArray

if TYPE_CHECKING:
    import torch


def try_import_torch() -> Any:
    """Return the module `torch.utils.dlpack`."""
    import torch.utils.dlpack

    return torch.utils.dlpack


def to_torch(decord_arr: NDArray) -> torch.Tensor:
    """Return a tensor with the memory of this array."""
    import torch

    return torch.from_numpy(decord_arr.asnumpy())


def from_torch(tensor: torch.Tensor) -> NDArray:
    """Return an array with the memory of this tensor."""
    return NDArray(tensor.numpy())
