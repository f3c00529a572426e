"""The images of one video in a folder: the manifest that lists them, and what is really there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...base import in_short, parsed_json, read_content, write_whole
from ...errors import printable
from ...marks import FrameNotes
from ...read import Frames
from ..image_files import image_name, in_order, png_bytes, png_state

# Ends the first line of a manifest.
_FRAMES = ', "frames": ['
# A line for each image, of a video of many hours.
_MOST_BYTES = 2**28
_REMEDY = "remove it, or give another output_dir"

Entry = dict[str, Any]
"""A line of a manifest: number, seconds, file, annotations, bytes, and the digest of the share."""


@dataclass(frozen=True)
class Origin:
    """The origin of the images of a manifest: images that are kept must have the same."""

    video: str  # the file's name
    size_bytes: int
    num_frames: int
    video_size: tuple[int, int]  # width and height
    image_size: tuple[int, int]


class SampledImages:
    """The images of one video in a folder, each with its share of the annotations: there and to come.

    An image counts if the manifest lists it and it is as the manifest says. While a run is at work, the
    manifest lists the images it is about to make as pending, and none of them was there before; so the next
    run recognises them, however that one has ended. A share, the file `<image>.json`, is replaced only if it
    is as an earlier run has written it.

    Args:
        directory: The folder. There must be no other run at work on these images.
        stem: The beginning of the images' names.
        source: The video, as it may be shown.
        origin: Where the images come from.
        times: When each frame of the video is shown, in seconds.
        notes: The annotations.
        numbers: The frames that are asked for, in order.
        with_shares: Whether each of their images gets its share of the annotations.

    Raises:
        FileExistsError: The manifest is of other images, or is not a manifest. Or something that was not
            sampled, or was changed since, has the name of an image or of a share.
    """

    def __init__(
        self,
        directory: Path,
        stem: str,
        source: str,
        origin: Origin,
        times: NDArray[np.float64],
        notes: FrameNotes,
        numbers: Iterable[int],
        *,
        with_shares: bool,
    ):
        self._directory, self._stem, self._source, self._origin = directory, stem, source, origin
        self._times, self._notes = times, notes
        self.manifest = manifest_path(directory, stem)
        self._said = known_manifest(self.manifest, origin)
        said = self._said or {"frames": [], "pending": []}
        pending = said.get("pending")
        if pending is None:  # earlier versions did not list them: after a stop, any image may be one
            pending = [] if said["is_complete"] else self._all_there()
        self._known: dict[int, Entry] = {entry["number"]: {} for entry in pending}
        self._known |= {entry["number"]: entry for entry in said["frames"]}
        self._entries: dict[int, Entry] = {}
        self._shares: dict[int, tuple[str, bool]] = {}  # the text, and whether it replaces a file
        self._digests = {number: each["share"] for number, each in self._known.items() if "share" in each}
        for entry in pending:
            number = entry["number"]
            if "share" in entry and _digest(self._share_there(number) or "") == entry["share"]:  # in time
                self._digests[number] = entry["share"]
        states = {number: self._state(number) for number in numbers}
        self._halves = [number for number, state in states.items() if state == "half"]
        for number, state in states.items():
            if state == "whole":
                self._list(number)
        for number in self._known.keys() - states.keys():
            if self._is_good(number):
                self._list(number)
                self._entries[number] |= self._known[number]
        for number in states if with_shares else ():
            self._check_share(number)
        self.missing = [number for number, state in states.items() if state != "whole"]
        """The frames that still need an image."""

    def write(self, frames: Iterator[Frames], pool: Executor, most_waiting: int) -> Generator[int]:
        """Write images and shares; yield the number of each image that is there.

        However it ends, the manifest then says what there is.

        Args:
            frames: Yields the missing frames.
            pool: Writes the images.
            most_waiting: How many frames may wait for that.
        """
        pending: list[Entry] = [{"number": number} for number in sorted({*self.missing, *self._shares})]
        for entry in pending:
            if entry["number"] in self._shares:
                entry["share"] = _digest(self._shares[entry["number"]][0])
        if pending:  # even if this process is killed, it is known whose the new files are
            self._write_manifest(pending)
        for number in self._halves:
            self._path(number).unlink(missing_ok=True)
        jobs = (partial(self._save, *pair) for pair in zip(self.missing, frames, strict=True))
        is_complete = False
        try:
            for number in self._shares.keys() - self.missing:
                self._save_share(number)
            with closing(in_order(jobs, pool, most_waiting)) as saved:
                for number in saved:
                    self._save_share(number)
                    yield number
            is_complete = True
        finally:
            self._write_manifest([], is_complete=is_complete)

    def _path(self, number: int) -> Path:
        return self._directory / image_name(self._stem, number, self._origin.num_frames)

    def _save(self, number: int, frame: Frames) -> int:
        """Write the image of a frame, but never over a file that has come since; return the number."""
        path = self._path(number)
        try:
            write_whole(path, png_bytes(frame), overwrite=False, clear=False)
        except FileExistsError:
            raise FileExistsError(
                f"{printable(path)} has come while frames were sampled; {_REMEDY}"
            ) from None
        self._list(number)
        return number

    def _list(self, number: int) -> None:
        path = self._path(number)
        self._entries[number] = {
            "number": number,
            "seconds": round(float(self._times[number]), 6),
            "file": path.name,
            "annotations": list(self._notes.labels_at(number)),
            "bytes": path.stat().st_size,
        }

    def _state(self, number: int) -> Literal["whole", "half"] | None:
        """Return whether a frame has its image, or half of it, as a computer that failed leaves it."""
        path = self._path(number)
        if not os.path.lexists(path):
            return None
        if number not in self._known:
            raise FileExistsError(f"{printable(path)} is there, and no manifest knows it; {_REMEDY}")
        state = png_state(path, self._origin.image_size)
        if state == "other":
            raise FileExistsError(f"{printable(path)} is not the image that was sampled; {_REMEDY}")
        size, listed = path.stat().st_size, self._known[number].get("bytes")
        if state == "whole" and listed not in (None, size):
            raise FileExistsError(
                f"{printable(path)} has {size} bytes, and {listed} when it was sampled; {_REMEDY}"
            )
        return state

    def _is_good(self, number: int) -> bool:
        """Return whether an image is there that was not asked for; by its size, where that is listed."""
        path, listed = self._path(number), self._known[number].get("bytes")
        try:
            is_as_listed = path.stat().st_size == listed if listed else self._state(number) == "whole"
            return path.is_file() and is_as_listed
        except OSError:
            return False

    def _all_there(self) -> list[Entry]:
        # Names as `image_name` makes them.
        pattern = re.compile(re.escape(f"{self._stem}_frame_") + r"(\d+)\.png")
        found = (pattern.fullmatch(name) for name in os.listdir(self._directory))
        numbers = (int(match[1]) for match in found if match)
        return [{"number": number} for number in numbers if number < self._origin.num_frames]

    def _share(self, number: int) -> str:
        """Return the annotations of a frame as text, or raise ValueError where they cannot be written."""
        try:
            share = self._notes.share(number, self._origin.image_size)
            return json.dumps(share, ensure_ascii=False, indent=1) + "\n"
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
            message = f"the annotations of frame {number} cannot be written to a file"
            raise ValueError(f"{message}: {type(error).__name__}: {in_short(error)}") from error

    def _check_share(self, number: int) -> None:
        """Find out whether the share of a frame is there; if not, or if an earlier run wrote it, plan it."""
        text, there = self._share(number), self._share_there(number)
        if there == text:
            self._digests[number] = _digest(text)
            return
        if there is not None and there.strip("\0") and _digest(there) != self._digests.get(number):
            raise FileExistsError(
                f"{printable(self._share_path(number))} was not written with the image, or was changed "
                f"since; {_REMEDY}"
            )
        self._shares[number] = text, there is not None

    def _save_share(self, number: int) -> None:
        if number in self._shares:
            text, is_there = self._shares.pop(number)
            write_whole(self._share_path(number), text, overwrite=is_there, clear=False)
            self._digests[number] = _digest(text)

    def _share_there(self, number: int) -> str | None:
        path = self._share_path(number)
        if path.is_file():
            return path.read_text("utf-8", "replace")
        return "no file" if os.path.lexists(path) else None

    def _share_path(self, number: int) -> Path:
        image = self._path(number)
        return image.with_name(f"{image.name}.json")

    def _write_manifest(self, pending: list[Entry], *, is_complete: bool = False) -> None:
        frames = [
            self._entries[number] | ({"share": self._digests[number]} if number in self._digests else {})
            for number in sorted(self._entries)
            if self._path(number).is_file()
        ]
        head = {"source": self._source, **_facts(self._origin), "is_complete": is_complete}
        text = f"{json.dumps(head, ensure_ascii=False)[:-1]}{_FRAMES}\n{_lines(frames)}\n]"
        said = head | {"frames": frames}
        if not is_complete:
            text += f', "pending": [\n{_lines(pending)}\n]'
            said["pending"] = pending
        if said != self._said:  # a finished folder may be somebody else's, or read-only
            write_whole(self.manifest, f"{text}}}\n", overwrite=self._said is not None, clear=False)
        self._said = said


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


def manifest_path(directory: Path, stem: str) -> Path:
    """Return the path of the manifest of a video's images."""
    return directory / f"{stem}_frames.json"


