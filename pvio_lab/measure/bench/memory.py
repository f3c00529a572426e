"""How much memory a process holds, and how many files; 0 where the system does not tell."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

MB = 1e6


def resident_bytes(pid: int | str = "self") -> int:
    """What a process holds now."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def peak_bytes() -> int:
    """The most that this process ever held.

    `ru_maxrss` counts what its parent held when it was started, so Linux is asked otherwise.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def tree_bytes(pid: int) -> int:
    """What a process and all its descendants hold now; pages that they share count for each of them."""
    return resident_bytes(pid) + sum(tree_bytes(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError, ValueError):
            found += map(int, place.read_text().split())
    return found


def open_files() -> int:
    """How many file descriptors this process has."""
    for place in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(place))
    return 0
