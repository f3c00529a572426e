"""The files beside sampled images that have their shares of the annotations."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...base import write_whole
from ...errors import printable
from .inventory import Inventory


class Shares:
    """Keeps the file `<image>.json` of each image as it should be.

    A file that is to be changed must be as an earlier run has written it, which the manifest knows.

    Args:
        inventory: The images.
        texts: What the files of which frames shall contain.

    Raises:
        FileExistsError: There is a file that was changed since, or is none of this library.
    """

    def __init__(self, inventory: Inventory, texts: Mapping[int, str]):
        self._inventory, self._texts = inventory, texts
        known = inventory.frames.items()
        self._digests = {number: frame["share"] for number, frame in known if "share" in frame}
        for number, frame in inventory.pending.items():
            if "share" in frame and _digest(self._text(number)) == frame["share"]:  # it was written in time
                self._digests[number] = frame["share"]
        self._stale: set[int] = set()
        self.waiting = {number for number in texts if not self._is_there(number)}
        """The frames whose files have still to be written."""

    def coming(self, number: int) -> dict[str, Any]:
        """Return what the manifest says of a file that is to be written."""
        return {"share": _digest(self._texts[number])} if number in self.waiting else {}

    def noted(self, number: int) -> dict[str, Any]:
        """Return what the manifest says of a file that is there."""
        return {"share": self._digests[number]} if number in self._digests else {}

    def write(self, numbers: Iterable[int]) -> None:
        """Write those of these files that are not as they should be."""
        for number in self.waiting.intersection(numbers):
            write_whole(self._path(number), self._texts[number], overwrite=number in self._stale, clear=False)
            self._digests[number] = _digest(self._texts[number])
            self.waiting.discard(number)

    def _is_there(self, number: int) -> bool:
        path, text = self._path(number), self._text(number)
        if not os.path.lexists(path):
            return False
        if text == self._texts[number]:
            self._digests[number] = _digest(text)
            return True
        if text.strip("\0") and _digest(text) != self._digests.get(number):
            raise FileExistsError(
                f"{printable(path)} was not written with the image, or was changed since; "
                "remove it, or give another output_dir"
            )
        self._stale.add(number)
        return False

    def _text(self, number: int) -> str:
        path = self._path(number)
        return path.read_text("utf-8", "replace") if path.is_file() else "no file"

    def _path(self, number: int) -> Path:
        image = self._inventory.path(number)
        return image.with_name(f"{image.name}.json")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
