"""Modules that stand in for a package of another name, and the way to that package all the same."""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from types import ModuleType

from .forks import new_lock

_genuine: dict[str, ModuleType] = {}
_standing: set[str] = set()
_lock = new_lock()


def stand_in(name: str, home: str) -> ModuleType:
    """Make `import name` mean another module, with all modules inside it, and return that.

    >>> stand_in("wordy", "json").__name__
    'json'
    >>> from wordy.decoder import JSONDecoder
    >>> del sys.modules["wordy"], sys.modules["wordy.decoder"]

    Names that were imported from the package before stay what they were.

    Args:
        name: The name of a package, which need not be installed.
        home: The full name of the module that takes its place.
    """
    module = import_module(home)
    inside = pkgutil.walk_packages(getattr(module, "__path__", []), f"{home}.")
    names = [each.name for each in inside if not each.name.endswith("__main__")]
    modules = {name: module} | {name + each[len(home) :]: import_module(each) for each in names}
    with _lock:
        taken = _take(name)
        if name in taken and name not in _standing:
            _genuine[name] = taken[name]
        _standing.add(name)
        sys.modules.update(modules)
    return module


def genuine(name: str) -> ModuleType:
    """Import the package that is installed under this name, even if another module stands in for it.

    Raises:
        ImportError: There is no such package.
    """
    with _lock:
        if name not in _standing:
            return import_module(name)
        if name not in _genuine:
            stand_ins = _take(name)
            try:
                _genuine[name] = import_module(name)
            finally:  # also what a failed import has left
                _take(name)
                sys.modules.update(stand_ins)
        return _genuine[name]


def _take(name: str) -> dict[str, ModuleType]:
    """Remove a package, and the modules in it, from those that are loaded, and return them."""
    names = [each for each in sys.modules if each == name or each.startswith(f"{name}.")]
    return {each: sys.modules.pop(each) for each in names}
