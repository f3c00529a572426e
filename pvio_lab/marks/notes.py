"""Which frames of a video carry what, whoever has written it down. Pure: no file is read here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .format import Contents, RangeMark, checked_index, checked_label

# More labels on every frame are no annotation any more, and would make endless files.
_MOST_LABELS = 1000


@dataclass(frozen=True)
class FrameNotes:
    """The annotated frames of one video.

    >>> notes = FrameNotes({12: ("jump",)}, (RangeMark(3, 5, "run"),))
    >>> notes.numbers()
    [3, 4, 12]
    >>> notes.labels_at(3), notes.labels_at(5)
    (('run',), ())
    """

    frames: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """The labels of each frame that is annotated by itself; none is possible, too."""
    ranges: tuple[RangeMark, ...] = ()
    """Labels of frames that follow each other."""
    always: tuple[str, ...] = ()
    """Labels of the whole video. They hold on every frame, and make none an annotated one."""

    def numbers(self) -> list[int]:
        """The annotated frames, in order, each once."""
        spans = _merged((each.start, each.end) for each in self.ranges)
        inside = {number for start, end in spans for number in range(start, end)}
        return sorted(inside.union(self.frames))

    def labels_at(self, number: int) -> tuple[str, ...]:
        """What holds on this frame: its own labels, those of ranges, and those of the video, each once."""
        starts, ends = self._spans
        here = np.flatnonzero((starts <= number) & (number < ends)).tolist()
        around = [self.ranges[place].label for place in here]
        return tuple(dict.fromkeys((*self.frames.get(number, ()), *around, *self.always)))

    def check(self, num_frames: int) -> None:
        """Raises ValueError if it is about frames that the video does not have, or about far too much."""
        last = max([*self.frames, *(each.end - 1 for each in self.ranges)], default=-1)
        if last >= num_frames:
            raise ValueError(f"frame {last} is annotated, and the video has {num_frames} frames")
        num_labels = sum(each.end - each.start for each in self.ranges) / max(num_frames, 1)
        if max(num_labels, len(self.always)) > _MOST_LABELS:
            raise ValueError(f"a frame has more than {_MOST_LABELS} labels, on average")

    @cached_property
    def _spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pairs = [(each.start, each.end) for each in self.ranges]
        starts, ends = np.array(pairs, np.int64).reshape(-1, 2).T
        return starts, ends

    def share(self, number: int, size: tuple[int, int]) -> dict[str, Any]:
        """What belongs to one frame, for a file beside its image.

        Args:
            number: Which frame.
            size: Width and height of the image.
        """
        return {"index": number, "labels": list(self.labels_at(number))}


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return the same ranges without what they have in common."""
    reached = 0
    for start, end in sorted(spans):
        if end > reached:
            yield max(start, reached), end
            reached = end


def notes_of_marks(contents: Contents) -> FrameNotes:
    """The notes in a file of marks."""
    return FrameNotes(contents.frames, tuple(sorted(contents.ranges)))


def notes_of_numbers(annotations: Any) -> FrameNotes:
    """The notes in an object: marks, a mapping from frame numbers to labels, or mere numbers.

    >>> notes_of_numbers({7: ["jump"], 2: "run"}).labels_at(2)
    ('run',)
    >>> notes_of_numbers([3, 1, 3]).numbers()
    [1, 3]

    Raises:
        TypeError: It is none of these.
        ValueError: A number is negative, or a label is empty.
    """
    if not isinstance(annotations, Iterable) or isinstance(annotations, str | bytes):
        raise TypeError(
            f"annotations={annotations!r} must be a path, marks, a mapping from frame numbers to labels, "
            "or frame numbers"
        )
    if isinstance(annotations, Mapping):
        return FrameNotes({_number(key): _labels(value) for key, value in annotations.items()})
    labels_at = getattr(annotations, "labels_at", lambda number: ())
    numbers = [_number(each) for each in annotations]
    return FrameNotes({number: _labels(labels_at(number)) for number in numbers})


def _number(value: Any) -> int:
    return checked_index(value, None)


def _labels(labels: Any) -> tuple[str, ...]:
    if labels is None:
        return ()
    each = [labels] if isinstance(labels, str) else labels
    return tuple(dict.fromkeys(checked_label(label) for label in each))
