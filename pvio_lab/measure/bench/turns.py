"""Whose turn it is: all contenders in each round, and each time another one first (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def turns(names: Sequence[str], rounds: int, *, warm_up: bool = True) -> Iterator[tuple[int, str]]:
    """Round and contender, one after the other; round 0 is there to warm up, and does not count.

    >>> list(turns(["a", "b"], 1))
    [(0, 'a'), (0, 'b'), (1, 'b'), (1, 'a')]

    Args:
        names: The contenders.
        rounds: How many rounds count.
        warm_up: Whether there is a round 0.
    """
    for number in range(0 if warm_up else 1, rounds + 1):
        first = number % len(names) if names else 0
        yield from ((number, name) for name in (*names[first:], *names[:first]))
