"""The sharing of tasks among workers, as parallel-video-io has it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Task = TypeVar("Task", bound=Hashable)


def balance_load_lpt(tasks: Mapping[Task, int], n_workers: int) -> list[list[Task]]:
    """Return the tasks of each worker: the longest task that is left goes to the one with the least to do.

    >>> balance_load_lpt({"a": 5, "b": 4, "c": 3, "d": 2}, 2)
    [['a', 'd'], ['b', 'c']]

    Args:
        tasks: The tasks, with the time that each takes.
        n_workers: The number of workers.
    """
    shares: list[list[Task]] = [[] for _ in range(n_workers)]
    loads = [0] * n_workers
    for task in sorted(tasks, key=lambda each: -tasks[each]):
        worker = loads.index(min(loads))
        shares[worker].append(task)
        loads[worker] += tasks[task]
    return shares
