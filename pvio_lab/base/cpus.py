"""The number of processors that this process may use: its affinity, and the limit of its container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def num_cpus(root: Path = Path("/")) -> int:
    """Return how many processors this process may use; one that it may use in part counts.

    Args:
        root: The folder of `proc` and `sys`; for tests.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([allowed, *_limits(root)])))


def _limits(root: Path) -> Iterator[float]:
    """Yield the number of processors whose time each control group above this process grants."""
    for name, limit in (("cpu.max", _limit_v2), ("cpu.cfs_quota_us", _limit_v1)):
        for group in _groups(root, "" if limit is _limit_v2 else "cpu"):
            with suppress(OSError, ValueError, ZeroDivisionError):
                yield limit(group / name)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups of this process; in a container, often only the root."""
    base = root / "sys/fs/cgroup" / controller
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                group = base / path.strip("/")
                yield from (each for each in (group, *group.parents) if each.is_relative_to(base))


def _limit_v2(file: Path) -> float:
    """Read a limit: '150000 100000' -> 1.5; 'max 100000' is a ValueError, as there is no limit."""
    quota, period = file.read_text().split()
    return int(quota) / int(period)


def _limit_v1(file: Path) -> float:
    """Read a limit from two files; a quota of -1 is no limit."""
    quota = int(file.read_text())
    if quota <= 0:
        raise ValueError(quota)
    return quota / int(file.with_name("cpu.cfs_period_us").read_text())
