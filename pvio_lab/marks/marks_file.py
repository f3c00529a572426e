"""Files of marks: their JSON, and writing where others write, too: nothing is replaced that was not read."""

from __future__ import annotations

import json
import os
import reprlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ..base import (
    Identity,
    LockFile,
    Target,
    free_path,
    in_short,
    new_lock,
    not_negative_integer,
    parsed_json,
    read_content,
)
from ..errors import printable
from .annotations import RangeMark, checked_index, checked_label, checked_range
from .contents import Contents, Keep, merge
from .mark_colours import checked_colour

# Writing takes milliseconds, so others are waited for no longer than this.
_PATIENCE_SECONDS = 3.0
_OWN_KEYS = ("frames", "ranges", "colors", "video")

T = TypeVar("T")


class MarksChanged(FileExistsError):
    """The file has marks that were not read, and that do not go together with those to be written."""

    def __init__(self, details: str):
        super().__init__(
            f'{details}; keep="both" joins them, keep="theirs" takes those in the file, keep="mine" replaces '
            "them (the version before stays beside it)"
        )
        self.details = details


class OtherVideo(FileExistsError):
    """The file has marks of another video."""


class MarksFile:
    """A file of marks, and what was seen in it last.

    Before it is written for the first time, its contents are copied beside it, as `<name>.before.json`: marks
    are written every second or so while a person makes them, and the version of a second ago is of no use.
    Where there is no file yet, one that appears has been made meanwhile, and is joined.
    """

    def __init__(self, path: str | os.PathLike[str], num_frames: int | None = None):
        self.path, self._num_frames = Path(os.path.abspath(path)), num_frames
        self._text: bytes | None = None
        self._base = None if os.path.lexists(path) else Contents()  # None: never read
        self._has_copy = False
        self._lock = new_lock()

    def read(self, video: Identity | None = None) -> Contents:
        """Return the marks in the file, which may be replaced from now on; None takes those of any video."""
        with self._lock:
            text = read_content(self.path)
            self._text, self._base = text, self._parsed(text, video)
            return self._base

    def write(self, mine: Contents, keep: Keep | None = None) -> Contents:
        """Write marks, joined with what others have changed in the file since it was read; return both.

        Raises:
            MarksChanged: They have changed the same, or it was never read, and `keep` is None.
            OtherVideo: It has marks of another video.
            ValueError: There is a file that holds no marks.
        """
        with self._lock, LockFile(Path(os.path.realpath(self.path))) as lock:
            lock.acquire_within(_PATIENCE_SECONDS)
            found: bytes | None = None
            with suppress(FileNotFoundError):
                found = read_content(self.path)
            merged = mine if found is None or found == self._text else self._merged(found, mine, keep)
            text = marks_text(merged)
            if text != found:
                with Target(self.path) as target:
                    target.partial.write_bytes(text)
                    if found is not None and (keep or not self._has_copy):
                        self._copy(found)
                    target.commit()
            self._text, self._base = text, merged
            return merged

    def _merged(self, found: bytes, mine: Contents, keep: Keep | None) -> Contents:
        theirs = self._parsed(found, mine.video)
        if self._base is None:
            if keep is None and mine != theirs:
                raise MarksChanged(f"{printable(self.path)} has marks that were not read")
            if keep in ("theirs", "mine"):
                return replace(mine if keep == "mine" else theirs, video=mine.video or theirs.video)
        merged, conflicts = merge(self._base or Contents(), mine, theirs, keep or "both")
        if conflicts and keep is None:
            raise MarksChanged(
                f"{printable(self.path)} was changed by somebody else, and the same marks were changed here: "
                f"{'; '.join(conflicts)}"
            )
        return merged

    def _parsed(self, text: bytes, video: Identity | None) -> Contents:
        contents = parsed_marks(text, self.path, self._num_frames)
        if contents.video and video and contents.video != video:
            raise OtherVideo(
                f"{printable(self.path)} has marks of another video, and is left as it is; "
                "choose another name"
            )
        return contents

    def _copy(self, found: bytes) -> None:
        """Keep the version that is about to be replaced, with its permissions; replace only an older copy."""
        place = self.path.with_name(f"{self.path.name.removesuffix('.json')}.before.json")
        try:
            parsed_marks(read_content(place), place)
        except FileNotFoundError:
            pass
        except ValueError:
            place = free_path(place)
        with Target(place) as target:
            target.partial.write_bytes(found)
            shutil.copymode(self.path, target.partial)
            target.commit()
        self._has_copy = True


