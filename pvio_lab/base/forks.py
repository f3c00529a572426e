"""Locks, decoders and files in a forked child: everything that must be renewed there before use, in order.

Another thread of the parent may hold any lock at the moment of a fork; in the child nobody would release it.
So the locks come first, and then everything that uses them. Nothing here takes a lock itself: a set is copied
and changed in one step, whichever thread, signal handler or run of the garbage collector comes in between.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar
from weakref import ref


class Survivor(Protocol):
    """Something that can be used in a forked child, too."""

    def after_fork(self) -> None:
        """Abandon what belongs to the parent; called in the child, when all locks are free."""


_Lock = TypeVar("_Lock")
_locks: set[ref[Any]] = set()
_survivors: set[ref[Any]] = set()
_steady: list[threading.RLock] = []
# For each thread that forks, the locks that it holds, and all survivors: garbage must not be collected before
# it is renewed.
_forking: dict[int, tuple[list[threading.RLock], list[Any]]] = {}


def new_lock() -> threading.Lock:
    """Return a lock that is free in every forked child."""
    return _known(threading.Lock())


def new_rlock() -> threading.RLock:
    """Return a reentrant lock that is free in every forked child, unless the thread that forks holds it."""
    return _known(threading.RLock())


def new_condition() -> threading.Condition:
    """Return a condition whose lock is free in every forked child; nobody waits for it there."""
    return _known(threading.Condition())


def new_steady_lock() -> threading.RLock:
    """Return a reentrant lock that keeps other threads from forking while it is held; for short work only."""
    _steady.append(threading.RLock())
    return _steady[-1]


def survive_forks(survivor: Survivor) -> None:
    """Have its `after_fork` called in every forked child from now on; call this when it is complete."""
    _survivors.add(ref(survivor, _survivors.discard))


def abandon(*objects: Any) -> None:
    """Never destroy these objects: closing them would wait for threads that only the parent has."""
    for each in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))


def _known(lock: _Lock) -> _Lock:
    _locks.add(ref(lock, _locks.discard))
    return lock


def _alive(refs: Iterable[ref[Any]]) -> list[Any]:
    return [each for one in refs if (each := one()) is not None]


def _before() -> None:
    held, _ = _forking[threading.get_ident()] = [], _alive(_survivors.copy())
    for lock in _steady:
        lock.acquire()
        held.append(lock)


def _release() -> None:
    held, _ = _forking.pop(threading.get_ident())
    while held:
        held.pop().release()


def _in_child() -> None:
    for lock in _alive(_locks.copy()):
        is_own = getattr(lock, "_is_owned", bool)  # only reentrant locks know it
        if not is_own():
            lock._at_fork_reinit()  # what Python's own modules do with their locks
    survivors, failures = _alive(_survivors.copy()), []
    _release()
    for survivor in survivors:
        try:
            survivor.after_fork()
        except Exception as error:  # the others must not suffer from it
            failures.append(error)
    _forking.clear()
    if failures:
        raise failures[0]  # Python prints it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_release, after_in_child=_in_child)
