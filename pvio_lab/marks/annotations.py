"""Finds and reads what is known about the frames of a video."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..base import in_short, read_json
from ..errors import printable
from ..read import is_url, source_name
from .format import contents_of
from .notes import FrameNotes, notes_of_marks, notes_of_numbers
from .places import Marked, find_marks, identity_of, is_elsewhere, working_folder
from .supervisely import is_supervisely, notes_of_supervisely
from .table import read_label_table

# What the files for a video may be called, beside those of its marks.
_FIRST, _LAST = ("{name}.json",), ("{name}.csv", "{stem}.csv")


def find_notes(
    annotations: Any,
    source: str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] = "",
    reader: Any = None,
) -> FrameNotes | None:
    """Return the notes for a video, or None where there are none.

    Marks are taken only if they are of this video, as `find_marks` says.

    Args:
        annotations: A file; a directory with a file for each video; an object, as `notes_of_numbers` takes
            it; None for what is found beside the video, and marks in the working folder; False for nothing.
        source: The video.
        folder: Where the video is in its tree, as a path below its top; there, a directory is searched, too.
        reader: An open reader of it. Without one, nothing is found for a URL.

    Raises:
        FileNotFoundError: There is no such file or directory.
        ValueError: A file is no annotation, or of another video, or two files are for the same video.
    """
    if annotations is False:
        return None
    if annotations is not None and not isinstance(annotations, str | os.PathLike):
        return notes_of_numbers(annotations)
    if annotations is not None and not os.path.isdir(annotations):
        return read_notes(annotations)
    if reader is None and is_url(source):
        return None
    source = source_name(source)
    video = Path(os.path.abspath(source if reader is None else reader.info.path))
    if annotations is not None:
        places, working = [Path(annotations, folder)], None
    else:
        places = [] if is_elsewhere(source) else _places_beside(video)
        working = working_folder()
    identity = partial(identity_of, video if reader is None else reader)
    return _notes_of(Marked(video.name, identity, tuple(places), working))


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
    folder = video.parent
    return [folder, *([folder.parent / "ann"] if folder.name == "video" else [])]


def _notes_of(video: Marked) -> FrameNotes | None:
    marks = find_marks(video)
    for path, trouble, _ in marks.others:
        if marks.path is None and path.parent in video.folders:
            raise ValueError(f"{trouble}; annotations={str(path)!r} takes it, annotations=False takes none")
    own = [] if marks.path is None else [marks.path]
    found = [*_files_for(video, _FIRST), *own, *_files_for(video, _LAST)]
    if len(found) > 1:
        names = " and ".join(map(printable, found[:2]))
        raise ValueError(
            f"there are two files of annotations for {printable(video.name)}: {names}; "
            "say which by annotations="
        )
    if found == own:
        return notes_of_marks(marks.contents) if own else None
    return read_notes(found[0])


def _files_for(video: Marked, names: tuple[str, ...]) -> Iterator[Path]:
    wanted = (each.format(name=video.name, stem=Path(video.name).stem) for each in names)
    for name in dict.fromkeys(wanted):
        yield from (place / name for place in video.folders if (place / name).is_file())