def marks_data(contents: Contents) -> dict[str, Any]:
    """Return marks as JSON has them: frames by number, ranges by their start, and the colours of labels."""
    frames = [{"index": each, "labels": list(labels)} for each, labels in sorted(contents.frames.items())]
    ranges = [dict(vars(each)) for each in contents.ranges]
    return {"frames": frames, "ranges": ranges, "colors": dict(contents.colours)}


def marks_text(contents: Contents) -> bytes:
    """Return a whole file of marks; colours are left out where `parsed_marks` would give the same ones."""
    data = marks_data(contents)
    usual = Contents(contents.frames, contents.ranges).coloured().colours
    if list(contents.colours.items()) == list(usual.items()):
        del data["colors"]
    if contents.video is not None:
        data["video"] = dict(vars(contents.video))
    text = json.dumps(data | dict(contents.extra), ensure_ascii=False, indent=1) + "\n"
    return text.encode("utf-8", "backslashreplace")  # half a surrogate pair -> '\ud800', as JSON has it


def parsed_marks(content: bytes, path: Path, num_frames: int | None = None) -> Contents:
    """Return the marks in the bytes of a file; a ValueError names the file, and the place in it."""
    try:
        return contents_of(parsed_json(content), num_frames)
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{printable(path)} is not a file of marks: {in_short(error)}") from error


def contents_of(data: Any, num_frames: int | None = None) -> Contents:
    """Return the marks in parsed JSON; a TypeError, ValueError or IndexError says what is wrong with it."""
    if not isinstance(data, dict) or not {"frames", "ranges"} & set(data):
        raise ValueError('it must be an object with "frames" and "ranges"')

    def frame(index: Any, labels: Any) -> tuple[int, list[str]]:
        if not isinstance(labels, list):
            raise TypeError(f"labels={labels!r} must be a list")
        return checked_index(index, num_frames), [checked_label(label) for label in labels]

    def span(start: Any, end: Any, label: Any) -> RangeMark:
        return checked_range(start, end, label, num_frames)

    found: dict[int, dict[str, None]] = {}
    for index, labels in _entries(data, "frames", ("index", "labels"), frame):
        found.setdefault(index, {}).update(dict.fromkeys(labels))
    return Contents(
        frames={index: tuple(labels) for index, labels in found.items()},
        ranges=tuple(sorted(set(_entries(data, "ranges", ("start", "end", "label"), span)))),
        colours=_colours(data.get("colors", {})),
        extra={key: data[key] for key in data if key not in _OWN_KEYS},
        video=_identity(data["video"]) if "video" in data else None,
    ).coloured()


def _entries(data: dict[str, Any], key: str, names: tuple[str, ...], make: Callable[..., T]) -> list[T]:
    """Return the result of `make` for each entry of a list; an error says which entry it was."""
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
    """Return an object with just these keys: others could not follow when the mark is changed."""
    if not isinstance(entry, dict) or set(entry) != set(names):
        raise ValueError(
            f"it must be an object with {', '.join(names)} and nothing else, not {reprlib.repr(entry)}"
        )
    return entry


def _colours(colours: Any) -> dict[str, str]:
    if not isinstance(colours, dict):
        raise TypeError(
            f'"colors" must be an object of labels and their colours, not {reprlib.repr(colours)}'
        )
    return {checked_label(label): checked_colour(colour) for label, colour in colours.items()}


def _identity(video: Any) -> Identity:
    try:
        entry = _checked_entry(video, ("size_bytes", "sample_sha256"))
        if not isinstance(entry["sample_sha256"], str):
            raise TypeError(f"sample_sha256={entry['sample_sha256']!r} must be text")
        return Identity(not_negative_integer(entry["size_bytes"], "size_bytes"), entry["sample_sha256"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"video: {error}") from error
