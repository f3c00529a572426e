"""One open video becomes images and a manifest; what is already there is kept."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Executor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.side_files import in_short
from ..read.frame_notes import FrameNotes
from ..read.frames import Frames
from ..read.sampling import timeline
from ..read.sources import public_name
from .image_files import image_name, is_whole_png, write_all, write_image
from .manifest import Origin, check_origin, numbers_in, save_text, write_manifest
from .sample_names import manifest_path, video_name

# What a killed run has left half-written is removed once nobody can be at work on it any more.
_STALE_SECONDS = 600


class Sampler:
    """Writes images of one open video into a directory.

    Args:
        reader: The video.
        source: How it was named.
        size: Width and height of the images.
        numbers: Which frames shall have images, in order.
        directory: Where the images go; made if it is not there.
        stem: What their names begin with.
        notes: What is known about the frames.
        copies_notes: Whether each image gets a file with its share of that.

    Raises:
        FileExistsError: The directory has images of another video of this name, or of another size.
        ValueError: The notes are about frames that are not there.
    """

    def __init__(
        self,
        reader: Any,
        source: str,
        size: tuple[int, int],
        numbers: NDArray[np.int64],
        directory: Path,
        stem: str,
        notes: FrameNotes | None = None,
        *,
        copies_notes: bool = False,
    ):
        self._reader, self._source, self._directory, self._stem = reader, source, directory, stem
        self._times, _ = timeline(reader)
        self._notes = notes or FrameNotes()
        self._notes.check(len(reader))
        self._copies_notes = copies_notes and notes is not None
        self._size, own = size, (reader.shape[2], reader.shape[1])
        self._origin = Origin(video_name(source), reader.info.size_bytes, len(reader), own, size)
        self.manifest = manifest_path(directory, stem)
        known = check_origin(self.manifest, self._origin)
        directory.mkdir(parents=True, exist_ok=True)
        self._numbers, self._others = numbers, self._numbers_of(known)
        self.missing = numbers[[not is_whole_png(self._path(number)) for number in numbers.tolist()]]
        """The frames that have no image yet, or not all of it."""

    def write(self, pool: Executor, most_waiting: int) -> Generator[Path]:
        """Writes the images that are missing; gives the path of each when it is there.

        However it ends, the manifest says what there is.

        Args:
            pool: Has the images written.
            most_waiting: How many frames may wait for that.
        """
        self._write_shares(np.setdiff1d(self._numbers, self.missing))
        if self.missing.size:  # says whose the coming images are, even if this process is killed
            self.write_manifest(is_complete=False)
        is_complete = False
        paths = write_all(self._frames(), write_image, pool, most_waiting)
        try:
            with closing(paths):
                for number, path in zip(self.missing.tolist(), paths, strict=True):
                    self._write_shares([number])
                    yield path
            is_complete = True
        finally:
            self.write_manifest(is_complete=is_complete)

    def write_manifest(self, *, is_complete: bool) -> None:
        """Writes down which images there are, also those of other runs."""
        numbers = sorted({*self._numbers.tolist(), *self._others})
        frames = [self._entry(number) for number in numbers if self._path(number).is_file()]
        write_manifest(
            self.manifest, self._origin, public_name(self._source), frames, is_complete=is_complete
        )

    def _frames(self) -> Iterator[tuple[Path, Frames]]:
        stream = self._reader.stream(self.missing, size=self._size)
        for number in self.missing.tolist():
            yield self._path(number), next(stream)

    def _path(self, number: int) -> Path:
        return self._directory / image_name(self._stem, number, len(self._reader))

    def _numbers_of(self, known: dict[str, Any] | None) -> set[int]:
        """Which frames earlier runs have made images of; one that was stopped has made more than it says."""
        if known is None:
            return set()
        if known["is_complete"]:
            return {number for number in numbers_in(known) if number < len(self._reader)}
        _remove_stale(self._directory, self._stem)
        pattern = re.compile(re.escape(f"{self._stem}_frame_") + r"(\d+)\.png")
        found = (pattern.fullmatch(path.name) for path in self._directory.iterdir())
        return {int(match[1]) for match in found if match and int(match[1]) < len(self._reader)}

    def _entry(self, number: int) -> dict[str, Any]:
        return {
            "number": number,
            "seconds": round(float(self._times[number]), 6),
            "file": self._path(number).name,
            "annotations": list(self._notes.labels_at(number)),
        }

    def _write_shares(self, numbers: Any) -> None:
        """Writes what is known about each frame beside its image, where it is not there already."""
        for number in numbers if self._copies_notes else ():
            image = self._path(int(number))
            text = self._share(int(number))
            path = image.with_name(f"{image.name}.json")
            if not path.is_file() or path.read_text("utf-8") != text:
                save_text(path, text)

    def _share(self, number: int) -> str:
        """The annotations of a frame as text; what is odd in them is found out here at the latest."""
        try:
            return json.dumps(self._notes.share(number, self._size), ensure_ascii=False, indent=1) + "\n"
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
            words = f"the annotations of frame {number} cannot be written to a file"
            raise ValueError(f"{words}: {type(error).__name__}: {in_short(error)}") from error


def _remove_stale(directory: Path, stem: str) -> None:
    for path in directory.iterdir():
        if path.name.startswith(f".{stem}_frame_") and ".part" in path.suffixes:
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()
