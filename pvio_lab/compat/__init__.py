"""Interfaces of other libraries, on top of this one: code written for them runs with one changed line.

Each module has the names, signatures, defaults, return types and errors of the library that it is called
after, and says where it is different on purpose. It holds no decoding and no encoding. Beside each is a page,
`*.md`, about moving to it.
"""

from __future__ import annotations

import pkgutil
from types import ModuleType

from ..base import one_of, stand_in

__all__ = ["install"]

# They stay what they are: our module adds a plugin to imageio, and replaces a small part of supervisely.
_PARTS = {"imageio", "supervisely"}


def install(name: str) -> ModuleType:
    """Make `import name` mean the module of this room in the running process, and return it.

    >>> install("decord")  # doctest: +SKIP
    >>> from decord import VideoReader  # is `pvio_lab.compat.decord.VideoReader`, in any module

    Call it first: names that were imported from the other library before stay what they were. Child processes
    that are not forked have to call it themselves. The other library need not be installed; if it is, all of
    it is hidden, even what has no counterpart here.

    Args:
        name: The name of a module here: "decord", for example.

    Raises:
        ValueError: There is no such module, or it cannot take the place of that library.
    """
    here = sorted(each.name for each in pkgutil.iter_modules(__path__) if each.name not in _PARTS)
    return stand_in(name, f"{__name__}.{one_of(name, tuple(here), 'name')}")
