"""The number of processors that this process may use: its affinity, and the limit of its container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def num_cpus(root: Path = Path("/")) -> int:
    """Return how many processors this process may use; part of one counts. `root` is for tests."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = []
    for is_version_2, group in _groups(root):
        with suppress(OSError, ValueError, ZeroDivisionError):  # 'max 100000' is no limit
            if is_version_2:  # '150000 100000' -> 1.5
                quota, period = map(int, (group / "cpu.max").read_text().split())
            else:
                quota, period = (
                    int((group / f"cpu.cfs_{each}_us").read_text()) for each in ("quota", "period")
                )
            limits += [quota / period] if quota > 0 else []
    return max(1, math.ceil(min([allowed, *limits])))


def _groups(root: Path) -> Iterator[tuple[bool, Path]]:
    """Yield the folders of the control groups above this process; in a container, often only the root."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                base = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
                group = base / path.strip("/")
                yield from (
                    (not controllers, each) for each in (group, *group.parents) if each.is_relative_to(base)
                )
