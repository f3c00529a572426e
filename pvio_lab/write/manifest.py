"""The file beside sampled images that says what each of them shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..base.files import Target
from ..base.side_files import read_json
from ..errors import printable


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


def check_origin(path: Path, origin: Origin) -> dict[str, Any] | None:
    """What a manifest says, if there is one.

    Raises:
        FileExistsError: It is of other images, which must not be mixed with new ones.
    """
    known = read_manifest(path)
    if known is None:
        return None
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
    """What a manifest says; None if there is none, or it is damaged and to be made anew."""
    try:
        data = read_json(path)
    except (FileNotFoundError, ValueError):
        return None
    is_whole = isinstance(data, dict) and {"is_complete", "frames"} <= set(data)
    return data if is_whole and isinstance(data["frames"], list) else None


def numbers_in(manifest: dict[str, Any]) -> list[int]:
    """Return which images a manifest knows."""
    found = (entry.get("number") for entry in manifest["frames"] if isinstance(entry, dict))
    return [number for number in found if type(number) is int and number >= 0]


def write_manifest(
    path: Path, origin: Origin, source: str, frames: Iterable[dict[str, Any]], *, is_complete: bool
) -> None:
    """Writes a manifest, which appears under its name when it is complete.

    Args:
        path: The file.
        origin: Where the images come from.
        source: The video, as it was given.
        frames: What is known of each image: number, seconds, file, annotations.
        is_complete: Whether every frame that was asked for has its image.
    """
    head = json.dumps({"source": source, **asdict(origin), "is_complete": is_complete}, ensure_ascii=False)
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in frames)
    text = f'{head[:-1]}, "frames": [\n{lines}\n]}}\n'
    save_text(path, text)


def save_text(path: Path, text: str) -> None:
    """Writes a text file, which appears under its name when it is complete."""
    target = Target(path)
    with target:
        target.partial.write_bytes(text.encode("utf-8", "backslashreplace"))
        target.commit()
