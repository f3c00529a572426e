"""Marks: the frames and ranges of a video that somebody has marked, and the file beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base import Identity, integer, new_rlock
from . import steps as mark_steps
from .file import MarksFile
from .format import (
    Contents,
    FrameMark,
    RangeMark,
    checked_colour,
    checked_index,
    checked_label,
    checked_range,
    marks_data,
)
from .history import History
from .merge import Keep, merge

_LABELS_SHOWN = 5


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

    To iterate over it gives the numbers of all marked frames, also those in ranges, sorted and each once; so
    `sample_indices(reader, only=marks)` takes them, and `len(marks)` counts them. Ranges are half-open:
    `end` is one past the last frame. Each method that changes something is one step for `undo`, and returns
    whether it has changed anything. A label gets a colour when it is first used, one that people with any
    kind of colour vision can tell from the others; it keeps it, also while nothing is marked with it.
    Threads may share the object.

    Args:
        num_frames: How many frames the video has; what is not in it cannot be marked. None does not check.
    """

    def __init__(self, num_frames: int | None = None):
        self.num_frames = num_frames
        self._history = History(mark_steps.values_of(Contents()))
        self._lock = new_rlock()
        self._observers: list[tuple[Callable[[Marks], object]]] = []
        self.video: Identity | None = None
        """Which video they are of; files of marks say so."""
        self._files: dict[str, MarksFile] = {}

    @property
    def frames(self) -> tuple[FrameMark, ...]:
        """The frames that are marked one by one, in order."""
        return tuple(FrameMark(*each) for each in sorted(self.contents.frames.items()))

    @property
    def ranges(self) -> tuple[RangeMark, ...]:
        """The marked ranges, in order: by start, end and label. They may overlap."""
        return tuple(sorted(self.contents.ranges))

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the order in which they became known."""
        return tuple(self.colours)

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each label, such as "#0072B2"."""
        return dict(self.contents.colours)

    @property
    def contents(self) -> Contents:
        """All of it, as it is now."""
        with self._lock:
            return replace(mark_steps.contents_of(self._history.values), video=self.video)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to make again."""
        return self._history.can_redo

    def labels_at(self, index: int) -> tuple[str, ...]:
        """The labels of a frame, its own and those of the ranges it is in, each once."""
        contents = self.contents
        around = [each.label for each in sorted(contents.ranges) if each.start <= index < each.end]
        return tuple(dict.fromkeys((*contents.frames.get(index, ()), *around)))

    def add_frame(self, index: int, label: str | None = None) -> bool:
        """Marks a frame; one that is marked already gets the label as well.

        Raises:
            IndexError: The video has no such frame.
            ValueError: `index` is negative, or `label` is empty.
        """
        number = checked_index(index, self.num_frames)
        labels = () if label is None else (checked_label(label),)
        return self._change(mark_steps.add_frame, number, labels)

    def add_range(self, start: int, end: int, label: str) -> bool:
        """Marks the frames from `start` up to, not including, `end`.

        Raises:
            IndexError: It is not in the video.
            ValueError: There are no frames in it, a number is negative, or `label` is empty.
        """
        return self._change(mark_steps.add_range, checked_range(start, end, label, self.num_frames))

    def remove_frame(self, index: int, label: str | None = None) -> bool:
        """Takes a label from a marked frame, and with the last one, or for None, the mark itself.

        Raises:
            ValueError: The frame is not marked, or not so. Ranges do not count.
        """
        return self._change(mark_steps.remove_frame, integer(index, "index"), label)

    def remove_range(self, start: int, end: int, label: str) -> bool:
        """Removes a range as it was added.

        Raises:
            ValueError: There is no such range.
        """
        gone = RangeMark(integer(start, "start"), integer(end, "end"), label)
        return self._change(mark_steps.remove_range, gone)

    def remove_label(self, label: str) -> bool:
        """Removes a label with its colour, and the marks that have no other.

        Raises:
            ValueError: There is no such label.
        """
        return self._change(mark_steps.remove_label, label)

    def rename(self, old: str, new: str) -> bool:
        """Gives a label another name everywhere. One that exists takes the marks over and keeps its colour.

        Raises:
            ValueError: There is no label `old`, or `new` is empty.
        """
        return self._change(mark_steps.rename, old, checked_label(new))

    def recolour(self, label: str, colour: str) -> bool:
        """Gives a label another colour, such as "#0072B2".

        Raises:
            ValueError: There is no such label, or it is no such colour.
        """
        return self._change(mark_steps.recolour, label, checked_colour(colour))

    def clear(self) -> bool:
        """Removes all marks and labels."""
        return self._change(mark_steps.clear)

    def replace(self, other: Marks) -> bool:
        """Takes over what other marks hold, in one step: `marks.replace(Marks.load(path))`.

        Raises:
            IndexError: Some of it is not in the video.
        """
        new = other.contents
        for index in new.frames:
            checked_index(index, self.num_frames)
        for each in new.ranges:
            checked_range(each.start, each.end, each.label, self.num_frames)
        return self._change(mark_steps.replace, new)

    def undo(self) -> bool:
        """Takes the last step back; False where there is none."""
        return self._notify_if(lambda: self._moved(self._history.undo))

    def redo(self) -> bool:
        """Makes the step again that was taken back last; False where there is none."""
        return self._notify_if(lambda: self._moved(self._history.redo))

    def observe(self, callback: Callable[[Marks], object]) -> Callable[[], None]:
        """Have `callback(marks)` called after each change or `save`, by the thread that has made it.

        All are called, even if one fails; then the first error is raised.

        Returns:
            A function that ends this.
        """
        entry = (callback,)  # the same callback may be given twice
        with self._lock:
            self._observers.append(entry)

        def end() -> None:
            with self._lock:
                self._observers = [each for each in self._observers if each is not entry]

        return end

    def to_dict(self) -> dict[str, Any]:
        """Return what a file of marks says: `frames`, `ranges` and `colors`."""
        return marks_data(self.contents)

    def save(self, path: str | os.PathLike[str], *, keep: Keep | None = None) -> Path:
        """Write a JSON file, which appears under its name when it is complete.

        `{"frames": [{"index": 12, "labels": ["jump"]}], "ranges": [{"start": 3, "end": 6, "label": "run"}]}`,
        and `"colors": {"jump": "#0072B2", ...}` where they are not those that `load` gives by itself.
        Marks of a frame browser also say of which `"video"` they are.

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
        if keep not in (None, "both", "theirs", "mine"):
            raise ValueError(f"keep={keep!r} must be 'both', 'theirs', 'mine' or None")
        mine = self.contents
        self.take_in(mine, self.file(path).write(mine, keep))
        self._notify_if(lambda: True)  # a browser that waited for an answer has it
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, num_frames: int | None = None) -> Marks:
        """Return the marks of a file.

        What is written twice counts once. Keys beside "frames", "ranges", "colors" and "video" are kept, and
        written by `save`; a mark with further keys is refused.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no file of marks, or not of a video with so many frames; the message names the
                file, the place in it, and what is wrong.
        """
        marks = cls(num_frames)
        contents = marks.file(path).read()
        marks.video = contents.video
        marks.take_in(Contents(), contents)
        return marks

    def file(self, path: str | os.PathLike[str]) -> MarksFile:
        """Return a file, with what these marks know of it."""
        with self._lock:
            return self._files.setdefault(os.path.realpath(path), MarksFile(path, self.num_frames))

    def take_in(self, before: Contents, after: Contents) -> None:
        """Apply changes that were made elsewhere; that is no step for `undo`."""

        def act() -> bool:
            now = self.contents
            new = now if before == after else merge(before, now, after).contents
            if new == now:
                return False
            self._history.take_in(*mark_steps.taken_in(self._history.values, new))
            return True

        self._notify_if(act)

    def __iter__(self) -> Iterator[int]:
        return (number for span in self._spans() for number in span)

    def __len__(self) -> int:
        return sum(len(span) for span in self._spans())

    def __contains__(self, index: object) -> bool:
        return any(index in span for span in self._spans())

    def __eq__(self, other: object) -> bool:
        return self.contents == other.contents if isinstance(other, Marks) else NotImplemented

    def __repr__(self) -> str:
        contents = self.contents
        labels = [repr(label) for label, _ in contents.colours]
        more = [f"{len(labels) - _LABELS_SHOWN} more"] if len(labels) > _LABELS_SHOWN else []
        counts = f"{_count(len(contents.frames), 'frame')}, {_count(len(contents.ranges), 'range')}"
        return f"Marks({counts}; labels: {', '.join(labels[:_LABELS_SHOWN] + more) or 'none'})"

    def _spans(self) -> list[range]:
        """The marked frames as ranges that are sorted and do not touch."""
        contents, spans = self.contents, list[range]()
        single = [(index, index + 1) for index in contents.frames]
        for start, end in sorted([*single, *((each.start, each.end) for each in contents.ranges)]):
            if spans and start <= spans[-1].stop:
                spans[-1] = range(spans[-1].start, max(end, spans[-1].stop))
            else:
                spans.append(range(start, end))
        return spans

    def _change(self, step: Callable[..., mark_steps.Values], *arguments: Any) -> bool:
        return self._notify_if(lambda: self._history.change(step(self._history.values, *arguments)))

    def _moved(self, move: Callable[[], bool]) -> bool:
        """Undo or redo a step. Labels whose colour went with it, while others use them, get a new one."""
        has_changed = move()
        if has_changed:
            self._history.put(mark_steps.healed(self._history.values))
        return has_changed

    def _notify_if(self, act: Callable[[], bool]) -> bool:
        """Does it, and tells the observers if anything has changed; they may come back from other threads."""
        with self._lock:
            has_changed, observers = act(), list(self._observers)
        errors = []
        for (callback,) in observers if has_changed else ():
            try:
                callback(self)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return has_changed


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
