"""What could not be read: an error, or a note and a warning."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal

from ..errors import VideoError

OnError = Literal["raise", "skip"]

# What a file can be blamed for. Anything else is a mistake in a program, and never skipped.
BROKEN = (VideoError, OSError, ValueError)


@dataclass(frozen=True)
class Skipped:
    """A video of which something is missing."""

    path: str
    """As it was given; of a URL what may be shown."""
    error: Exception
    """Why; of many frames, why the first is missing."""
    frame_indices: tuple[int, ...] | None = None
    """The frames that are missing; None for all of it."""


class Trouble:
    """Keeps what was skipped, and warns once for each video."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._skipped: dict[str, Skipped] = {}

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The videos of which something is missing, in the order in which that was found."""
        with self._lock:
            return tuple(self._skipped.values())

    def of_file(self, path: str, error: Exception) -> None:
        """Nothing of this video can be read."""
        self._note(Skipped(path, error))

    def of_frame(self, path: str, number: int, error: Exception) -> None:
        """One frame of this video cannot be read."""
        self._note(Skipped(path, error, (number,)))

    def _note(self, new: Skipped) -> None:
        with self._lock:
            known = self._skipped.get(new.path)
            self._skipped[new.path] = new if known is None else _both(known, new)
        if known is None:
            what = "left out" if new.frame_indices is None else "not complete"
            warnings.warn(f"{new.path} is {what}: {new.error}", RuntimeWarning, stacklevel=2)


def _both(known: Skipped, new: Skipped) -> Skipped:
    if known.frame_indices is None or new.frame_indices is None:
        return replace(known, frame_indices=None)
    return replace(known, frame_indices=tuple(sorted({*known.frame_indices, *new.frame_indices})))
