"""The marks of a video as a value: labels and their colours, each way to change them, and joining changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from ..base import Identity
from .annotations import FrameNotes, RangeMark
from .mark_colours import with_colours

Keep = Literal["both", "theirs", "mine"]
Labels = tuple[str, ...] | None
T = TypeVar("T")


@dataclass(frozen=True)
class Contents(FrameNotes):
    """All marks of a video. It never changes: each change makes a new one."""

    colours: Mapping[str, str] = field(default_factory=dict)
    """The colour of each label, in the order in which the labels became known."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the file, which are kept for their author."""
    video: Identity | None = field(default=None, compare=False)
    """The video that was marked, if the file says so. The same marks of another video are the same marks."""

    def coloured(self) -> Contents:
        """Return the same with a colour for each label that is used."""
        used = [label for _, labels in sorted(self.frames.items()) for label in labels]
        return replace(self, colours=with_colours(self.colours, [*used, *(r.label for r in self.ranges)]))

    def with_frame(self, index: int, labels: Iterable[str]) -> Contents:
        """Mark a frame, or give it more labels."""
        own = tuple(dict.fromkeys((*self.frames.get(index, ()), *labels)))
        return replace(self, frames={**self.frames, index: own}, colours=with_colours(self.colours, own))

    def with_range(self, new: RangeMark) -> Contents:
        """Mark a range."""
        place = bisect_left(self.ranges, new)
        before, after = self.ranges[:place], self.ranges[place:]
        if after[:1] == (new,):
            return self
        return replace(self, ranges=(*before, new, *after), colours=with_colours(self.colours, [new.label]))

    def without_frame(self, index: int, label: str | None) -> Contents:
        """Take a label from a frame; the last one, or None, takes the mark as well."""
        labels = self.frames.get(index)
        if labels is None or (label is not None and label not in labels):
            raise ValueError(f"frame {index} is not marked{'' if label is None else f' as {label!r}'}")
        left = () if label is None else _without(labels, label)
        frames = {each: own for each, own in self.frames.items() if each != index}
        return replace(self, frames=frames | ({index: left} if left else {}))

    def without_range(self, gone: RangeMark) -> Contents:
        """Remove a range."""
        if gone not in self.ranges:
            raise ValueError(f"no range from {gone.start} to {gone.end} is marked as {gone.label!r}")
        return replace(self, ranges=tuple(each for each in self.ranges if each != gone))

    def without_label(self, label: str) -> Contents:
        """Remove a label, and the marks that have no other."""
        self._check_known(label)
        return replace(
            self,
            frames={number: _without(own, label) for number, own in self.frames.items() if own != (label,)},
            ranges=tuple(each for each in self.ranges if each.label != label),
            colours={each: colour for each, colour in self.colours.items() if each != label},
        )

    def renamed(self, old: str, new: str) -> Contents:
        """Give a label another name; one that exists takes the marks over and keeps its own colour."""
        self._check_known(old)
        if new == old:
            return self
        ranges = {replace(each, label=new) if each.label == old else each for each in self.ranges}
        colours = {label: colour for label, colour in self.colours.items() if label != old}
        if new not in colours:
            colours = {new if label == old else label: colour for label, colour in self.colours.items()}
        return replace(
            self,
            frames={
                number: tuple(dict.fromkeys(new if label == old else label for label in labels))
                for number, labels in self.frames.items()
            },
            ranges=tuple(sorted(ranges)),
            colours=colours,
        )

    def recoloured(self, label: str, colour: str) -> Contents:
        """Give a label another colour."""
        self._check_known(label)
        return replace(self, colours={**self.colours, label: colour})

    def _check_known(self, label: str) -> None:
        if label not in self.colours:
            known = ", ".join(map(repr, self.colours)) or "none"
            raise ValueError(f"there is no label {label!r}; there are {known}")


def _without(labels: Iterable[str], label: str) -> tuple[str, ...]:
    return tuple(each for each in labels if each != label)


def merge(
    base: Contents, mine: Contents, theirs: Contents, keep: Keep | None = "both"
) -> tuple[Contents, list[str]]:
    """Join the changes from `base` to `mine` with those from `base` to `theirs`.

    >>> base, here = Contents({7: ("a",)}), Contents({7: ("b",), 8: ()})
    >>> merge(base, here, Contents({7: ("a",), 9: ()}))[0].frames
    {7: ('b',), 8: (), 9: ()}
    >>> merge(base, here, Contents({7: ("c",)}))[1]
    ["frame 7: 'b' here, 'c' in the file"]
    >>> merge(base, here, Contents({7: ("c",)}), "mine")[0].frames
    {7: ('b',), 8: ()}

    Two people who give labels to one frame do not disturb each other. Two who change one range do, and so do
    two of whom one changes a mark and the other removes it: the second result says where. There, `keep`
    counts; None makes each change by itself: a label that one has removed is gone, one that the other has
    given stays.
    """
    join = _Join(base, mine, theirs, keep)
    frames, ranges, colours, extra = join.frames(), join.ranges(), join.colours(), join.extra()
    used = {label for labels in frames.values() for label in labels} | {each.label for each in ranges}
    known = {**mine.colours, **theirs.colours}
    colours |= {label: known[label] for label in known if label in used and label not in colours}
    joined = Contents(frames, tuple(sorted(ranges)), colours, extra, mine.video or theirs.video)
    return joined.coloured(), join.conflicts


