"""How busy other programs keep the machine, as no figure is better than the quiet it was taken in."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


class Others:
    """Watches what is not this process, and not what it has started and seen ending."""

    def __init__(self) -> None:
        self._begin = self._now()

    def cores(self) -> float | None:
        """How many processors they kept busy since this was made; None where the system does not tell."""
        busy, own, clock = (now - then for now, then in zip(self._now(), self._begin, strict=True))
        if not self._begin[0] or clock <= 0:
            return None
        return max(0.0, busy - own) / clock

    def _now(self) -> tuple[float, float, float]:
        return _busy_seconds(), sum(os.times()[:4]), time.perf_counter()


def _busy_seconds() -> float:
    """What all processors have worked so far: neither idle, nor waiting for a disk."""
    with suppress(OSError, ValueError, AttributeError):
        ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return (sum(ticks[:3]) + sum(ticks[5:8])) / os.sysconf("SC_CLK_TCK")
    return 0.0
