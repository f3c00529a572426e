"""Join two versions of the same marks. Pure: contents are given, contents are returned."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from .format import Contents, RangeMark, labels_of, with_colours

Keep = Literal["both", "theirs", "mine"]


class Merged(NamedTuple):
    """Marks in which the changes of both are."""

    contents: Contents
    """All changes that do not meet; where some do, what `keep` says, or what both have."""
    conflicts: tuple[str, ...]
    """Where both have changed the same thing in different ways, in words."""


def merge(base: Contents, mine: Contents, theirs: Contents, keep: Keep = "both") -> Merged:
    """Join the changes from `base` to `mine` with those from `base` to `theirs`.

    >>> base, here = Contents({7: ("a",)}), Contents({7: ("b",), 8: ()})
    >>> merge(base, here, Contents({7: ("a",), 9: ()})).contents.frames
    {7: ('b',), 8: (), 9: ()}
    >>> merge(base, here, Contents({7: ("c",)})).conflicts
    ("frame 7: 'b' here, 'c' in the file",)
    >>> merge(base, here, Contents({7: ("c",)}), "mine").contents.frames
    {7: ('b',), 8: ()}

    Two who give labels to one frame do not disturb each other. Two who change one range do, and so do two of
    whom one changes and the other removes it.

    Args:
        base: What both began with.
        mine: What one has made of it.
        theirs: What is in the file by now.
        keep: What counts where both have changed the same thing.
    """
    conflicts: list[str] = []
    frames = _frames(base, mine, theirs, keep, conflicts)
    ranges = _ranges(base, mine, theirs, keep, conflicts)
    colours = _colours(base, mine, theirs, keep, conflicts)
    used, known = labels_of(frames, ranges), dict(mine.colours) | dict(theirs.colours)
    colours |= {label: known[label] for label in used if label in known and label not in colours}
    extra = _extra(base, mine, theirs, keep, conflicts)
    video = mine.video or theirs.video
    coloured = with_colours(tuple(colours.items()), used)
    return Merged(Contents(frames, ranges, coloured, extra, video), tuple(conflicts))


def _frames(
    base: Contents, mine: Contents, theirs: Contents, keep: Keep, conflicts: list[str]
) -> dict[int, tuple[str, ...]]:
    frames: dict[int, tuple[str, ...]] = {}
    for index in sorted({*mine.frames, *theirs.frames}):
        before, here, there = (each.frames.get(index) for each in (base, mine, theirs))
        both = tuple(dict.fromkeys((*(there or ()), *(here or ()))))
        if before == there or here == there:
            labels = here
        elif before == here:
            labels = there
        elif here is not None and there is not None and set(before or ()) <= set(here) & set(there):
            labels = both
        else:
            conflicts.append(f"frame {index}: {_said(here)} here, {_said(there)} in the file")
            labels = {"mine": here, "theirs": there, "both": both}[keep]
        if labels is not None:
            frames[index] = labels
    return frames


def _ranges(
    base: Contents, mine: Contents, theirs: Contents, keep: Keep, conflicts: list[str]
) -> frozenset[RangeMark]:
    new_here, new_there = mine.ranges - base.ranges, theirs.ranges - base.ranges
    merged = (base.ranges & mine.ranges & theirs.ranges) | new_here | new_there
    for gone in sorted(base.ranges - mine.ranges - theirs.ranges):
        here, there = ({each for each in new if _overlap(each, gone)} for new in (new_here, new_there))
        if here != there:
            conflicts.append(
                f"{_said([gone])}: {_said(sorted(here))} here, {_said(sorted(there))} in the file"
            )
            merged -= {"mine": there - here, "theirs": here - there, "both": set()}[keep]
    return merged


def _colours(
    base: Contents, mine: Contents, theirs: Contents, keep: Keep, conflicts: list[str]
) -> dict[str, str]:
    before, here, there = dict(base.colours), dict(mine.colours), dict(theirs.colours)
    colours: dict[str, str] = {}
    for label in dict.fromkeys((*there, *here)):
        was, is_here, is_there = before.get(label), here.get(label), there.get(label)
        if was == is_there or is_here == is_there:
            colour = is_here
        elif was == is_here or was is None or is_here is None:
            colour = is_there
        elif is_there is None:
            colour = is_here
        else:
            conflicts.append(f"the colour of {label!r}: {is_here} here, {is_there} in the file")
            colour = is_here if keep == "mine" else is_there
        if colour is not None:
            colours[label] = colour
    return colours


def _extra(
    base: Contents, mine: Contents, theirs: Contents, keep: Keep, conflicts: list[str]
) -> dict[str, Any]:
    if base.extra == theirs.extra or mine.extra == theirs.extra:
        return mine.extra
    if base.extra == mine.extra:
        return theirs.extra
    conflicts.append("what else the file says")
    return {"mine": mine.extra, "theirs": theirs.extra, "both": mine.extra | theirs.extra}[keep]


def _overlap(one: RangeMark, other: RangeMark) -> bool:
    return one.start < other.end and other.start < one.end


def _said(marks: Any) -> str:
    """Labels of a frame, or ranges, in words."""
    if marks is None or marks == []:
        return "removed"
    if isinstance(marks, tuple):
        return ", ".join(map(repr, marks)) or "no label"
    return " and ".join(f"{each.start} to {each.end} {each.label!r}" for each in marks)
