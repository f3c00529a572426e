"""The plan of sampling, checked before any video is opened: which frames, of what size, of which videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...base import positive_integer
from ...errors import printable
from ...marks import FrameNotes
from ...read import Fetching, check_may_be_local, sample_indices, source_name, videos_in
from ..images import video_name
from .manifest import manifest_path, read_manifest

Resize = int | tuple[int, int] | None


@dataclass
class Plan:
    """The work to be done on every video.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option is out of range, or two options contradict each other.
    """

    policy: dict[str, Any]
    """The choice of frames: the options of `sample_indices`."""
    only_annotated: bool
    """Take just the annotated frames."""
    resize: Resize
    """The size of the images."""
    annotations: Any
    """The annotations, as they were given."""
    copy_annotations: bool
    """Give each image its share of them."""
    fetching: Fetching | None
    """The way URLs are fetched, and limits on what may be opened."""

    def __post_init__(self) -> None:
        only = self.policy["only"]
        if isinstance(only, Iterator):  # every video needs it
            self.policy["only"] = tuple(only)
        others = (name for name in ("step", "fps", "num_frames", "first", "only") if self._has(name))
        if self.only_annotated and (other := next(others, None)):
            raise ValueError(f"only_annotated and {other} are different policies: give one of them")
        of_any_video = self.policy | {"only": () if isinstance(only, Iterable) else only}
        sample_indices(SimpleNamespace(num_frames=0, fps=25.0), **of_any_video)
        self.resize = _checked_resize(self.resize)

    def numbers(self, reader: Any, notes: FrameNotes | None) -> list[int]:
        """Return the frames to take of a video, in order, each once."""
        annotated = {"only": notes.numbers() if notes else []} if self.only_annotated else {}
        chosen: list[int] = np.unique(sample_indices(reader, **self.policy | annotated)).tolist()
        return chosen

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the images of a video of this size."""
        if self.resize is None:
            return width, height
        if isinstance(self.resize, tuple):
            return self.resize
        shorter = min(width, height)
        return max(1, round(width * self.resize / shorter)), max(1, round(height * self.resize / shorter))

    def _has(self, name: str) -> bool:
        value = self.policy[name]
        return value is not None and not (name == "step" and value == 1)


def _checked_resize(resize: Any) -> Resize:
    if resize is None:
        return None
    if not isinstance(resize, tuple | list):
        return positive_integer(resize, "resize")
    if len(resize) != 2:
        raise ValueError(f"resize={resize!r} must be a width and a height")
    width, height = (positive_integer(each, "resize") for each in resize)
    return width, height


@dataclass(frozen=True)
class Job:
    """A video that is to be sampled."""

    source: str
    """The video."""
    directory: Path
    """The folder of its images."""
    stem: str
    """The beginning of their names."""
    folder: str | None = None
    """The folder of the video below the top of its tree; None for a video that is sampled by itself."""


def job_of_video(source: str, output_dir: Path) -> Job:
    """Return the job of a video that is sampled by itself."""
    return Job(source, output_dir, stem_for(output_dir, video_name(source)))


def jobs_of_tree(source_dir: Path, output_dir: Path, fetching: Fetching | None = None) -> list[Job]:
    """Return a job for each video in a directory and its folders, in natural order of their names.

    Raises:
        FileNotFoundError: There are none.
        NotADirectoryError: It is a file.
        SourceError: No local path is allowed.
    """
    check_may_be_local(str(source_dir), fetching)
    if source_dir.is_file():
        raise NotADirectoryError(f"{printable(source_dir)} is a file; sample_video takes one")
    if not source_dir.is_dir():
        raise FileNotFoundError(f"there is no directory {printable(source_dir)}")
    videos = [Path(name) for name in videos_in(source_dir)]
    if not videos:
        raise FileNotFoundError(f"there are no videos in the directory {printable(source_dir)}")
    stems = Counter(_as_file_systems_see(video) for video in videos)
    jobs = []
    for video in videos:
        folder = video.parent.relative_to(source_dir)
        is_shared = stems[_as_file_systems_see(video)] > 1
        stem = stem_for(output_dir / folder, video.name, is_shared=is_shared)
        jobs.append(Job(source_name(video), output_dir / folder, stem, str(folder)))
    return jobs


def _as_file_systems_see(video: Path) -> tuple[Path, str]:
    """a/Clip.MP4 -> a, clip: some ignore case."""
    return video.parent, video.stem.casefold()


def stem_for(directory: Path, name: str, *, is_shared: bool = False) -> str:
    """Return the beginning of the names of a video's images.

    It is the video's name without the extension, or the whole name where that is taken. A manifest says to
    which video a name belongs, so that the video keeps it when it gets a neighbour.

    Args:
        directory: The folder of the images.
        name: The file name of the video.
        is_shared: Whether the name of another video in its folder differs in the extension only.
    """
    stem, known = Path(name).stem, None
    with suppress(OSError):
        known = read_manifest(manifest_path(directory, stem))
    is_own = known is not None and str(known["video"]) == name
    return stem if is_own or (known is None and not is_shared) else name
