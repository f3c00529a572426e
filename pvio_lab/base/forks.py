"""Open decoders in a forked child: their threads are not there, so they must never be closed."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Protocol
from weakref import WeakSet


class Survivor(Protocol):
    """Something that can be used in a forked child, too."""

    def after_fork(self) -> None:
        """Called in the child: abandon what belongs to the parent."""


_survivors: WeakSet[Any] = WeakSet()


def survive_forks(survivor: Survivor) -> None:
    """From now on, its `after_fork` is called in every forked child."""
    _survivors.add(survivor)


def abandon(*objects: Any) -> None:
    """These objects will never be destroyed: closing them would wait for threads that only the parent has."""
    for each in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))


def _after_fork() -> None:
    for survivor in list(_survivors):
        survivor.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
