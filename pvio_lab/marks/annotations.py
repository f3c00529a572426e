"""Annotated frames: labels of single frames and of ranges, in Python objects and in tables."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import not_negative_integer

_MOST_FRAMES = 2**31
# More labels on every frame are no annotation any more, and would make endless files.
MOST_LABELS = 1000
_FRAME_COLUMNS = ("frame", "frame_index", "frame_number", "index")
_LABEL_COLUMNS = ("label", "labels")
_DELIMITERS = ",;\t"


@dataclass(frozen=True, order=True)
class RangeMark:
    """A label of consecutive frames."""

    start: int
    """The first of them."""
    end: int
    """One past the last of them."""
    label: str
    """The label."""


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
    """The labels of each frame that is annotated by itself, as they were given; there may be none."""
    ranges: tuple[RangeMark, ...] = ()
    """Labels of consecutive frames, in order."""

    def spans(self) -> list[range]:
        """Return the annotated frames as ranges that are sorted and do not touch.

        >>> FrameNotes({9: (), 4: ()}, (RangeMark(1, 3, "a"), RangeMark(2, 4, "b"))).spans()
        [range(1, 5), range(9, 10)]
        """
        joined: list[range] = []
        pairs = [(index, index + 1) for index in self.frames]
        for start, end in sorted([*pairs, *((each.start, each.end) for each in self.ranges)]):
            if joined and start <= joined[-1].stop:
                joined[-1] = range(joined[-1].start, max(end, joined[-1].stop))
            else:
                joined.append(range(start, end))
        return joined

    def numbers(self) -> list[int]:
        """Return the annotated frames, in order, each once."""
        return [number for span in self.spans() for number in span]

    def labels_at(self, number: int) -> tuple[str, ...]:
        """Return the labels of this frame: its own, and those of the ranges around it, each once."""
        starts, ends = self._bounds
        here = np.flatnonzero((starts <= number) & (number < ends)).tolist()
        around = (self.ranges[place].label for place in here)
        return tuple(dict.fromkeys((*self.frames.get(number, ()), *around)))

    def check(self, num_frames: int) -> None:
        """Raise a ValueError if a frame is not in the video, or if there are far too many labels."""
        last = max([*self.frames, *(each.end - 1 for each in self.ranges)], default=-1)
        if last >= num_frames:
            raise ValueError(f"frame {last} is annotated, and the video has {num_frames} frames")
        if sum(each.end - each.start for each in self.ranges) > MOST_LABELS * max(num_frames, 1):
            raise ValueError(f"a frame has more than {MOST_LABELS} labels, on average")

    def share(self, number: int, size: tuple[int, int]) -> dict[str, Any]:
        """Return the part of one frame, for a file beside its image, which has this width and height."""
        return {"index": number, "labels": list(self.labels_at(number))}

    @cached_property
    def _bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pairs = [(each.start, each.end) for each in self.ranges]
        starts, ends = np.array(pairs, np.int64).reshape(-1, 2).T
        return starts, ends


def checked_label(label: Any) -> str:
    """Return a label, which is text with something in it."""
    if not isinstance(label, str):
        raise TypeError(f"label={label!r} must be text")
    if not label.strip():
        raise ValueError(f"label={label!r} is empty: a label is a word or more")
    return label


def checked_index(index: Any, num_frames: int | None = None, name: str = "index") -> int:
    """Return the number of a frame, which is in the video where its length is known."""
    number = not_negative_integer(index, name)
    if number > _MOST_FRAMES:
        raise ValueError(f"{name}={number:.6g} must be at most {_MOST_FRAMES:,}: no video has so many frames")
    if num_frames is not None and number >= num_frames:
        raise IndexError(f"frame {number} is out of range: {_there_are(num_frames)}")
    return number


def checked_range(start: Any, end: Any, label: Any, num_frames: int | None) -> RangeMark:
    """Return a range of at least one frame, which is in the video where its length is known."""
    first, stop = checked_index(start, name="start"), checked_index(end, name="end")
    if first >= stop:
        raise ValueError(
            f"the range from start={first} to end={stop} has no frames: end is one past the last of them"
        )
    if num_frames is not None and stop > num_frames:
        raise IndexError(f"the range from {first} to {stop} is out of range: {_there_are(num_frames)}")
    return RangeMark(first, stop, checked_label(label))


def _there_are(num_frames: int) -> str:
    return f"there are {num_frames} frames" + (f", numbered 0 to {num_frames - 1}" if num_frames else "")


def notes_of_numbers(annotations: Any) -> FrameNotes:
    """Return the notes in an object: marks, a mapping from frame numbers to labels, or mere numbers.

    >>> notes_of_numbers({7: ["jump"], 2: "run"}).labels_at(2)
    ('run',)
    >>> notes_of_numbers([3, 1, 3]).numbers()
    [1, 3]
    """
    if not isinstance(annotations, Iterable) or isinstance(annotations, str | bytes):
        raise TypeError(
            f"annotations={annotations!r} must be a path, marks, a mapping from frame numbers to labels, "
            "or frame numbers"
        )
    if isinstance(annotations, Mapping):
        return FrameNotes({checked_index(key): _labels(value) for key, value in annotations.items()})
    labels_at = getattr(annotations, "labels_at", lambda number: ())
    return FrameNotes({(number := checked_index(each)): _labels(labels_at(number)) for each in annotations})


def _labels(labels: Any) -> tuple[str, ...]:
    if labels is None:
        return ()
    each = [labels] if isinstance(labels, str) else labels
    return tuple(dict.fromkeys(checked_label(label) for label in each))


def notes_of_table(text: str) -> FrameNotes:
    r"""Return the notes in CSV text: one line for a frame, several where it has several labels.

    The frame stands in a column named frame, frame_index, frame_number or index. Its labels are those in
    columns named label or labels, where a semicolon or bar may stand between several; without such columns,
    every other column makes labels such as "weather: rain". Values may be separated by commas, semicolons
    or tabs.

    >>> notes_of_table("frame,label\n12,jump\n12,red shoes\n40,").frames
    {12: ('jump', 'red shoes'), 40: ()}
    """
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = columns
    frame_column = _frame_column(columns)
    frames: dict[int, dict[str, None]] = {}
    for row in table:
        number = _row_number(row.pop(frame_column), table.line_num)
        frames.setdefault(number, {}).update(dict.fromkeys(_labels_in(row)))
    return FrameNotes({number: tuple(labels) for number, labels in frames.items()})


def _frame_column(columns: list[str]) -> str:
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if twice:
        raise ValueError(f"it has the column {twice[0]!r} twice")
    found = [name for name in columns if name.lower() in _FRAME_COLUMNS]
    if len(found) != 1:
        there_are = "two columns" if found else "no column"
        raise ValueError(
            f"it has {there_are} with the frame, which must be named {', '.join(_FRAME_COLUMNS[:-1])} or "
            f"{_FRAME_COLUMNS[-1]}; its columns are {', '.join(map(repr, columns)) or 'none'}"
        )
    return found[0]


def _row_number(text: str | None, line: int) -> int:
    stripped = (text or "").strip()
    if not stripped.isdecimal():
        raise ValueError(f"line {line}: the frame {text!r} must be a whole number, 0 or more")
    try:
        return checked_index(int(stripped))
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None


def _labels_in(row: dict[str, str | None]) -> Iterator[str]:
    named = [value for column, value in row.items() if column and column.lower() in _LABEL_COLUMNS]
    if named:
        parts = (part for value in named for part in (value or "").replace("|", ";").split(";"))
        yield from (part.strip() for part in parts if part.strip())
        return
    for column, value in row.items():
        if column and isinstance(value, str) and value.strip():
            yield f"{column}: {value.strip()}"
