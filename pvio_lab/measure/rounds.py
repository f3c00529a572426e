"""Measuring in rounds: contenders take turns, results are there as they grow, and it can be ended early."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, TypeVar

from ..base import new_lock

T = TypeVar("T")


def turns(contenders: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield the number of each round with each contender; another one goes first each time.

    >>> list(turns(["a", "b"], 2))
    [(0, 'a'), (0, 'b'), (1, 'b'), (1, 'a')]
    """
    for number in range(rounds):
        first = number % len(contenders) if contenders else 0
        yield from ((number, each) for each in (*contenders[first:], *contenders[:first]))


class Step(NamedTuple):
    """The state after one more piece was measured."""

    done: int
    """The number of pieces that are done."""
    total: int
    """The number of all pieces."""
    row: Any
    """The result of all pieces of one contender so far; None while the contenders are loaded."""
    missing: dict[str, str] = {}  # noqa: RUF012  never changed
    """The contenders that could not be loaded, and why."""


def spread(rates: Sequence[float]) -> dict[str, Any]:
    """Return the fields of a row: the median, the slowest and the fastest; None where there are no rates."""
    median = statistics.median(rates) if rates else None
    return {"frames_per_second": median, "low": min(rates, default=None), "high": max(rates, default=None)}


def last_rows(
    steps: Generator[Step],
    key: Callable[[Any], Hashable],
    label: Callable[[Any], str],
    *,
    progress: bool,
) -> tuple[list[Any], dict[str, str]]:
    """Follow a measurement with a progress bar; return the last row of each key, and what is missing."""
    from tqdm.auto import tqdm

    rows, missing = dict[Hashable, Any](), dict[str, str]()
    with closing(steps), tqdm(desc="measuring", unit="piece", leave=False, disable=not progress) as bar:
        for step in steps:
            missing, bar.total = step.missing, step.total
            if step.row is not None:
                rows[key(step.row)] = step.row
                bar.set_postfix_str(label(step.row), refresh=False)
            bar.update(step.done - bar.n)
    return list(rows.values()), missing


def measured(tallies: Sequence[T], rounds: int, measure: Callable[[T], None], stop: Stop) -> Iterator[T]:
    """Measure each of these in turns, and yield it; at a request to stop, end without the last one."""
    for _, tally in turns(tallies, rounds):
        if not stop.is_wanted:
            measure(tally)
        if stop.is_wanted:  # and what failed then, failed because of it
            return
        yield tally


def time_left(done: int, total: int, seconds: float) -> str:
    """Return in words how much longer it will take, at the pace so far.

    >>> time_left(0, 6, 1.0), time_left(2, 6, 10.0), time_left(1, 3, 100.0)
    ('', 'about 20 s left', 'about 3 min left')
    """
    if not done:
        return ""
    left = seconds / done * (total - done)
    return f"about {left:.0f} s left" if left < 100 else f"about {left / 60:.0f} min left"


class Stop:
    """A request to end a measurement early, which may come from another thread and is never withdrawn.

    The measurement ends soon, and forgets the piece it is at.

    >>> stop, ended = Stop(), []
    >>> with stop.ends(lambda: ended.append("a process")):
    ...     stop.request()
    >>> stop.is_wanted, ended
    (True, ['a process'])
    """

    def __init__(self) -> None:
        self._lock = new_lock()
        self._is_wanted = False
        self._endings: list[Callable[[], None]] = []

    @property
    def is_wanted(self) -> bool:
        """True once `request` has been called."""
        return self._is_wanted

    def request(self) -> None:
        """Ask for the end, and end at once what can be ended."""
        with self._lock:
            self._is_wanted = True
            for ending in self._endings:
                ending()

    @contextmanager
    def ends(self, ending: Callable[[], None]) -> Iterator[None]:
        """Within the block, call this function at a request, and at once if there was one before."""
        with self._lock:
            self._endings.append(ending)
            if self._is_wanted:
                ending()
        try:
            yield
        finally:
            with self._lock:
                self._endings.remove(ending)
