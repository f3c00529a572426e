"""Find the marks of a video, and tell them from those of other videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from ..base import Identity, identity_of_file, identity_of_images
from ..errors import printable
from ..read import VIDEO_EXTENSIONS, ImageSequence, is_url
from .format import Contents, read_marks

# More videos of one name do not put their marks into one folder.
_MOST_NAMES = 9


def identity_of(source: Any) -> Identity:
    """Return the identity of a video file, a directory of images, or an open reader."""
    if isinstance(source, str | PathLike):
        if not os.path.isdir(source):
            return identity_of_file(source)
        source = ImageSequence(source)
    paths = getattr(source, "paths", None)
    return identity_of_file(source.info.path) if paths is None else identity_of_images(paths)


@dataclass(frozen=True)
class Marked:
    """A video that may have marks.

    Its marks are in `<file name>.marks.json` beside it, or in the working folder where nothing can be written
    beside it; if there are marks of another video under this name, in `<file name>.marks (2).json` and so on.
    Earlier versions left the end of the video's name out.
    """

    name: str
    """The name of the file, with its end."""
    identity: Callable[[], Identity]
    """Tells the video from others; asked only where a file says of which one it is."""
    folders: tuple[Path, ...] = ()
    """Where files for it are: the folder that it is in; none for a URL."""
    working_folder: Path | None = None
    """Where marks go that cannot be written beside it."""
    num_frames: int | None = None
    """How many frames it has, where that is known."""

    @property
    def file_name(self) -> str:
        """The name of the file of its marks."""
        return f"{self.name}.marks.json"

    @property
    def old_file_name(self) -> str:
        """The name that earlier versions gave it."""
        return f"{Path(self.name).stem}.marks.json"


class Other(NamedTuple):
    """A file of the name that the marks of a video have, which is not taken for them."""

    path: Path
    """The file."""
    trouble: str
    """Why it is not taken."""
    has_marks: bool
    """It has marks, of whichever video."""


@dataclass(frozen=True)
class Found:
    """The marks of a video, as far as they were found."""

    path: Path | None = None
    """The file of its marks, if there is one."""
    contents: Contents = field(default_factory=Contents)
    """What it holds."""
    others: tuple[Other, ...] = ()
    """Files of that name that are not taken."""


def find_marks(video: Marked, *, is_shown: bool = False) -> Found:
    """Find the marks of a video.

    Where there are several files of its marks, the one that was written last counts; one with the old name,
    only if there is no other.

    Args:
        video: The video.
        is_shown: Take also a file in the working folder that does not say of which video it is. Only where
            a person sees what was taken.
    """
    others: list[Other] = []
    for paths in (list(_files(video)), list(_old_files(video))):
        mine: list[tuple[int, Path, Contents]] = []
        for path in paths:
            try:
                contents = read_marks(path, video.num_frames)
                trouble = _trouble(path, contents, video, is_shown=is_shown)
                if trouble:
                    others.append(Other(path, trouble, has_marks=True))
                else:
                    mine.append((path.stat().st_mtime_ns, path, contents))
            except (OSError, ValueError) as error:
                others.append(Other(path, str(error), has_marks=False))
        if mine:
            _, path, contents = max(mine, key=lambda each: each[0])
            return Found(path, contents, tuple(others))
    return Found(others=tuple(others))


def marked_video(source: str, path: str, identity: Callable[[], Identity], num_frames: int) -> Marked:
    """Return the video of an open reader.

    Args:
        source: What was opened, as it was given.
        path: The file that it is on this machine.
        identity: Tells the video from others.
        num_frames: How many frames it has.
    """
    place = Path(os.path.abspath(path))
    folders = () if is_elsewhere(source) else (place.parent,)
    return Marked(place.name, identity, folders, working_folder(), num_frames)


def working_folder() -> Path | None:
    """Return the working folder, if there still is one."""
    with suppress(OSError):
        return Path.cwd()
    return None


def is_elsewhere(source: str) -> bool:
    """Return whether nothing can lie beside a source: it is a URL, and not of a file."""
    return is_url(source) and source[:5].lower() != "file:"


def _places(video: Marked) -> list[Path]:
    working = [] if video.working_folder is None else [video.working_folder]
    return list(dict.fromkeys((*video.folders, *working)))


def _files(video: Marked) -> Iterator[Path]:
    for folder in _places(video):
        first = folder / video.file_name
        numbered = (first.with_stem(f"{first.stem} ({number})") for number in range(2, _MOST_NAMES + 1))
        yield from filter(os.path.lexists, (first, *numbered))


def _old_files(video: Marked) -> Iterator[Path]:
    if video.old_file_name != video.file_name:
        yield from (path for folder in _places(video) if (path := folder / video.old_file_name).is_file())


def _trouble(path: Path, contents: Contents, video: Marked, *, is_shown: bool) -> str:
    """Return why these are not its marks; nothing if they are."""
    file, name = printable(path), printable(video.name)
    if contents.video is not None:
        is_other = contents.video != video.identity()
        return f"{file} has marks of another video, which was called {name}, too" if is_other else ""
    if path.parent not in video.folders and not is_shown:
        return f"{file} does not say of which video its marks are"
    twin = next(_twins(video), None) if path.name == video.old_file_name else None
    if twin is None:
        return ""
    return f"{file} may have the marks of {name} or of {printable(twin)}, and does not say which"


def _twins(video: Marked) -> Iterator[str]:
    """Other videos beside it whose names differ only in their ends."""
    stem = Path(video.name).stem
    for folder in video.folders:
        names = os.listdir(folder) if folder.is_dir() else []
        for name in sorted(names):
            is_video = Path(name).suffix.lower() in VIDEO_EXTENSIONS or (folder / name).is_dir()
            if is_video and name != video.name and Path(name).stem == stem:
                yield name
