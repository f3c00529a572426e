"""The files beside a video that belong to it: its marks, and annotations of other tools."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..base import (
    Identity,
    identity_of_file,
    identity_of_images,
    in_short,
    read_content,
    read_json,
    read_side_file,
)
from ..errors import printable
from ..read import VIDEO_EXTENSIONS, ImageSequence, is_url
from .annotations import FrameNotes, notes_of_numbers, notes_of_table
from .contents import Contents
from .marks_file import contents_of, parsed_marks
from .supervisely import is_supervisely, notes_of_supervisely

# At most so many videos of one name put their marks into one folder.
_MOST_NAMES = 9


@dataclass(frozen=True)
class MarkedVideo:
    """A video that may have marks.

    Its marks are in `<file name>.marks.json` beside it, or in the working folder where nothing can be written
    beside it; if there are marks of another video under this name, in `<file name>.marks (2).json` and so on.
    Earlier versions left the extension of the video out.
    """

    path: Path
    """The file, or the directory of images; of a URL, what was fetched."""
    folders: tuple[Path, ...] = ()
    """The folders with files for it: the one that it is in; none for a URL."""
    working_folder: Path | None = None
    """The folder for marks that cannot be written beside it."""
    images: Sequence[Path] | None = None
    """The files of an open directory of images."""
    num_frames: int | None = None
    """The number of its frames, if that is known."""

    @property
    def name(self) -> str:
        """The name of the file, with its extension."""
        return self.path.name

    def identity(self) -> Identity:
        """Return what tells it from other videos; only needed if a file of marks names its video."""
        if self.images is None and not self.path.is_dir():
            return identity_of_file(self.path)
        return identity_of_images(self.images or ImageSequence(self.path).paths)

    @property
    def file_name(self) -> str:
        """The name of the file of its marks."""
        return f"{self.name}.marks.json"

    @property
    def old_file_name(self) -> str:
        """The name that earlier versions gave it."""
        return f"{self.path.stem}.marks.json"

    def files(self) -> tuple[list[Path], list[Path]]:
        """Return the files that may have its marks, and those of earlier versions."""
        working = [] if self.working_folder is None else [self.working_folder]
        places = list(dict.fromkeys((*self.folders, *working)))
        more = (f"{self.name}.marks ({number}).json" for number in range(2, _MOST_NAMES + 1))
        names = [self.file_name, *more]
        paths = [path for folder in places for name in names if os.path.lexists(path := folder / name)]
        old = [folder / self.old_file_name for folder in places if self.old_file_name != self.file_name]
        return paths, [path for path in old if path.is_file()]


def marked_video(reader: Any) -> MarkedVideo:
    """Return the video of an open reader."""
    path = Path(os.path.abspath(reader.info.path))
    folders = () if _is_elsewhere(getattr(reader, "source", path)) else (path.parent,)
    return MarkedVideo(path, folders, _working_folder(), getattr(reader, "paths", None), len(reader))


class Refused(NamedTuple):
    """A file with the name that the marks of a video have, which is not taken for them, and why."""

    path: Path
    reason: str
    has_marks: bool


class Found(NamedTuple):
    """The file of the marks of a video, if there is one, the marks in it, and files that are not taken."""

    path: Path | None
    contents: Contents
    refused: list[Refused]


def find_marks(video: MarkedVideo, *, is_shown: bool = False) -> Found:
    """Find the marks of a video: in the file that was written last, or else in one with the old name.

    One in the working folder has to name its video, unless a person sees which one is taken.
    """
    refused: list[Refused] = []
    for paths in video.files():
        mine: list[tuple[int, Path, Contents]] = []
        for path in paths:
            try:
                contents = parsed_marks(read_content(path), path, video.num_frames)
                reason = _reason_against(path, contents, video, is_shown=is_shown)
                if reason:
                    refused.append(Refused(path, reason, has_marks=True))
                else:
                    mine.append((path.stat().st_mtime_ns, path, contents))
            except (OSError, ValueError) as error:
                refused.append(Refused(path, str(error), has_marks=False))
        if mine:
            _, path, contents = max(mine, key=lambda each: each[0])
            return Found(path, contents, refused)
    return Found(None, Contents(), refused)


def _reason_against(path: Path, contents: Contents, video: MarkedVideo, *, is_shown: bool) -> str:
    """Return why these are not the marks of the video; nothing if they are."""
    file, name = printable(path), printable(video.name)
    if contents.video is not None:
        is_other = contents.video != video.identity()
        return f"{file} has marks of another video, which was called {name}, too" if is_other else ""
    if path.parent not in video.folders and not is_shown:
        return f"{file} does not say which video its marks are of"
    twin = next(_twins(video), None) if path.name == video.old_file_name else None
    if twin is None:
        return ""
    return f"{file} may have the marks of {name} or of {printable(twin)}, and does not say which"


def _twins(video: MarkedVideo) -> Iterator[str]:
    """Yield other videos beside it whose names differ only in their extensions."""
    for folder in video.folders:
        for path in sorted(folder.iterdir() if folder.is_dir() else []):
            is_like_it = path.stem == video.path.stem and path.name != video.name
            if is_like_it and (path.suffix.lower() in VIDEO_EXTENSIONS or path.is_dir()):
                yield path.name


def _working_folder() -> Path | None:
    """Return the working folder, if it still exists."""
    with suppress(OSError):
        return Path.cwd()
    return None


def _is_elsewhere(source: str | os.PathLike[str]) -> bool:
    """Return whether nothing can lie beside a source: it is a URL, and not of a file."""
    return is_url(source) and os.fspath(source)[:5].lower() != "file:"


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
        annotations: A file; a directory with a file for each video; an object, as in `notes_of_numbers`; None
            for what is found beside the video, and marks in the working folder; False for nothing.
        source: The video.
        folder: The folder of the video, as a path below the top of its tree; in a directory of annotations,
            the file is expected there.
        reader: An open reader of it. Without one, nothing is found for a URL.

    Raises:
        FileNotFoundError: There is no such file or directory.
        ValueError: A file is not an annotation, or of another video, or two files are for the same video.
    """
    if annotations is False:
        return None
    if annotations is not None and not isinstance(annotations, str | os.PathLike):
        return notes_of_numbers(annotations)
    if annotations is not None and not os.path.isdir(annotations):
        return read_notes(annotations)
    if reader is None and is_url(source):
        return None
    path = Path(os.path.abspath(source if reader is None else reader.info.path))
    images = getattr(reader, "paths", None)
    if annotations is not None:
        return _notes_beside(MarkedVideo(path, (Path(annotations, folder),), images=images))
    folders = [] if _is_elsewhere(source) else [path.parent]
    if folders and path.parent.name == "video":  # a project of Supervisely: video/a.mp4 -> ann/a.mp4.json
        folders.append(path.parent.with_name("ann"))
    return _notes_beside(MarkedVideo(path, tuple(folders), _working_folder(), images))


