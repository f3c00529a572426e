"""How much of the plan may be in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class Claim:
    """A piece of work that one worker has taken; places are bytes of frames since the begin of the plan."""

    reached: int
    """So far its batches have memory."""
    end: int


class Window:
    """Tells workers when they may begin another batch. What is called here has to be under a lock.

    The batch that the consumer waits for always has room. Any other has if all that are in memory stay within
    the limit, and if there would be memory left for those before it; but the foremost worker needs only
    one at a time, as what it makes is delivered at once.

    Args:
        max_bytes: The limit.
    """

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self._held = self._delivered = 0
        self._claims: list[Claim] = []

    def claim(self, begin: int, end: int) -> Claim:
        """Notes that a worker has taken a piece; pieces have to be taken in order."""
        claim = Claim(begin, end)
        self._claims.append(claim)
        return claim

    def release(self, claim: Claim) -> None:
        """The worker is done with its piece."""
        self._claims.remove(claim)

    def has_room(self, claim: Claim, begin: int, end: int) -> bool:
        """A batch may have memory; it is of this claim, and reaches from `begin` to `end`."""
        if begin <= self._delivered:
            return True
        foremost = self._claims[0]
        spared = 0 if foremost is claim else max(min(foremost.end, begin) - foremost.reached, 0)
        return max(self._held + end - begin, end - self._delivered - spared) <= self._max_bytes

    def hold(self, begin: int, end: int) -> None:
        """A batch has memory now."""
        self._held += end - begin

    def deliver(self, begin: int, end: int) -> None:
        """A batch went to the consumer."""
        self._held -= end - begin
        self._delivered = end
