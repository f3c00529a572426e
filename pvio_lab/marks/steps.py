"""What each change of marks puts under which key. Pure: the marks are given, the changes are returned.

Labels stand under the number of their frame, True under a `RangeMark`, and beside them the two keys below.
None removes what is under a key, as `History` has it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from .format import Contents, RangeMark, labels_of, with_colours

_COLOURS, _EXTRA = "colours", "extra"

Values = Mapping[Hashable, Any]


def values_of(contents: Contents) -> dict[Hashable, Any]:
    """Contents as values under keys."""
    values: dict[Hashable, Any] = {_COLOURS: contents.colours, _EXTRA: contents.extra}
    values |= {number: labels for number, labels in contents.frames.items()}
    values |= {each: True for each in contents.ranges}
    return values


def contents_of(now: Values) -> Contents:
    """The way back."""
    return Contents(
        frames={key: labels for key, labels in now.items() if isinstance(key, int)},
        ranges=frozenset(key for key in now if isinstance(key, RangeMark)),
        colours=now[_COLOURS],
        extra=now[_EXTRA],
    )


def taken_in(now: Values, merged: Contents) -> tuple[Values, Callable[[Hashable, Any], Any]]:
    """Return what turns these values into merged ones, and what that makes of values remembered in steps.

    A step goes on to change only what it has changed: labels and colours that came from elsewhere stay.
    """
    new = values_of(merged)
    known, old = dict(merged.colours), dict(now[_COLOURS])
    foreign = {label: colour for label, colour in known.items() if old.get(label) != colour}

    def amend(key: Hashable, value: Any) -> Any:
        if key == _COLOURS:
            return tuple({**dict(value), **foreign}.items())
        if key == _EXTRA:
            return merged.extra
        if not isinstance(key, int) or now.get(key) == new.get(key):
            return value
        mine, theirs = now.get(key) or (), new.get(key) or ()
        kept = tuple(each for each in value or () if each in theirs or each not in mine)
        return _each_once((*kept, *(each for each in theirs if each not in mine))) or None

    return {**dict.fromkeys(now), **new}, amend


def healed(now: Values) -> Values:
    """Return colours for all labels: one may have lost its own in a step back, while others used it."""
    contents = contents_of(now)
    return {_COLOURS: with_colours(contents.colours, labels_of(contents.frames, contents.ranges))}


def add_frame(now: Values, number: int, labels: tuple[str, ...]) -> Values:
    """Marks a frame, or gives it more labels."""
    return {
        number: _each_once((*now.get(number, ()), *labels)),
        _COLOURS: with_colours(now[_COLOURS], labels),
    }


def add_range(now: Values, new: RangeMark) -> Values:
    """Marks a range."""
    return {new: True, _COLOURS: with_colours(now[_COLOURS], [new.label])}


def remove_frame(now: Values, number: int, label: str | None) -> Values:
    """Takes a label from a frame; None, or the last one, removes the mark."""
    labels = now.get(number)
    if labels is None or (label is not None and label not in labels):
        raise ValueError(f"frame {number} is not marked{'' if label is None else f' as {label!r}'}")
    return {number: None if label is None else _without(labels, label)}


def remove_range(now: Values, gone: RangeMark) -> Values:
    """Removes a range."""
    if gone not in now:
        raise ValueError(f"no range from {gone.start} to {gone.end} is marked as {gone.label!r}")
    return {gone: None}


def remove_label(now: Values, label: str) -> Values:
    """Removes a label, and the marks that have no other."""
    _check_known(label, now)
    frames, ranges = _marks_with(label, now)
    return {
        _COLOURS: tuple(pair for pair in now[_COLOURS] if pair[0] != label),
        **{index: _without(labels, label) for index, labels in frames},
        **dict.fromkeys(ranges),
    }


def rename(now: Values, old: str, new: str) -> Values:
    """Gives a label another name; one that is known takes its marks over, and keeps its own colour."""
    _check_known(old, now)
    frames, ranges = _marks_with(old, now)
    others = tuple(pair for pair in now[_COLOURS] if pair[0] != old)
    renamed = tuple((new if label == old else label, colour) for label, colour in now[_COLOURS])
    return {
        _COLOURS: others if new in dict(others) else renamed,
        **{index: _each_once(new if each == old else each for each in labels) for index, labels in frames},
        **dict.fromkeys(ranges),
        **{RangeMark(each.start, each.end, new): True for each in ranges},
    }


def recolour(now: Values, label: str, colour: str) -> Values:
    """Gives a label another colour."""
    _check_known(label, now)
    return {_COLOURS: tuple({**dict(now[_COLOURS]), label: colour}.items())}


def clear(now: Values) -> Values:
    """Removes all marks and labels."""
    return {**dict.fromkeys(now), **values_of(Contents(extra=now[_EXTRA]))}


def replace(now: Values, new: Contents) -> Values:
    """Puts something else in the place of everything."""
    return {**dict.fromkeys(now), **values_of(new)}


def _marks_with(label: str, now: Values) -> tuple[list[tuple[int, tuple[str, ...]]], list[RangeMark]]:
    """The marked frames and the ranges that have this label."""
    frames = [(key, labels) for key, labels in now.items() if isinstance(key, int) and label in labels]
    return frames, [key for key in now if isinstance(key, RangeMark) and key.label == label]


def _without(labels: tuple[str, ...], label: str) -> tuple[str, ...] | None:
    """The other labels; None, which removes the mark, where there is no other."""
    return tuple(each for each in labels if each != label) or None


def _each_once(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))


def _check_known(label: str, now: Values) -> None:
    known = dict(now[_COLOURS])
    if label not in known:
        raise ValueError(f"there is no label {label!r}; there are {', '.join(map(repr, known)) or 'none'}")
