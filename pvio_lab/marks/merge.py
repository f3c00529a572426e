"""Join changes that were made to the same marks. Pure: contents are given, contents are returned."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeVar

from .contents import Contents, RangeMark

Keep = Literal["both", "theirs", "mine"]
Labels = tuple[str, ...] | None
T = TypeVar("T")


class Merged(NamedTuple):
    """Marks with the changes of both."""

    contents: Contents
    """All changes that do not meet; where some do, the choice of `keep`."""
    conflicts: tuple[str, ...]
    """The places where both have changed the same thing in different ways, in words."""


def merge(base: Contents, mine: Contents, theirs: Contents, keep: Keep | None = "both") -> Merged:
    """Join the changes from `base` to `mine` with those from `base` to `theirs`.

    >>> base, here = Contents({7: ("a",)}), Contents({7: ("b",), 8: ()})
    >>> merge(base, here, Contents({7: ("a",), 9: ()})).contents.frames
    {7: ('b',), 8: (), 9: ()}
    >>> merge(base, here, Contents({7: ("c",)})).conflicts
    ("frame 7: 'b' here, 'c' in the file",)
    >>> merge(base, here, Contents({7: ("c",)}), "mine").contents.frames
    {7: ('b',), 8: ()}

    Two people who give labels to one frame do not disturb each other. Two who change one range do, and so do
    two of whom one changes a mark and the other removes it.

    Args:
        base: What both began with.
        mine: What one has made of it.
        theirs: What is in the file by now.
        keep: What counts where both have changed the same thing. None makes each change by itself: a label
            that one has removed is gone, one that the other has given stays.
    """
    one = _Merge(base, mine, theirs, keep)
    frames, ranges, colours = one.frames(), one.ranges(), one.colours()
    used = {label for labels in frames.values() for label in labels} | {each.label for each in ranges}
    known = {**mine.colours, **theirs.colours}
    colours |= {label: known[label] for label in known if label in used and label not in colours}
    joined = Contents(frames, ranges, colours, one.extra(), mine.video or theirs.video)
    return Merged(joined.coloured(), tuple(one.conflicts))


def with_change(now: Contents, old: Contents, new: Contents) -> Contents:
    """Return marks to which a change, from `old` to `new`, is made as well; all their other changes stay.

    >>> now = Contents({7: ("mine", "theirs"), 8: ("theirs",)})
    >>> with_change(now, Contents({7: ("mine",)}), Contents()).frames
    {7: ('theirs',), 8: ('theirs',)}
    """
    return new if now == old else merge(old, new, now, None).contents


class _Merge:
    """One merge: the arguments of `merge`, and the conflicts so far."""

    def __init__(self, base: Contents, mine: Contents, theirs: Contents, keep: Keep | None):
        self.base, self.mine, self.theirs, self.keep = base, mine, theirs, keep
        self.conflicts: list[str] = []

    def frames(self) -> dict[int, tuple[str, ...]]:
        frames: dict[int, tuple[str, ...]] = {}
        for index in sorted({*self.mine.frames, *self.theirs.frames}):
            before, here, there = (each.frames.get(index) for each in (self.base, self.mine, self.theirs))
            labels = _each_label(before, here, there)
            if not _are_added(before, here, there):
                words = f"frame {index}: {_said(here)} here, {_said(there)} in the file"
                both = tuple(dict.fromkeys((*(there or ()), *(here or ()))))
                labels = self._chosen(before, here, there, both if self.keep else labels, words)
            if labels is not None:
                frames[index] = labels
        return frames

    def ranges(self) -> frozenset[RangeMark]:
        base, mine, theirs = self.base.ranges, self.mine.ranges, self.theirs.ranges
        merged = (base & mine & theirs) | (mine - base) | (theirs - base)
        for gone in sorted(base - mine - theirs):
            here, there = ({each for each in new - base if _overlap(each, gone)} for new in (mine, theirs))
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
            if before is None or here is None or there is None:  # a colour counts more than none
                colour = self._chosen(before, here, there, there or here)
            else:
                words = f"the colour of {label!r}: {here} here, {there} in the file"
                colour = self._chosen(before, here, there, there, words)
            if colour is not None:
                colours[label] = colour
        return colours

    def extra(self) -> dict[str, Any]:
        before, here, there = (dict(each.extra) for each in (self.base, self.mine, self.theirs))
        return self._chosen(before, here, there, here | there, "what else the file says")

    def _chosen(self, before: T, here: T, there: T, both: T, conflict: str = "") -> T:
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


def _are_added(before: Labels, here: Labels, there: Labels) -> bool:
    """Return whether both have a mark, and have only added labels to it."""
    return here is not None and there is not None and set(before or ()) <= set(here) & set(there)


def _overlap(one: RangeMark, other: RangeMark) -> bool:
    return one.start < other.end and other.start < one.end


def _said(marks: Any) -> str:
    """Name the labels of a frame, or ranges, in words."""
    if marks is None or marks == []:
        return "removed"
    if isinstance(marks, tuple):
        return ", ".join(map(repr, marks)) or "no label"
    return " and ".join(f"{each.start} to {each.end} {each.label!r}" for each in marks)
