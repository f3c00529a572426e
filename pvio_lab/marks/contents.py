"""The marks of a video as a value: frames, ranges, labels with their colours, and each way to change them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..base import Identity, not_negative_integer
from .colours import with_colours

_MOST_FRAMES = 2**31


@dataclass(frozen=True, order=True)
class FrameMark:
    """A marked frame."""

    index: int
    """Its number in the video."""
    labels: tuple[str, ...]
    """Its labels in the order in which they were given; there may be none."""


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
class Contents:
    """All marks of a video. It never changes: each change makes a new one."""

    frames: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """The labels of each marked frame."""
    ranges: frozenset[RangeMark] = frozenset()
    """The marked ranges."""
    colours: Mapping[str, str] = field(default_factory=dict)
    """The colour of each label, in the order in which the labels became known."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the file, which are kept for their author."""
    video: Identity | None = field(default=None, compare=False)
    """The video that was marked, if the file says so. The same marks of another video are the same marks."""

    def coloured(self) -> Contents:
        """Return the same with a colour for each label that is used."""
        of_frames = (label for _, labels in sorted(self.frames.items()) for label in labels)
        used = [*of_frames, *(each.label for each in sorted(self.ranges))]
        return replace(self, colours=with_colours(self.colours, used))

    def with_frame(self, index: int, labels: Iterable[str]) -> Contents:
        """Mark a frame, or give it more labels."""
        frames = dict(self.frames)
        frames[index] = tuple(dict.fromkeys((*frames.get(index, ()), *labels)))
        return replace(self, frames=frames, colours=with_colours(self.colours, frames[index]))

    def with_range(self, new: RangeMark) -> Contents:
        """Mark a range."""
        return replace(self, ranges=self.ranges | {new}, colours=with_colours(self.colours, [new.label]))

    def without_frame(self, index: int, label: str | None) -> Contents:
        """Take a label from a frame; the last one, or None, takes the mark as well."""
        labels = self.frames.get(index)
        if labels is None or (label is not None and label not in labels):
            raise ValueError(f"frame {index} is not marked{'' if label is None else f' as {label!r}'}")
        left = () if label is None else _without(labels, label)
        frames = dict(self.frames)
        if left:
            frames[index] = left
        else:
            del frames[index]
        return replace(self, frames=frames)

    def without_range(self, gone: RangeMark) -> Contents:
        """Remove a range."""
        if gone not in self.ranges:
            raise ValueError(f"no range from {gone.start} to {gone.end} is marked as {gone.label!r}")
        return replace(self, ranges=self.ranges - {gone})

    def without_label(self, label: str) -> Contents:
        """Remove a label, and the marks that have no other."""
        self._check_known(label)
        frames = {
            index: _without(labels, label) for index, labels in self.frames.items() if labels != (label,)
        }
        ranges = frozenset(each for each in self.ranges if each.label != label)
        colours = {each: colour for each, colour in self.colours.items() if each != label}
        return replace(self, frames=frames, ranges=ranges, colours=colours)

    def renamed(self, old: str, new: str) -> Contents:
        """Give a label another name; one that exists takes the marks over and keeps its own colour."""
        self._check_known(old)
        if new == old:
            return self
        names = {old: new}
        frames = {
            index: tuple(dict.fromkeys(names.get(each, each) for each in labels))
            for index, labels in self.frames.items()
        }
        ranges = frozenset(replace(each, label=names.get(each.label, each.label)) for each in self.ranges)
        others = {label: colour for label, colour in self.colours.items() if label != old}
        in_place = {names.get(label, label): colour for label, colour in self.colours.items()}
        return replace(self, frames=frames, ranges=ranges, colours=others if new in others else in_place)

    def recoloured(self, label: str, colour: str) -> Contents:
        """Give a label another colour."""
        self._check_known(label)
        return replace(self, colours={**self.colours, label: colour})

    def check_inside(self, num_frames: int | None) -> None:
        """Raise an IndexError if something is not in a video of so many frames."""
        for index in self.frames:
            checked_index(index, num_frames)
        for each in self.ranges:
            checked_range(each.start, each.end, each.label, num_frames)

    def _check_known(self, label: str) -> None:
        if label not in self.colours:
            known = ", ".join(map(repr, self.colours)) or "none"
            raise ValueError(f"there is no label {label!r}; there are {known}")


def spans(frames: Iterable[int], ranges: Iterable[RangeMark]) -> list[range]:
    """Return the marked frames as ranges that are sorted and do not touch.

    >>> spans([9, 4], [RangeMark(1, 3, "a"), RangeMark(2, 4, "b")])
    [range(1, 5), range(9, 10)]
    """
    joined: list[range] = []
    pairs = [*((index, index + 1) for index in frames), *((each.start, each.end) for each in ranges)]
    for start, end in sorted(pairs):
        if joined and start <= joined[-1].stop:
            joined[-1] = range(joined[-1].start, max(end, joined[-1].stop))
        else:
            joined.append(range(start, end))
    return joined


def checked_label(label: Any) -> str:
    """Return a label, which is text with something in it."""
    if not isinstance(label, str):
        raise TypeError(f"label={label!r} must be text")
    if not label.strip():
        raise ValueError(f"label={label!r} is empty: a label is a word or more")
    return label


def checked_index(index: Any, num_frames: int | None = None) -> int:
    """Return the number of a frame, which is in the video where its length is known."""
    number = _frame_number(index, "index")
    if num_frames is not None and number >= num_frames:
        raise IndexError(f"frame {number} is out of range: {_there_are(num_frames)}")
    return number


def checked_range(start: Any, end: Any, label: Any, num_frames: int | None) -> RangeMark:
    """Return a range of at least one frame, which is in the video where its length is known."""
    first, stop = _frame_number(start, "start"), _frame_number(end, "end")
    if first >= stop:
        raise ValueError(
            f"the range from start={first} to end={stop} has no frames: end is one past the last of them"
        )
    if num_frames is not None and stop > num_frames:
        raise IndexError(f"the range from {first} to {stop} is out of range: {_there_are(num_frames)}")
    return RangeMark(first, stop, checked_label(label))


def _without(labels: Iterable[str], label: str) -> tuple[str, ...]:
    return tuple(each for each in labels if each != label)


def _frame_number(value: Any, name: str) -> int:
    number = not_negative_integer(value, name)
    if number > _MOST_FRAMES:
        raise ValueError(f"{name}={number:.6g} must be at most {_MOST_FRAMES:,}: no video has so many frames")
    return number


def _there_are(num_frames: int) -> str:
    return f"there are {num_frames} frames" + (f", numbered 0 to {num_frames - 1}" if num_frames else "")
