"""What a file of marks holds: marked frames, marked ranges, and the colours of their labels."""

from __future__ import annotations

import json
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..base import Identity, in_short, not_negative_integer, parsed_json, read_content
from ..errors import printable

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart; without their black,
# which nobody can see on a dark page.
CYCLE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")

_MOST_FRAMES = 2**31
_OWN_KEYS = ("frames", "ranges", "colors", "video")

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class FrameMark:
    """A marked frame."""

    index: int
    """Which frame of the video."""
    labels: tuple[str, ...]
    """What it is marked as, in the order in which the labels were given; none is possible, too."""


@dataclass(frozen=True, order=True)
class RangeMark:
    """Marked frames that follow each other."""

    start: int
    """The first of them."""
    end: int
    """One past the last of them."""
    label: str
    """What they are marked as."""


@dataclass(frozen=True)
class Contents:
    """What a file of marks holds."""

    frames: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """The labels of each marked frame."""
    ranges: frozenset[RangeMark] = frozenset()
    """The marked ranges."""
    colours: tuple[tuple[str, str], ...] = ()
    """Each label with its colour, in the order in which the labels became known."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else the file says, which is kept for whoever has written it."""
    video: Identity | None = field(default=None, compare=False)
    """The video that was marked, if the file says so. The same marks of another video are the same marks."""


def read_marks(path: Path, num_frames: int | None = None) -> Contents:
    """Return what a file of marks holds.

    Args:
        path: The file.
        num_frames: How many frames the video has, where that is to be checked.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no file of marks; the message names the file, the place in it, and what is wrong.
    """
    return parsed_marks(read_content(path), path, num_frames)


def parsed_marks(content: bytes, path: Path, num_frames: int | None = None) -> Contents:
    """Return what the bytes of a file of marks say; `path` is for the message of the ValueError."""
    try:
        return contents_of(parsed_json(content), num_frames)
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{printable(path)} is no file of marks: {in_short(error)}") from error


def marks_data(contents: Contents) -> dict[str, Any]:
    """Marks as JSON has them: frames by number, ranges by their start, and the colours of their labels."""
    return {
        "frames": [
            {"index": each, "labels": list(labels)} for each, labels in sorted(contents.frames.items())
        ],
        "ranges": [dict(vars(each)) for each in sorted(contents.ranges)],
        "colors": dict(contents.colours),
    }


def marks_text(contents: Contents) -> bytes:
    """The same as a file, with what else it said.

    Colours are left out where they are the ones that `read_marks` gives by itself.
    """
    data = marks_data(contents)
    if contents.colours == with_colours((), labels_of(contents.frames, contents.ranges)):
        del data["colors"]
    if contents.video is not None:
        data["video"] = dict(vars(contents.video))
    text = json.dumps(data | contents.extra, ensure_ascii=False, indent=1) + "\n"
    return text.encode("utf-8", "backslashreplace")  # half a surrogate pair -> '\ud800', as JSON has it


