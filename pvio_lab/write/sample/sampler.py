"""One open video becomes images and a manifest; what is already there is kept."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from concurrent.futures import Executor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import in_short
from ...errors import printable
from ...marks import FrameNotes
from ...read import Frames, public_name, timeline
from ..images import ImageWriter, save_whole, write_all, write_image
from .inventory import Inventory
from .manifest import Origin, write_manifest
from .names import video_name
from .shares import Shares


class Sampler:
    """The writer of images of one open video into a directory; there must be no other one at the same time.

    Args:
        reader: The video.
        source: How it was named.
        size: Width and height of the images.
        numbers: Which frames shall have images, in order.
        directory: Where the images go; it is there.
        stem: What their names begin with.
        notes: What is known about the frames.
        copies_notes: Whether each image gets a file with its share of that.

    Raises:
        FileExistsError: The directory has images of another video of this name, or of another size; or
            something that was not sampled has the name of an image, of its annotations or of the manifest.
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
        self._reader, self._source, self._size, self._numbers = reader, source, size, numbers
        self._times, _ = timeline(reader)
        self._notes = notes or FrameNotes()
        own = (reader.shape[2], reader.shape[1])
        self._origin = Origin(video_name(source), reader.info.size_bytes, len(reader), own, size)
        self._there = Inventory(directory, stem, self._origin)
        self.manifest = self._there.manifest
        self.missing = numbers[[not self._there.has(number) for number in numbers.tolist()]]
        """The frames that have no image yet, or not all of it."""
        others = self._there.others(set(numbers.tolist()))
        kept = [*np.setdiff1d(numbers, self.missing).tolist(), *others]
        self._made: dict[Path, int] = {}
        """The sizes of the images that were written."""
        self._frames = {
            number: self._entry(number) | self._there.size(number) | self._there.frames.get(number, {})
            for number in kept
        }
        """What is known of each image that was there before."""
        asked = numbers.tolist() if copies_notes and notes is not None else []
        self._shares = Shares(self._there, {number: self._share(number) for number in asked})
        self._has_manifest = self._there.has_manifest

    def write(self, pool: Executor, most_waiting: int) -> Generator[Path]:
        """Writes the images that are missing; gives the path of each when it is there.

        However it ends, the manifest says what there is.

        Args:
            pool: Has the images written.
            most_waiting: How many frames may wait for that.
        """
        is_complete = False
        pending = sorted({*self.missing.tolist(), *self._shares.waiting})
        if pending:  # says whose the coming files are, even if this process is killed
            self._write_manifest([{"number": number} | self._shares.coming(number) for number in pending])
        for number in self._there.halves.intersection(self.missing.tolist()):
            self._there.path(number).unlink(missing_ok=True)
        paths = write_all(self._jobs(), write_image, pool, most_waiting, self._save)
        try:
            self._shares.write(np.setdiff1d(self._numbers, self.missing).tolist())
            with closing(paths):
                for number, path in zip(self.missing.tolist(), paths, strict=True):
                    self._shares.write([number])
                    yield path
            is_complete = True
        finally:
            for number in self._numbers.tolist():
                size = self._frames.get(number, {}).get("bytes", self._made.get(self._there.path(number)))
                if size is not None:
                    self._frames[number] = self._entry(number) | {"bytes": size}
            self._write_manifest([], is_complete=is_complete)

    def _write_manifest(self, pending: list[dict[str, Any]], *, is_complete: bool = False) -> None:
        frames = [
            self._frames[number] | self._shares.noted(number)
            for number in sorted(self._frames)
            if self._there.path(number).is_file()
        ]
        write_manifest(
            self.manifest,
            self._origin,
            public_name(self._source),
            frames,
            pending=pending,
            is_complete=is_complete,
            overwrite=self._has_manifest,
        )
        self._has_manifest = True

    def _jobs(self) -> Iterator[tuple[Path, Frames]]:
        stream = self._reader.stream(self.missing, size=self._size)
        for number in self.missing.tolist():
            yield self._there.path(number), next(stream)

    def _save(self, path: Path, frame: Frames, write: ImageWriter) -> Path:
        """Save an image, but never over a file that has come meanwhile."""
        try:
            save_whole(path, frame, write, overwrite=False)
        except FileExistsError:
            words = "has come while frames were sampled; remove it, or give another output_dir"
            raise FileExistsError(f"{printable(path)} {words}") from None
        self._made[path] = path.stat().st_size
        return path

    def _entry(self, number: int) -> dict[str, Any]:
        return {
            "number": number,
            "seconds": round(float(self._times[number]), 6),
            "file": self._there.path(number).name,
            "annotations": list(self._notes.labels_at(number)),
        }

    def _share(self, number: int) -> str:
        """Return the annotations of a frame as text, or raise ValueError where they cannot be written."""
        try:
            return json.dumps(self._notes.share(number, self._size), ensure_ascii=False, indent=1) + "\n"
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
            words = f"the annotations of frame {number} cannot be written to a file"
            raise ValueError(f"{words}: {type(error).__name__}: {in_short(error)}") from error
