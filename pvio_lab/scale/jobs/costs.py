"""What clips cost: the seconds of each phase, and how fast a job went from clip to clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .clip import PHASES

Seconds = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class ClipCosts:
    """The seconds of each clip of a run, one entry a clip, in the order in which they began."""

    transport_seconds: Seconds
    """Getting the file to this machine."""
    open_seconds: Seconds
    """Opening it, and learning where its frames are."""
    decode_seconds: Seconds
    """Decoding, also of the frames on the way to those asked for."""
    convert_seconds: Seconds
    """Turning decoded frames into RGB."""
    other_seconds: Seconds
    """Everything else: a function, encoding images."""
    begun_at: Seconds
    """When each clip began."""
    num_cpus: int
    """How many clips could be in work at the same time."""

    @classmethod
    def of(cls, columns: dict[str, Seconds], num_cpus: int) -> ClipCosts:
        """From the columns of these names, in any order of the clips."""
        order = np.argsort(columns["begun_at"], kind="stable")
        return cls(**{name: np.asarray(values)[order] for name, values in columns.items()}, num_cpus=num_cpus)

    def __len__(self) -> int:
        return len(self.begun_at)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {1000 * value:.3g}" for name, value in self.phases.items())
        return f"ClipCosts({len(self)} clips; milliseconds of a clip: {parts})"

    @property
    def total_seconds(self) -> Seconds:
        """How long each clip took."""
        total: Seconds = np.sum([getattr(self, f"{name}_seconds") for name in PHASES], axis=0)
        return total

    @property
    def phases(self) -> dict[str, float]:
        """The seconds of each phase, of a clip on average; the last is what passes between clips."""
        means = {name: float(getattr(self, f"{name}_seconds").mean()) for name in PHASES}
        return means | {"between": max(0.0, self.core_seconds - float(self.total_seconds.mean()))}

    @property
    def core_seconds(self) -> float:
        """How long a core is taken by a clip, with all that lies between this clip and the next."""
        return steady_seconds(self.begun_at, self.begun_at + self.total_seconds, self.num_cpus)


def steady_seconds(begin: Seconds, end: Seconds, num_cpus: int) -> float:
    """Core seconds a clip while all cores have work: without starting up, and without the end.

    >>> begin = np.array([0.0, 0.0, 2.0, 2.0, 4.0])  # two at a time, then one is left over
    >>> float(steady_seconds(begin, begin + 1.5, num_cpus=2))
    2.0

    Args:
        begin: When each clip began.
        end: When it was done.
        num_cpus: How many cores there are.
    """
    own, starts = float((end - begin).mean()), np.sort(begin)
    running = np.arange(1, len(starts) + 1) - np.searchsorted(np.sort(end), starts, side="right")
    full = starts[running >= num_cpus]
    if len(full) < 2 or full[-1] <= full[0]:
        return own
    inside = np.clip(np.minimum(end, full[-1]) - np.maximum(begin, full[0]), 0, None)
    done = float((inside / np.maximum(end - begin, 1e-9)).sum())
    return max(own, num_cpus * float(full[-1] - full[0]) / done)
