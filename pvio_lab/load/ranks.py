"""Distributed training: which share of the frames is this process's."""

from __future__ import annotations

from ..read.numbers import not_negative_integer, positive_integer


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