def _notes_beside(video: MarkedVideo) -> FrameNotes | None:
    marks = find_marks(video)
    for path, reason, _ in marks.refused:
        if marks.path is None and path.parent in video.folders:
            raise ValueError(f"{reason}; annotations={str(path)!r} takes it, annotations=False takes none")
    own = [] if marks.path is None else [marks.path]
    tables = dict.fromkeys((f"{video.name}.csv", f"{video.path.stem}.csv"))
    found = [*_existing(video, f"{video.name}.json"), *own, *_existing(video, *tables)]
    if len(found) > 1:
        names = " and ".join(map(printable, found[:2]))
        raise ValueError(
            f"there are two files of annotations for {printable(video.name)}: {names}; "
            "say which by annotations="
        )
    if found == own:
        return marks.contents if own else None
    return read_notes(found[0])


def _existing(video: MarkedVideo, *names: str) -> list[Path]:
    return [path for name in names for folder in video.folders if (path := folder / name).is_file()]


def read_notes(path: str | os.PathLike[str]) -> FrameNotes:
    """Return the notes in a file, whose kind is seen from its contents.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not an annotation; the message names the file and says what is wrong.
    """
    file, kind = Path(path), "file of annotations"
    try:
        if file.suffix.lower() in (".csv", ".tsv"):
            kind = "table of annotations"
            return notes_of_table(read_side_file(file))
        data = read_json(file)
        kind = "video annotation of Supervisely" if is_supervisely(data) else "file of marks"
        return notes_of_supervisely(data) if is_supervisely(data) else contents_of(data)
    except (TypeError, ValueError, IndexError, csv.Error) as error:
        raise ValueError(f"{printable(file)} is not a {kind}: {in_short(error)}") from error
