"""The file beside sampled images that says what each of them shows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...base import parsed_json, read_content, write_whole
from ...errors import printable

# Ends the first line of a manifest.
_FRAMES = ', "frames": ['
# A line for each image, of a video of many hours.
_MOST_BYTES = 2**28


@dataclass(frozen=True)
class Origin:
    """Where the images of a manifest come from: images that are kept must have the same."""

    video: str
    """The file's name."""
    size_bytes: int
    """The file's size."""
    num_frames: int
    """How many frames it has."""
    video_size: tuple[int, int]
    """Width and height of the video."""
    image_size: tuple[int, int]
    """Width and height of the images."""


def known_manifest(path: Path, origin: Origin) -> dict[str, Any] | None:
    """What a manifest says, if there is one.

    Raises:
        FileExistsError: It is of other images, which must not be mixed with new ones; or it is none.
    """
    if not os.path.lexists(path):
        return None
    known = read_manifest(path)
    if known is None:
        raise FileExistsError(
            f"{printable(path)} is no list of sampled images; give another output_dir, or move it away"
        )
    facts = json.loads(json.dumps(asdict(origin)))
    differences = [
        f"{key} {known.get(key)!r} -> {facts[key]!r}" for key in facts if known.get(key) != facts[key]
    ]
    if differences:
        raise FileExistsError(
            f"the images of {printable(path)} are others ({', '.join(differences)}); "
            "give another output_dir, or remove them and this file"
        )
    return known


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return what a manifest says, as far as it is there; None for any other file."""
    if not path.is_file():
        return None
    try:
        content = read_content(path, _MOST_BYTES)
        try:
            data = parsed_json(content)
        except ValueError:
            data = _first_line(content)
    except ValueError:
        return None
    return data if isinstance(data, dict) and _is_manifest(data) else None


def _first_line(content: bytes) -> dict[str, Any]:
    """The manifest in whose first line a damaged one begins: what the images are, but not which."""
    head = content.partition(_FRAMES.encode())[0]
    return {**parsed_json(head + b"}"), "is_complete": False, "frames": []}


def _is_manifest(data: dict[str, Any]) -> bool:
    lists = [data.get("frames"), data.get("pending", [])]
    return "video" in data and isinstance(data.get("is_complete"), bool) and all(map(_is_list, lists))


def _is_list(frames: Any) -> bool:
    return isinstance(frames, list) and all(
        isinstance(frame, dict) and type(frame.get("number")) is int and frame["number"] >= 0
        for frame in frames
    )


def write_manifest(
    path: Path,
    origin: Origin,
    source: str,
    frames: Iterable[dict[str, Any]],
    *,
    pending: Iterable[dict[str, Any]] | None = None,
    is_complete: bool = False,
    overwrite: bool = True,
) -> None:
    """Writes a manifest, which appears under its name when it is complete.

    Args:
        path: The file.
        origin: Where the images come from.
        source: The video, as it was given.
        frames: What is known of each image: number, seconds, file, annotations, bytes.
        pending: The images that may come before the next manifest.
        is_complete: Whether every frame that was asked for has its image.
        overwrite: Whether there is an older manifest.
    """
    head = json.dumps({"source": source, **asdict(origin), "is_complete": is_complete}, ensure_ascii=False)
    text = f"{head[:-1]}{_FRAMES}\n{_lines(frames)}\n]"
    if not is_complete:
        text += f', "pending": [\n{_lines(pending or ())}\n]'
    text = f"{text}}}\n"
    if not (overwrite and _says(path, text)):  # a finished folder may be somebody else's, or read-only
        write_whole(path, text, overwrite=overwrite, clear=False)


def _says(path: Path, text: str) -> bool:
    with suppress(OSError, ValueError):
        return read_content(path, _MOST_BYTES) == text.encode("utf-8", "backslashreplace")
    return False


def _lines(frames: Iterable[dict[str, Any]]) -> str:
    return ",\n".join(json.dumps(each, ensure_ascii=False) for each in frames)
