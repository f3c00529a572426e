"""The videos of a dataset: their places and names, and the way they are fetched."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from multiprocessing import context
from os import PathLike
from typing import Any, NamedTuple

from ..read import Fetching, has_secrets, public_name, public_names
from .arguments import checked_paths


class Source(NamedTuple):
    """A video of a collection."""

    path: str
    """As the user named it."""
    name: str
    """The same without what may be secret in a URL."""
    fetching: Fetching | None = None
    """The way it is fetched."""


class Sources:
    """The videos of a dataset.

    A pickle may go anywhere, so that it has no passwords, queries and headers, unless it is on its way to a
    worker process that is being started.

    Args:
        paths: Video files, their URLs, or directories of images.
        fetching: How URLs are fetched, and what may be opened.

    Raises:
        TypeError: They are not a list of paths.
        ValueError: There are none.
    """

    def __init__(self, paths: Iterable[str | PathLike[str]], fetching: Fetching | None = None):
        self.paths, self._fetching = checked_paths(paths), fetching

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The videos, without what may be secret in URLs."""
        return public_names(self.paths)

    @property
    def fetching(self) -> Fetching | None:
        """The way they are fetched."""
        return self._fetching

    def __getitem__(self, number: int) -> Source:
        return Source(self.paths[number], self.names[number], self._fetching)

    def __copy__(self) -> Sources:
        return self

    def __deepcopy__(self, _: Any) -> Sources:
        return self

    def __reduce__(self) -> Any:
        has_headers = self._fetching is not None and bool(self._fetching.headers)
        is_secret = has_headers or any(map(has_secrets, self.paths))
        if not is_secret or context.get_spawning_popen() is not None:
            return Sources, (self.paths, self._fetching)
        paths = tuple(public_name(path) if has_secrets(path) else path for path in self.paths)
        return _without_secrets, (paths, self._fetching and replace(self._fetching, headers={}))


def _without_secrets(paths: tuple[str, ...], fetching: Fetching | None) -> Sources:
    warnings.warn(
        "the pickle of a dataset has no passwords and queries of URLs, and no headers; make the dataset anew "
        "where they are needed",
        RuntimeWarning,
        stacklevel=2,
    )
    return Sources(paths, fetching)
