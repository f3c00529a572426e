"""What could not be read: an error, or a note and a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from ..base import new_lock
from ..errors import VideoError, printable


class BrokenVideos:
    """Warns of each broken video once, and remembers it.

    Texts do not come back from worker processes, but marks in shared memory do: for each video one number,
    which says what was being read when it failed. Where the text is needed, the same is tried again.

    >>> broken = BrokenVideos(3)
    >>> broken.note(1, 17, OSError("gone"), warn=False)
    >>> broken.texts(lambda attempt: None)
    {1: 'OSError: gone'}

    Args:
        num_videos: How many videos there are.
    """

    def __init__(self, num_videos: int):
        self._marks = shared_zeros(num_videos)
        self._texts: dict[int, str] = {}

    def note(self, video: int, attempt: int, error: Exception, *, warn: bool = True) -> None:
        """A video could not be read.

        Args:
            video: Which one.
            attempt: What was tried; 0 or more.
            error: What is wrong with it.
            warn: Whether to warn, unless this or another process has done so.
        """
        text = _text_of(error)
        if self._texts.setdefault(video, text) is text and not self._marks[video]:
            self._marks[video] = attempt + 1
            if warn:
                warnings.warn(f"skipped a broken video: {text}", RuntimeWarning, stacklevel=2)

    def texts(self, try_again: Callable[[int], None]) -> dict[int, str]:
        """What is wrong with each of them.

        Args:
            try_again: Tries once more what a worker process failed to do.
        """
        for video, mark in self._new_marks():
            try:
                try_again(mark - 1)
                self._texts[video] = "a worker could not read it; now it can be read"
            except BROKEN as error:
                self._texts[video] = _text_of(error)
        return {video: self._texts[video] for video in sorted(self._texts)}

    def _new_marks(self) -> Iterator[tuple[int, int]]:
        for video in self._marks.nonzero().flatten().tolist():
            if video not in self._texts:
                yield video, int(self._marks[video])

    def __getstate__(self) -> torch.Tensor:
        return self._marks

    def __setstate__(self, marks: torch.Tensor) -> None:
        self._marks, self._texts = shared(marks), {}


def shared_zeros(count: int) -> torch.Tensor:
    """Integers that worker processes see as they are now, however they were started."""
    return shared(torch.zeros(count, dtype=torch.int64))


def shared(tensor: torch.Tensor) -> torch.Tensor:
    """The same in shared memory; on its way to a worker it already is."""
    return tensor if tensor.is_shared() else tensor.share_memory_()  # type: ignore[no-untyped-call]


def _text_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


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
