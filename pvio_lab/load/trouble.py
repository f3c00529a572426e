"""What could not be read: an error, or a note and a warning."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

from ..base.forks import new_lock
from ..errors import VideoError, printable

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
        self._lock = new_lock()
        self._skipped: dict[str, tuple[Exception, set[int] | None]] = {}

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The videos of which something is missing, in the order in which that was found."""
        with self._lock:
            return tuple(
                Skipped(path, error, None if numbers is None else tuple(sorted(numbers)))
                for path, (error, numbers) in self._skipped.items()
            )

    def of_file(self, path: str, error: Exception) -> None:
        """Nothing of this video can be read."""
        self._note(path, error, None)

    def of_frame(self, path: str, number: int, error: Exception) -> None:
        """One frame of this video cannot be read."""
        self._note(path, error, number)

    def _note(self, path: str, error: Exception, number: int | None) -> None:
        with self._lock:
            is_new = path not in self._skipped
            first, numbers = self._skipped.get(path, (error, set[int]()))
            if number is None:
                numbers = None
            elif numbers is not None:
                numbers.add(number)
            self._skipped[path] = first, numbers
        if is_new:
            what = "left out" if number is None else "not complete"
            warnings.warn(f"{printable(path)} is {what}: {error}", RuntimeWarning, stacklevel=2)