def known_manifest(path: Path, origin: Origin) -> dict[str, Any] | None:
    """Return what a manifest says, if there is one.

    Raises:
        FileExistsError: It is of other images, which must not be mixed with new ones, or not a manifest.
    """
    if not os.path.lexists(path):
        return None
    known = read_manifest(path)
    if known is None:
        raise FileExistsError(
            f"{printable(path)} is not a list of sampled images; give another output_dir, or move it away"
        )
    facts = _facts(origin)
    differences = [
        f"{key} {known.get(key)!r} -> {facts[key]!r}" for key in facts if known.get(key) != facts[key]
    ]
    if differences:
        raise FileExistsError(
            f"the images of {printable(path)} are others ({', '.join(differences)}); "
            "give another output_dir, or remove them and this file"
        )
    return known


def _facts(origin: Origin) -> dict[str, Any]:
    """Return the origin as JSON has it, which knows no tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(origin).items()}


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return what a manifest says, as far as it is there; None for any other file."""
    if not path.is_file():
        return None
    try:
        content = read_content(path, _MOST_BYTES)
        try:
            data = parsed_json(content)
        except ValueError:  # damaged: its first line says what the images are, but not which
            data = parsed_json(content.partition(_FRAMES.encode())[0] + b"}")
            data |= {"is_complete": False, "frames": []}
    except ValueError:
        return None
    return data if isinstance(data, dict) and _is_manifest(data) else None


def _is_manifest(data: dict[str, Any]) -> bool:
    lists = [data.get("frames"), data.get("pending", [])]
    return "video" in data and isinstance(data.get("is_complete"), bool) and all(map(_is_list, lists))


def _is_list(frames: Any) -> bool:
    return isinstance(frames, list) and all(
        isinstance(frame, dict) and type(frame.get("number")) is int and frame["number"] >= 0
        for frame in frames
    )


def _lines(entries: Iterable[Entry]) -> str:
    return ",\n".join(json.dumps(each, ensure_ascii=False) for each in entries)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
