"""Finds and reads what is known about the frames of a video."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..base.side_files import in_short, read_json
from ..errors import printable
from .frame_notes import FrameNotes, notes_of_marks, notes_of_numbers
from .label_table import read_label_table
from .mark_files import contents_of
from .sources import is_url
from .supervisely import is_supervisely, notes_of_supervisely

# What the files for a video may be called.
_NAMES = ("{name}.json", "{name}.marks.json", "{stem}.marks.json", "{name}.csv", "{stem}.csv")


def find_notes(
    annotations: Any, source: str | os.PathLike[str], *, folder: str | os.PathLike[str] = ""
) -> FrameNotes | None:
    """The notes for a video, or None where there are none.

    Args:
        annotations: A file; a directory with a file for each video; an object, as `notes_of_numbers` takes
            it; None for what is found beside the video; False for nothing.
        source: The video.
        folder: Where the video is in its tree, as a path below its top; there, a directory is searched, too.

    Raises:
        FileNotFoundError: There is no such file or directory.
        ValueError: A file is no annotation, or two files are for the same video.
    """
    if annotations is False:
        return None
    if annotations is None:
        return None if is_url(source) else _notes_in(_places_beside(Path(source)), Path(source))
    if not isinstance(annotations, str | os.PathLike):
        return notes_of_numbers(annotations)
    path = Path(annotations)
    if path.is_dir():
        return _notes_in([path / folder], Path(source))
    return read_notes(path)


def read_notes(path: str | os.PathLike[str]) -> FrameNotes:
    """The notes of a file; what it holds tells of which kind it is.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no annotation; the message names the file and says what is wrong.
    """
    file = Path(path)
    if file.suffix.lower() in (".csv", ".tsv"):
        return read_label_table(file)
    kind = "file of annotations"
    try:
        data = read_json(file)
        kind = "video annotation of Supervisely" if is_supervisely(data) else "file of marks"
        return notes_of_supervisely(data) if is_supervisely(data) else notes_of_marks(contents_of(data))
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{printable(file)} is no {kind}: {in_short(error)}") from error


def _places_beside(video: Path) -> list[Path]:
    """Its own folder; and in a project of Supervisely the one beside it: video/a.mp4 -> ann/a.mp4.json."""
    folder = Path(os.path.abspath(video)).parent
    return [folder, *([folder.parent / "ann"] if folder.name == "video" else [])]


def _notes_in(places: list[Path], video: Path) -> FrameNotes | None:
    found = list(_files_for(places, video))
    if len(found) > 1:
        raise ValueError(
            f"there are two files of annotations for {video}: {found[0]} and {found[1]}; "
            "say which by annotations="
        )
    return read_notes(found[0]) if found else None


def _files_for(places: list[Path], video: Path) -> Iterator[Path]:
    names = (each.format(name=video.name, stem=video.stem) for each in _NAMES)
    for name in dict.fromkeys(names):
        yield from (place / name for place in places if (place / name).is_file())
