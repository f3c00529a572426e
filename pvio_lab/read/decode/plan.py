"""From frame numbers to the fewest decoding runs. Pure: it knows numbers, not videos."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Beginning somewhere costs about as much as decoding this many frames.
SEEK_COST = 2
# Many short runs are handed out in this many portions for each worker.
_PORTIONS = 4

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """Frames that are decoded together, from one place to begin."""

    entry: int
    """The packet at which decoding begins."""
    numbers: tuple[int, ...]
    """The frames to get, sorted."""
    cost: int
    """About how many frames have to be decoded."""


def plan_runs(numbers: Numbers, entry: Numbers, packet_of: Numbers) -> list[Run]:
    """One run for each place where decoding has to begin, however the numbers are ordered.

    >>> entry, packets = np.array([0, 0, 0, 3, 3, 3]), np.arange(6)
    >>> plan_runs(np.array([5, 1, 3, 1]), entry, packets)
    [Run(entry=0, numbers=(1,), cost=4), Run(entry=3, numbers=(3, 5), cost=5)]

    Args:
        numbers: The frames asked for; any order, duplicates allowed.
        entry: For each frame of the video, the packet at which decoding begins.
        packet_of: For each frame of the video, its packet.
    """
    wanted = np.unique(numbers)
    if not wanted.size:
        return []
    by_entry = wanted[np.argsort(entry[wanted], kind="stable")]
    edges = np.flatnonzero(np.diff(entry[by_entry])) + 1
    return [_run(part, entry, packet_of) for part in np.split(by_entry, edges)]


def share_out(runs: list[Run], num_workers: int) -> list[list[Run]]:
    """Portions for workers that take one after the other: neighbours together, the costly ones first."""
    most = num_workers * _PORTIONS
    if len(runs) <= most:
        portions = [[run] for run in runs]
    else:
        done = np.cumsum([run.cost for run in runs])
        cuts = np.searchsorted(done, np.linspace(0, done[-1], most + 1)[1:-1])
        portions = [runs[a:b] for a, b in pairwise([0, *cuts.tolist(), len(runs)]) if a < b]
    return sorted(portions, key=lambda portion: -sum(run.cost for run in portion))


def _run(numbers: Numbers, entry: Numbers, packet_of: Numbers) -> Run:
    first, last = int(entry[numbers[0]]), int(packet_of[numbers].max())
    return Run(first, tuple(numbers.tolist()), last - first + 1 + SEEK_COST)
