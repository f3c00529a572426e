"""Values that are changed step by step, where each step can be undone and done again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping, MutableSequence
from typing import Any

# More steps than a person makes; a program that marks every frame of a film does not fill the memory.
MAX_STEPS = 10_000

_Step = dict[Hashable, tuple[Any, Any]]


class History:
    """Values under keys, and the steps that led to them. A step is kept as what it has changed.

    >>> history = History()
    >>> history.change({"a": 1}), history.change({"a": 2, "b": 3}), history.undo()
    (True, True, True)
    >>> history.values
    {'a': 1}

    Args:
        values: What there is before the first step.
    """

    def __init__(self, values: Mapping[Hashable, Any] | None = None):
        self.values: dict[Hashable, Any] = dict(values or {})
        self._done: deque[_Step] = deque(maxlen=MAX_STEPS)
        self._undone: list[_Step] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a step before this one."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a step was undone, and nothing was changed since."""
        return bool(self._undone)

    def change(self, new: Mapping[Hashable, Any]) -> bool:
        """Makes one step: puts these values under their keys, and removes the keys whose value is None.

        Returns:
            Whether anything is different now; if not, it is no step.
        """
        step = {key: (self.values.get(key), value) for key, value in new.items()}
        step = {key: change for key, change in step.items() if change[0] != change[1]}
        if not step:
            return False
        self.put({key: after for key, (_, after) in step.items()})
        self._done.append(step)
        self._undone.clear()
        return True

    def undo(self) -> bool:
        """Takes the last step back; False where there is none."""
        return self._move(self._done, self._undone, 0)

    def redo(self) -> bool:
        """Makes the step again that was undone last; False where there is none."""
        return self._move(self._undone, self._done, 1)

    def take_in(self, new: Mapping[Hashable, Any], amend: Callable[[Hashable, Any], Any]) -> None:
        """Put values from elsewhere; that is no step, and undoing steps does not take them back.

        Args:
            new: Values under their keys; None removes.
            amend: What becomes of a value that a step remembers under a key.
        """
        for step in (*self._done, *self._undone):
            step |= {key: (amend(key, old), amend(key, after)) for key, (old, after) in step.items()}
        self.put(new)

    def _move(self, source: MutableSequence[_Step], target: MutableSequence[_Step], side: int) -> bool:
        """The last step changes places; the values become those before (0) or after (1) it."""
        if not source:
            return False
        step = source.pop()
        self.put({key: change[side] for key, change in step.items()})
        target.append(step)
        return True

    def put(self, new: Mapping[Hashable, Any]) -> None:
        """Put values under their keys, and remove the keys whose value is None; that is no step."""
        for key, value in new.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value
