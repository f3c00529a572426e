"""The arguments of datasets and loaders: what is allowed, and what to do about what is not."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from inspect import signature
from os import PathLike
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..base import not_negative_integer, positive_integer
from ..read import outline, source_name

_INSTEAD = {
    "collate_fn": "batches are filled in place; use the dataset's transform= to change them",
    "shuffle": "use order='shuffled'",
    "sampler": "use order= and the dataset's step=",
    "batch_sampler": "use order=, batch_size= and the dataset's step=",
    "prefetch_factor": "use prefetch=",
    "generator": "use seed=",
    "persistent_workers": "each loop has workers of its own",
}


def checked_paths(paths: Iterable[str | PathLike[str]]) -> tuple[str, ...]:
    """Videos that are yet to be opened: at least one, each a path or a URL."""
    if isinstance(paths, str | bytes | PathLike):
        raise TypeError(f"paths must be a list of paths, not one path; write [{outline(paths)}]")
    checked = tuple(map(_checked_path, paths))
    if not checked:
        raise ValueError("there are no videos: paths is empty")
    return checked


def _checked_path(path: Any) -> str:
    if not isinstance(path, str | PathLike):
        raise TypeError(f"a source must be a path or a URL, not {type(path).__name__}: {outline(path)}")
    return source_name(path)


def checked_stride(stride: int | None, fps: float | None) -> int:
    """A stride, which an `fps` rules out; 1 when left out."""
    if stride is not None and fps is not None:
        raise ValueError(f"stride={stride!r} and fps={fps!r} are different samplings: give one of them")
    return 1 if stride is None else positive_integer(stride, "stride")


def checked_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type of frames as tensors."""
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype={dtype!r} must be a torch.dtype, such as torch.float32")
    if dtype != torch.uint8 and not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype} must be torch.uint8 or a floating type, such as torch.float32")
    return dtype


def checked_workers(value: Any) -> int:
    """How many workers, where it is not "auto"."""
    try:
        return not_negative_integer(value, "num_workers")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}, or 'auto'") from None


def can_pin(pin_memory: bool) -> bool:
    """Pinned memory is wanted, and there is a GPU; a warning where there is none."""
    if pin_memory and not torch.cuda.is_available():
        warnings.warn("pin_memory=True has no effect: there is no GPU here", RuntimeWarning, stacklevel=3)
        return False
    return bool(pin_memory)


def refuse_torch_options(options: dict[str, Any]) -> None:
    """Raise TypeError for an option that there is not, and for one of torch's that asks for something."""
    allowed = signature(DataLoader).parameters
    for name, value in options.items():
        if name in allowed and value in (None, False):
            continue
        hint = _INSTEAD.get(name, "see help(VideoCollectionDataLoader) for those there are")
        raise TypeError(f"VideoCollectionDataLoader has no option {name}=: {hint}")


def checked_rank(rank: int | None, world_size: int | None) -> tuple[int, int] | None:
    """What was given, or None for what `torch.distributed` says."""
    if (rank is None) != (world_size is None):
        raise ValueError(f"rank={rank!r} and world_size={world_size!r} must be given together, or neither")
    if rank is None or world_size is None:
        return None
    if not_negative_integer(rank, "rank") >= positive_integer(world_size, "world_size"):
        raise ValueError(f"rank={rank} must be less than world_size={world_size}")
    return rank, world_size


def distributed_rank() -> tuple[int, int]:
    """Which of how many ranks `torch.distributed` makes this; the only one, where it is not initialised."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
