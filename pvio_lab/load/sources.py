"""The videos of a dataset as they were given, and those of them that were skipped."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import context
from os import PathLike
from typing import Any, Literal, NamedTuple

from ..base import new_lock
from ..errors import VideoError, printable
from ..read import Fetching, has_secrets, outline, public_name, public_names, source_name

OnError = Literal["raise", "skip"]

# The errors that a file can be blamed for. Any other is a mistake in a program, and never skipped.
BROKEN = (VideoError, OSError, ValueError)


class Source(NamedTuple):
    """A video of a collection."""

    path: str
    """As the user named it."""
    name: str
    """The same without the secrets that a URL may have."""
    fetching: Fetching | None = None


class Sources:
    """The videos of a dataset.

    A pickle may go anywhere, so it has no passwords, queries and headers, unless it goes to a worker process
    that is being started.

    Args:
        paths: Video files, their URLs, or directories of images.
        fetching: The way in which URLs are fetched, and what may be opened.

    Raises:
        TypeError: They are not a list of paths.
        ValueError: There are none.
    """

    def __init__(self, paths: Iterable[str | PathLike[str]], fetching: Fetching | None = None):
        self.paths, self.fetching = _checked_paths(paths), fetching

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The videos, without the secrets that URLs may have."""
        return public_names(self.paths)

    def __getitem__(self, number: int) -> Source:
        return Source(self.paths[number], self.names[number], self.fetching)

    def __copy__(self) -> Sources:
        return self

    def __deepcopy__(self, _: Any) -> Sources:
        return self

    def __reduce__(self) -> Any:
        has_headers = self.fetching is not None and bool(self.fetching.headers)
        is_secret = has_headers or any(map(has_secrets, self.paths))
        if not is_secret or context.get_spawning_popen() is not None:
            return Sources, (self.paths, self.fetching)
        paths = tuple(public_name(path) if has_secrets(path) else path for path in self.paths)
        return _without_secrets, (paths, self.fetching and replace(self.fetching, headers={}))


def _without_secrets(paths: tuple[str, ...], fetching: Fetching | None) -> Sources:
    warnings.warn(
        "the pickle of a dataset has no passwords and queries of URLs, and no headers; make the dataset anew "
        "where they are needed",
        RuntimeWarning,
        stacklevel=2,
    )
    return Sources(paths, fetching)


def _checked_paths(paths: Iterable[str | PathLike[str]]) -> tuple[str, ...]:
    if isinstance(paths, str | bytes | PathLike):
        raise TypeError(f"paths must be a list of paths, not one path; write [{outline(paths)}]")
    checked = tuple(map(_checked_path, paths))
    if not checked:
        raise ValueError("there are no videos: paths is empty")
    return checked


def _checked_path(path: Any) -> str:
    if not isinstance(path, str | PathLike):
        raise TypeError(f"a source must be a path or a URL, not {type(path).__name__}: {outline(path)}")
    return source_name(path)


@dataclass(frozen=True)
class Skipped:
    """A video of which something is missing."""

    path: str
    """As it was given; of a URL what may be shown."""
    error: Exception
    """The reason; of many frames, the reason for the first."""
    frame_indices: tuple[int, ...] | None = None
    """The frames that are missing; None for all of it, or for whole clips of it."""


class SkippedVideos:
    """The videos of which something is missing; each is warned of once."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._found: dict[str, tuple[Exception, set[int] | None]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._found

    def listed(self) -> tuple[Skipped, ...]:
        """Return them in the order in which they were found."""
        with self._lock:
            return tuple(
                Skipped(path, error, None if numbers is None else tuple(sorted(numbers)))
                for path, (error, numbers) in self._found.items()
            )

    def add(
        self, path: str, error: Exception, number: int | None = None, *, warning: str | None = "is left out"
    ) -> None:
        """Note that a frame of a video cannot be read; without a number, that nothing of it can.

        Args:
            path: The video.
            error: The reason.
            number: The frame.
            warning: The words for it, unless there is a number; None for no warning at all.
        """
        with self._lock:
            is_new = path not in self._found
            first, numbers = self._found.get(path, (error, set[int]()))
            if number is None:
                numbers = None
            elif numbers is not None:
                numbers.add(number)
            self._found[path] = first, numbers
        if is_new and warning is not None:
            words = warning if number is None else "is not complete"
            warnings.warn(f"{printable(path)} {words}: {error}", RuntimeWarning, stacklevel=2)