def with_change(now: Contents, old: Contents, new: Contents) -> Contents:
    """Return marks to which a change, from `old` to `new`, is made as well; all their other changes stay.

    >>> now = Contents({7: ("mine", "theirs"), 8: ("theirs",)})
    >>> with_change(now, Contents({7: ("mine",)}), Contents()).frames
    {7: ('theirs',), 8: ('theirs',)}
    """
    return new if now == old else merge(old, new, now, None)[0]


class _Join:
    """One merge: the arguments of `merge`, and the conflicts so far."""

    def __init__(self, base: Contents, mine: Contents, theirs: Contents, keep: Keep | None):
        self.base, self.mine, self.theirs, self.keep = base, mine, theirs, keep
        self.conflicts: list[str] = []

    def frames(self) -> dict[int, tuple[str, ...]]:
        frames: dict[int, tuple[str, ...]] = {}
        for index in sorted({*self.mine.frames, *self.theirs.frames}):
            before, here, there = (each.frames.get(index) for each in (self.base, self.mine, self.theirs))
            labels = _each_label(before, here, there)
            # Where both have only added labels, there is nothing to choose.
            if here is None or there is None or not set(before or ()) <= set(here) & set(there):
                both = tuple(dict.fromkeys((*(there or ()), *(here or ()))))
                words = f"frame {index}: {_said(here)} here, {_said(there)} in the file"
                labels = self._chosen(before, here, there, both if self.keep else labels, words)
            if labels is not None:
                frames[index] = labels
        return frames

    def ranges(self) -> set[RangeMark]:
        base, mine, theirs = (set(each.ranges) for each in (self.base, self.mine, self.theirs))
        merged = (base & mine & theirs) | (mine - base) | (theirs - base)
        for gone in sorted(base - mine - theirs):
            here, there = (
                {each for each in new - base if each.start < gone.end and gone.start < each.end}
                for new in (mine, theirs)
            )
            if here != there:
                self.conflicts.append(
                    f"{_said([gone])}: {_said(sorted(here))} here, {_said(sorted(there))} in the file"
                )
                if self.keep in ("mine", "theirs"):
                    merged -= there - here if self.keep == "mine" else here - there
        return merged

    def colours(self) -> dict[str, str]:
        colours: dict[str, str] = {}
        for label in dict.fromkeys((*self.theirs.colours, *self.mine.colours)):
            before, here, there = (each.colours.get(label) for each in (self.base, self.mine, self.theirs))
            has_all = before is not None and here is not None and there is not None
            words = f"the colour of {label!r}: {here} here, {there} in the file" if has_all else ""
            colour = self._chosen(before, here, there, there or here, words)  # a colour counts more than none
            if colour is not None:
                colours[label] = colour
        return colours

    def extra(self) -> dict[str, Any]:
        before, here, there = (dict(each.extra) for each in (self.base, self.mine, self.theirs))
        return self._chosen(before, here, there, here | there, "what else the file says")

    def _chosen(self, before: T, here: T, there: T, both: T, conflict: str) -> T:
        """Return the version of the one who has changed it; where both have, that is a conflict, if any."""
        if before == there or here == there:
            return here
        if before == here:
            return there
        if not conflict:
            return both
        self.conflicts.append(conflict)
        return here if self.keep == "mine" else there if self.keep == "theirs" else both


def _each_label(before: Labels, here: Labels, there: Labels) -> Labels:
    """Change the labels `there` as those `before` were changed `here`; None is no mark."""
    if before == there:
        return here
    old, new, now = before or (), here or (), there or ()
    labels = [each for each in now if each in new or each not in old]
    labels += [each for each in new if each not in old and each not in now]
    is_marked = there is not None if (before is None) == (here is None) else here is not None
    return tuple(labels) if labels or is_marked else None


def _said(marks: Any) -> str:
    """Name the labels of a frame, or ranges, in words."""
    if marks is None or marks == []:
        return "removed"
    if isinstance(marks, tuple):
        return ", ".join(map(repr, marks)) or "no label"
    return " and ".join(f"{each.start} to {each.end} {each.label!r}" for each in marks)
