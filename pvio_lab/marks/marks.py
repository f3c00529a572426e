"""Marks: the marked frames and ranges of a video, with undo, and their file."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from ..base import Identity, integer, new_rlock, one_of
from .annotations import RangeMark, checked_index, checked_label, checked_range
from .contents import Contents, Keep, with_change
from .mark_colours import checked_colour
from .marks_file import MarksFile, marks_data

# More steps than a person makes. Each remembers all marks that there were, so that a program that marks every
# frame of a film could fill the memory: the more marks there are, the fewer steps.
MOST_STEPS, MOST_REMEMBERED = 10_000, 1_000_000
_LABELS_SHOWN = 5

Step = tuple[Contents, Contents]


@dataclass(frozen=True, order=True)
class FrameMark:
    """A marked frame."""

    index: int
    """Its number in the video."""
    labels: tuple[str, ...]
    """Its labels in the order in which they were given; there may be none."""


class Marks:
    """Marked frames and ranges of one video, with labels, each of which has a colour.

    >>> marks = Marks()
    >>> marks.add_frame(12, "jump")
    True
    >>> marks.add_range(3, 6, "run")
    True
    >>> marks
    Marks(1 frame, 1 range; labels: 'jump', 'run')
    >>> list(marks)
    [3, 4, 5, 12]
    >>> marks.undo(), list(marks)
    (True, [12])

    Iterating yields the numbers of all marked frames, including those in ranges, sorted and each once; so
    `sample_indices(reader, only=marks)` takes them, and `len(marks)` counts them. Ranges are half-open:
    `end` is one past the last frame. Each method that changes something is one step for `undo`, and returns
    whether it has changed anything. A label gets a colour when it is first used, one that people with any
    kind of colour vision can tell from the others; it keeps it, even while nothing is marked with it.
    Threads may share the object.

    Args:
        num_frames: How many frames the video has; others cannot be marked. None does not check.
    """

    def __init__(self, num_frames: int | None = None):
        self.num_frames = num_frames
        self.video: Identity | None = None
        """The video that the marks are of; files of marks say so."""
        self._now = Contents()
        self._done: deque[Step] = deque()
        self._undone: deque[Step] = deque()
        self._lock = new_rlock()
        self._observers: dict[object, Callable[[Marks], object]] = {}
        self._files: dict[str, MarksFile] = {}

    @property
    def frames(self) -> tuple[FrameMark, ...]:
        """The frames that are marked one by one, in order."""
        return tuple(FrameMark(*each) for each in sorted(self._now.frames.items()))

    @property
    def ranges(self) -> tuple[RangeMark, ...]:
        """The marked ranges, in order: by start, end and label. They may overlap."""
        return self._now.ranges

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the order in which they became known."""
        return tuple(self._now.colours)

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each label, such as "#0072B2"."""
        return dict(self._now.colours)

    @property
    def contents(self) -> Contents:
        """All of it, as it is now."""
        return replace(self._now, video=self.video)

    @property
    def can_undo(self) -> bool:
        """True if there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """True if a step was undone, and nothing was changed since."""
        return bool(self._undone)

    def labels_at(self, index: int) -> tuple[str, ...]:
        """Return the labels of a frame, its own and those of the ranges around it, each once."""
        return self._now.labels_at(index)

    def add_frame(self, index: int, label: str | None = None) -> bool:
        """Mark a frame; one that is marked already gets the label as well.

        Raises:
            IndexError: The video has no such frame.
            ValueError: `index` is negative, or `label` is empty.
        """
        number = checked_index(index, self.num_frames)
        labels = () if label is None else (checked_label(label),)
        return self._change(lambda now: now.with_frame(number, labels))

    def add_range(self, start: int, end: int, label: str) -> bool:
        """Mark the frames from `start` up to, not including, `end`.

        Raises:
            IndexError: It is not in the video.
            ValueError: There are no frames in it, a number is negative, or `label` is empty.
        """
        new = checked_range(start, end, label, self.num_frames)
        return self._change(lambda now: now.with_range(new))

    def remove_frame(self, index: int, label: str | None = None) -> bool:
        """Take a label from a marked frame; the last one, or None, takes the mark itself as well.

        Raises:
            ValueError: The frame is not marked, or has no such label. Ranges do not count.
        """
        number = integer(index, "index")
        return self._change(lambda now: now.without_frame(number, label))

    def remove_range(self, start: int, end: int, label: str) -> bool:
        """Remove a range as it was added.

        Raises:
            ValueError: There is no such range.
        """
        gone = RangeMark(integer(start, "start"), integer(end, "end"), label)
        return self._change(lambda now: now.without_range(gone))

    def remove_label(self, label: str) -> bool:
        """Remove a label with its colour, and the marks that have no other.

        Raises:
            ValueError: There is no such label.
        """
        return self._change(lambda now: now.without_label(label))

    def rename(self, old: str, new: str) -> bool:
        """Give a label another name everywhere. One that exists takes the marks over and keeps its colour.

        Raises:
            ValueError: There is no label `old`, or `new` is empty.
        """
        checked_label(new)
        return self._change(lambda now: now.renamed(old, new))

    def recolour(self, label: str, colour: str) -> bool:
        """Give a label another colour, such as "#0072B2".

        Raises:
            ValueError: There is no such label, or `colour` is not written like that.
        """
        checked_colour(colour)
        return self._change(lambda now: now.recoloured(label, colour))

    def clear(self) -> bool:
        """Remove all marks and labels."""
        return self._change(lambda now: Contents(extra=now.extra))

    def replace(self, other: Marks) -> bool:
        """Take over the marks of another object, in one step: `marks.replace(Marks.load(path))`.

        Raises:
            IndexError: Some of them are not in the video.
        """
        new = other.contents
        for index in new.frames:
            checked_index(index, self.num_frames)
        for each in new.ranges:
            checked_range(each.start, each.end, each.label, self.num_frames)
        return self._change(lambda _: new)

    def undo(self) -> bool:
        """Take the last step back; False where there is none. Marks that came from elsewhere stay."""
        return self._move(self._done, self._undone)

    def redo(self) -> bool:
        """Repeat the step that was undone last; False where there is none."""
        return self._move(self._undone, self._done)

    def observe(self, callback: Callable[[Marks], object]) -> Callable[[], None]:
        """Have `callback(marks)` called after each change or `save`, by the thread that has made it.

        All callbacks are called, even if one fails; then the first error is raised.

        Returns:
            A function that ends the calls.
        """
        key = object()  # the same callback may be given twice
        self._observers[key] = callback

        def end() -> None:
            self._observers.pop(key, None)

        return end

    def to_dict(self) -> dict[str, Any]:
        """Return the marks as a file has them: `frames`, `ranges` and `colors`."""
        return marks_data(self._now)

    def save(self, path: str | os.PathLike[str], *, keep: Keep | None = None) -> Path:
        """Write a JSON file, which appears under its name when it is complete.

        `{"frames": [{"index": 12, "labels": ["jump"]}], "ranges": [{"start": 3, "end": 6, "label": "run"}]}`,
        and `"colors": {"jump": "#0072B2", ...}` where they are not those that `load` gives by itself.
        Marks of a frame browser also name the `"video"` that they are of.

        Marks that others have written there since these were loaded or saved are taken in. What was there
        before this object wrote to the file stays beside it, as `<name>.before.json`.

        Args:
            path: The file.
            keep: What counts if others have changed the same marks, or if the file was never loaded: "both"
                joins them, "theirs" takes what is in the file, "mine" replaces it. None is an error then.

        Raises:
            FileExistsError: `keep` is None, and others have changed the same marks or the file was never
                loaded; or it has marks of another video. Nothing is written.
            FileNotFoundError: There is no folder for it.
            PermissionError: The file or the folder is read-only.
            ValueError: There is a file that holds no marks, or no such `keep`.
        """
        if keep is not None:
            one_of(keep, get_args(Keep), "keep")
        mine = self.contents
        self.take_in(mine, self.file(path).write(mine, keep))
        self._tell(True)  # a browser that waited for an answer has it
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, num_frames: int | None = None) -> Marks:
        """Return the marks of a file.

        What is written twice counts once. Keys beside "frames", "ranges", "colors" and "video" are kept, and
        written by `save`; a mark with further keys is refused.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is not a file of marks, or not for a video of this length; the message names the
                file, the place in it, and what is wrong.
        """
        marks = cls(num_frames)
        contents = marks.file(path).read()
        marks.video = contents.video
        marks.take_in(Contents(), contents)
        return marks

    def file(self, path: str | os.PathLike[str]) -> MarksFile:
        """Return the file with this path; it remembers which of its marks were taken in here."""
        with self._lock:
            return self._files.setdefault(os.path.realpath(path), MarksFile(path, self.num_frames))

    def take_in(self, before: Contents, after: Contents) -> None:
        """Make a change that was made elsewhere, from `before` to `after`; that is no step for `undo`."""
        with self._lock:
            old, self._now = self._now, with_change(self._now, before, after)
        self._tell(self._now != old)

    def __iter__(self) -> Iterator[int]:
        return itertools.chain.from_iterable(self._now.spans())

    def __len__(self) -> int:
        return sum(map(len, self._now.spans()))

    def __contains__(self, index: object) -> bool:
        return any(index in span for span in self._now.spans())

    def __eq__(self, other: object) -> bool:
        return self._now == other._now if isinstance(other, Marks) else NotImplemented

    def __repr__(self) -> str:
        labels = list(map(repr, self.labels))
        more = [f"{len(labels) - _LABELS_SHOWN} more"] if len(labels) > _LABELS_SHOWN else []
        counts = f"{_count(len(self._now.frames), 'frame')}, {_count(len(self._now.ranges), 'range')}"
        return f"Marks({counts}; labels: {', '.join(labels[:_LABELS_SHOWN] + more) or 'none'})"

    def _change(self, change: Callable[[Contents], Contents]) -> bool:
        """Make one step, unless it changes nothing."""
        with self._lock:
            old, new = self._now, change(self._now)
            has_changed = new != old
            if has_changed:
                self._now = new
                self._done.append((old, new))
                self._undone.clear()
                num_marks = len(new.frames) + len(new.ranges)
                while len(self._done) > min(MOST_STEPS, MOST_REMEMBERED // max(num_marks, 1) + 1):
                    self._done.popleft()
        return self._tell(has_changed)

    def _move(self, source: deque[Step], target: deque[Step]) -> bool:
        """Undo the last step in `source`; in `target` is the step that undoes that."""
        with self._lock:
            has_step = bool(source)
            if has_step:
                old, new = source.pop()
                self._now = with_change(self._now, new, old)
                target.append((new, old))
        return self._tell(has_step)

    def _tell(self, has_changed: bool) -> bool:
        """Call the observers if something has changed, without the lock: they may wait for other threads."""
        errors = []
        for callback in list(self._observers.values()) if has_changed else ():
            try:
                callback(self)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return has_changed


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
