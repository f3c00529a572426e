"""The images of one video that a folder has already: which are whole, and which are of something else."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ...errors import printable
from ..images import image_name, png_state
from .manifest import Origin, known_manifest
from .names import manifest_path

_REMEDY = "remove it, or give another output_dir"


class Inventory:
    """The images of one video in a folder, by its manifest and by what is really there.

    An image counts if the manifest claims it, and it is what the manifest says. While a run is at work, the
    manifest claims the images that it is about to make, as none of them was there before; so the next run
    knows them, however that one has ended.

    Args:
        directory: The folder.
        stem: What the names of the images begin with.
        origin: What the images must show.

    Raises:
        FileExistsError: The manifest is of other images, or none of this library.
    """

    def __init__(self, directory: Path, stem: str, origin: Origin):
        self._directory, self._stem, self._origin = directory, stem, origin
        self.manifest = manifest_path(directory, stem)
        known = known_manifest(self.manifest, origin)
        self.has_manifest = known is not None
        self.halves: set[int] = set()
        """The frames of whose images a computer that failed has left a part."""
        self.frames: dict[int, dict[str, Any]] = {}
        """What is known of each image."""
        self.pending: dict[int, dict[str, Any]] = {}
        """The same of those that a run was about to make when it was killed."""
        if known is not None:
            self.frames = {frame["number"]: frame for frame in known["frames"]}
            # Earlier versions did not say which: it may be all of them.
            pending = known.get("pending", [] if known["is_complete"] else self._all_there())
            self.pending = {frame["number"]: frame for frame in pending}

    def path(self, number: int) -> Path:
        """Return the place of the image of a frame."""
        return self._directory / image_name(self._stem, number, self._origin.num_frames)

    def size(self, number: int) -> dict[str, int]:
        """Return the size of an image, as it goes into the manifest."""
        return {"bytes": self.path(number).stat().st_size}

    def has(self, number: int) -> bool:
        """Return whether a frame has its image; half of one does not count.

        Raises:
            FileExistsError: Something else has the name.
        """
        path = self.path(number)
        if not os.path.lexists(path):
            return False
        if number not in self.frames and number not in self.pending:
            raise FileExistsError(f"{printable(path)} is there, and no manifest knows it; {_REMEDY}")
        state = png_state(path, self._origin.image_size)
        if state == "half":
            self.halves.add(number)
            return False
        if state == "other":
            raise FileExistsError(f"{printable(path)} is not the image that was sampled; {_REMEDY}")
        size, noted = path.stat().st_size, self._noted_size(number)
        if noted not in (None, size):
            raise FileExistsError(
                f"{printable(path)} has {size} bytes, and {noted} when it was sampled; {_REMEDY}"
            )
        return True

    def others(self, numbers: set[int]) -> list[int]:
        """Return the frames beside these that have their images."""
        return [number for number in {*self.frames, *self.pending} - numbers if self._is_good(number)]

    def _is_good(self, number: int) -> bool:
        """Return whether an image is there that was not asked for; by its size, where that is known."""
        path, noted = self.path(number), self._noted_size(number)
        try:
            return path.is_file() and (path.stat().st_size == noted if noted else self.has(number))
        except OSError:
            return False

    def _noted_size(self, number: int) -> int | None:
        return self.frames.get(number, {}).get("bytes")

    def _all_there(self) -> list[dict[str, Any]]:
        pattern = re.compile(re.escape(f"{self._stem}_frame_") + r"(\d+)\.png")
        found = (pattern.fullmatch(name) for name in os.listdir(self._directory))
        numbers = (int(match[1]) for match in found if match)
        return [{"number": number} for number in numbers if number < self._origin.num_frames]
