"""Names of a package that are imported when they are first used, from where its stub says that they live."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

_LINE = re.compile(r"^from (\.[\w.]*) import (\w+) as \2$", re.MULTILINE)


def attach(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package, by the stub beside its `__init__`.

    >>> sorted(attach("pvio_lab.base")[2])[:2]
    ['Child', 'ChildError']

    Type checkers read the same stub, so that each name is written once.
    """
    module = sys.modules[package]
    assert module.__file__
    stub = Path(module.__file__).with_name("__init__.pyi").read_text("utf-8")
    homes = {name: home for home, name in _LINE.findall(stub)}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if homes[name] == ".":  # `from . import compat`: a module, not a name in one
            return import_module(f".{name}", package)
        value = getattr(import_module(homes[name], package), name)
        setattr(module, name, value)
        return value

    return get, lambda: sorted({*vars(module), *homes}), sorted(homes)