def with_colours(known: tuple[tuple[str, str], ...], labels: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The known labels with their colours, and those of `labels` that are new, with colours of `CYCLE`.

    A new label gets the first colour that the fewest others have.

    >>> with_colours((("a", "#56B4E9"),), ["b", "a", "c"])
    (('a', '#56B4E9'), ('b', '#E69F00'), ('c', '#009E73'))
    """
    colours = dict(known)
    taken = Counter(colour.upper() for colour in colours.values())
    for label in labels:
        if label not in colours:
            colours[label] = min(CYCLE, key=taken.__getitem__)
            taken[colours[label]] += 1
    return tuple(colours.items())


def labels_of(frames: dict[int, tuple[str, ...]], ranges: Iterable[RangeMark]) -> list[str]:
    """Return all labels in the order of a file, as often as they are in it."""
    of_frames = [label for _, labels in sorted(frames.items()) for label in labels]
    return of_frames + [each.label for each in sorted(ranges)]


def checked_label(label: Any) -> str:
    """A label, which is text with something in it."""
    if not isinstance(label, str):
        raise TypeError(f"label={label!r} must be text")
    if not label.strip():
        raise ValueError(f"label={label!r} is empty: a label is a word or more")
    return label


def checked_colour(colour: Any) -> str:
    """A colour such as "#0072B2"."""
    if not isinstance(colour, str):
        raise TypeError(f'a colour must be text such as "#0072B2", not {colour!r}')
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise ValueError(f'a colour must be written like "#0072B2", not {colour!r}')
    return colour


def checked_index(index: Any, num_frames: int | None) -> int:
    """The number of a frame, which is in the video where that is known."""
    number = _frame_number(index, "index")
    if num_frames is not None and number >= num_frames:
        raise IndexError(f"frame {number} is out of range: {_there_are(num_frames)}")
    return number


def _frame_number(value: Any, name: str) -> int:
    number = not_negative_integer(value, name)
    if number > _MOST_FRAMES:
        raise ValueError(f"{name}={number:.6g} must be at most {_MOST_FRAMES:,}: no video has so many frames")
    return number


def checked_range(start: Any, end: Any, label: Any, num_frames: int | None) -> RangeMark:
    """A range of at least one frame, which is in the video where that is known."""
    first, stop = _frame_number(start, "start"), _frame_number(end, "end")
    if first >= stop:
        raise ValueError(
            f"the range from start={first} to end={stop} has no frames: end is one past the last of them"
        )
    if num_frames is not None and stop > num_frames:
        raise IndexError(f"the range from {first} to {stop} is out of range: {_there_are(num_frames)}")
    return RangeMark(first, stop, checked_label(label))


def contents_of(data: Any, num_frames: int | None = None) -> Contents:
    """Return the marks in what a JSON file holds; TypeError, ValueError or IndexError says what is wrong."""
    if not isinstance(data, dict) or not {"frames", "ranges"} & set(data):
        raise ValueError('it must be an object with "frames" and "ranges"')

    def frame(index: Any, labels: Any) -> tuple[int, list[str]]:
        return checked_index(index, num_frames), _label_list(labels)

    def span(start: Any, end: Any, label: Any) -> RangeMark:
        return checked_range(start, end, label, num_frames)

    found: dict[int, dict[str, None]] = {}
    for index, labels in _entries(data, "frames", ("index", "labels"), frame):
        found.setdefault(index, {}).update(dict.fromkeys(labels))
    frames = {index: tuple(labels) for index, labels in found.items()}
    ranges = frozenset(_entries(data, "ranges", ("start", "end", "label"), span))
    colours = with_colours(_colours(data.get("colors", {})), labels_of(frames, ranges))
    extra = {key: data[key] for key in data if key not in _OWN_KEYS}
    return Contents(frames, ranges, colours, extra, _identity(data["video"]) if "video" in data else None)


def _entries(data: dict[str, Any], key: str, names: tuple[str, ...], make: Callable[..., T]) -> list[T]:
    """What `make` makes of each entry of a list; errors say which one it was."""
    entries, made = data.get(key, []), []
    if not isinstance(entries, list):
        raise ValueError(f'"{key}" must be a list, not {reprlib.repr(entries)}')
    for place, entry in enumerate(entries):
        try:
            made.append(make(**_checked_entry(entry, names)))
        except (TypeError, ValueError, IndexError) as error:
            raise ValueError(f"{key}[{place}]: {error}") from error
    return made


def _checked_entry(entry: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """An object with just these keys: what else it says could not follow when the mark is changed."""
    if not isinstance(entry, dict) or set(entry) != set(names):
        raise ValueError(
            f"it must be an object with {', '.join(names)} and nothing else, not {reprlib.repr(entry)}"
        )
    return entry


def _label_list(labels: Any) -> list[str]:
    if not isinstance(labels, list):
        raise TypeError(f"labels={labels!r} must be a list")
    return [checked_label(label) for label in labels]


def _colours(colours: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(colours, dict):
        raise TypeError(
            f'"colors" must be an object of labels and their colours, not {reprlib.repr(colours)}'
        )
    return tuple((checked_label(label), checked_colour(colour)) for label, colour in colours.items())


def _identity(video: Any) -> Identity:
    try:
        entry = _checked_entry(video, ("size_bytes", "sample_sha256"))
        if not isinstance(entry["sample_sha256"], str):
            raise TypeError(f"sample_sha256={entry['sample_sha256']!r} must be text")
        return Identity(not_negative_integer(entry["size_bytes"], "size_bytes"), entry["sample_sha256"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"video: {error}") from error


def _there_are(num_frames: int) -> str:
    return f"there are {num_frames} frames" + (f", numbered 0 to {num_frames - 1}" if num_frames else "")
