"""Files with marks and annotations: which of those around a video are for it, and not for another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..base import Identity, identity_of_file, identity_of_images, in_short, read_content, read_json
from ..errors import printable
from ..read import VIDEO_EXTENSIONS, ImageSequence, is_url, source_name
from .contents import Contents
from .file import contents_of, parsed_marks
from .notes import FrameNotes, notes_of_marks, notes_of_numbers, read_label_table
from .supervisely import is_supervisely, notes_of_supervisely

# At most so many videos of one name put their marks into one folder.
_MOST_NAMES = 9
# Names of the files of annotations for a video, in order; those of its marks come between them.
_FIRST, _LAST = ("{name}.json",), ("{name}.csv", "{stem}.csv")


def identity_of(source: Any) -> Identity:
    """Return the identity of a video file, a directory of images, or an open reader."""
    if isinstance(source, str | os.PathLike):
        if not os.path.isdir(source):
            return identity_of_file(source)
        source = ImageSequence(source)
    paths = getattr(source, "paths", None)
    return identity_of_file(source.info.path) if paths is None else identity_of_images(paths)


@dataclass(frozen=True)
class MarkedVideo:
    """A video that may have marks.

    Its marks are in `<file name>.marks.json` beside it, or in the working folder where nothing can be written
    beside it; if there are marks of another video under this name, in `<file name>.marks (2).json` and so on.
    Earlier versions left the extension of the video out.
    """

    name: str
    """The name of the file, with its extension."""
    identity: Callable[[], Identity]
    """Returns the traits of the video; called only if a file names its video."""
    folders: tuple[Path, ...] = ()
    """The folders with files for it: the one that it is in; none for a URL."""
    working_folder: Path | None = None
    """The folder for marks that cannot be written beside it."""
    num_frames: int | None = None
    """The number of its frames, if that is known."""

    @property
    def file_name(self) -> str:
        """The name of the file of its marks."""
        return f"{self.name}.marks.json"

    @property
    def old_file_name(self) -> str:
        """The name that earlier versions gave it."""
        return f"{Path(self.name).stem}.marks.json"

    def files(self) -> list[Path]:
        """Return the files that may have its marks."""
        first = Path(self.file_name)
        names = [
            first,
            *(first.with_stem(f"{first.stem} ({number})") for number in range(2, _MOST_NAMES + 1)),
        ]
        return [path for folder in self._places() for name in names if os.path.lexists(path := folder / name)]

    def old_files(self) -> list[Path]:
        """Return the files of earlier versions that may have its marks."""
        if self.old_file_name == self.file_name:
            return []
        return [path for folder in self._places() if (path := folder / self.old_file_name).is_file()]

    def _places(self) -> list[Path]:
        working = [] if self.working_folder is None else [self.working_folder]
        return list(dict.fromkeys((*self.folders, *working)))


def marked_video(reader: Any) -> MarkedVideo:
    """Return the video of an open reader."""
    place = Path(os.path.abspath(reader.info.path))
    folders = () if _is_elsewhere(getattr(reader, "source", place)) else (place.parent,)
    return MarkedVideo(place.name, partial(identity_of, reader), folders, _working_folder(), len(reader))


class Refused(NamedTuple):
    """A file with the name that the marks of a video have, which is not taken for them."""

    path: Path
    """The file."""
    reason: str
    """The reason, in words."""
    has_marks: bool
    """It has marks, of any video."""


@dataclass(frozen=True)
class Found:
    """The marks of a video, as far as they were found."""

    path: Path | None = None
    """The file of its marks, if there is one."""
    contents: Contents = field(default_factory=Contents)
    """The marks in it."""
    refused: tuple[Refused, ...] = ()
    """Files of that name that are not taken."""


def find_marks(video: MarkedVideo, *, is_shown: bool = False) -> Found:
    """Find the marks of a video.

    Of several files of its marks, the one that was written last counts; one with the old name, only if there
    is no other.

    Args:
        video: The video.
        is_shown: A person sees which file is taken; so one in the working folder is taken even if it does not
            name its video.
    """
    refused: list[Refused] = []
    for paths in (video.files(), video.old_files()):
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
            return Found(path, contents, tuple(refused))
    return Found(refused=tuple(refused))


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
    stem = Path(video.name).stem
    for folder in video.folders:
        for name in sorted(os.listdir(folder) if folder.is_dir() else []):
            is_video = Path(name).suffix.lower() in VIDEO_EXTENSIONS or (folder / name).is_dir()
            if is_video and name != video.name and Path(name).stem == stem:
                yield name


def _working_folder() -> Path | None:
    """Return the working folder, if it still exists."""
    with suppress(OSError):
        return Path.cwd()
    return None


def _is_elsewhere(source: str | os.PathLike[str]) -> bool:
    """Return whether nothing can lie beside a source: it is a URL, and not of a file."""
    name = source_name(source)
    return is_url(name) and name[:5].lower() != "file:"


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
    video = Path(os.path.abspath(source_name(source) if reader is None else reader.info.path))
    identity = partial(identity_of, video if reader is None else reader)
    if annotations is not None:
        return _notes_of(MarkedVideo(video.name, identity, (Path(annotations, folder),)))
    folders = () if _is_elsewhere(source) else _folders_beside(video)
    return _notes_of(MarkedVideo(video.name, identity, folders, _working_folder()))


def read_notes(path: str | os.PathLike[str]) -> FrameNotes:
    """Return the notes in a file, whose kind is seen from its contents.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not an annotation; the message names the file and says what is wrong.
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
        raise ValueError(f"{printable(file)} is not a {kind}: {in_short(error)}") from error


def _folders_beside(video: Path) -> tuple[Path, ...]:
    """Return its own folder; in a project of Supervisely one more: video/a.mp4 -> ann/a.mp4.json."""
    folder = video.parent
    return (folder, folder.parent / "ann") if folder.name == "video" else (folder,)


def _notes_of(video: MarkedVideo) -> FrameNotes | None:
    marks = find_marks(video)
    for path, reason, _ in marks.refused:
        if marks.path is None and path.parent in video.folders:
            raise ValueError(f"{reason}; annotations={str(path)!r} takes it, annotations=False takes none")
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


def _files_for(video: MarkedVideo, names: tuple[str, ...]) -> Iterator[Path]:
    wanted = (each.format(name=video.name, stem=Path(video.name).stem) for each in names)
    for name in dict.fromkeys(wanted):
        yield from (folder / name for folder in video.folders if (folder / name).is_file())
