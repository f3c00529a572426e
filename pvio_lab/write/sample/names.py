"""What the images of each video are called, so that no two videos share a name. Pure, but for one look."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...read import is_url, public_name
from .manifest import read_manifest


def video_name(source: str | os.PathLike[str]) -> str:
    """The last part of a path or URL.

    >>> video_name("https://example.org/films/clip%201.mp4?key=secret")
    'clip 1.mp4'
    """
    name = os.fspath(source)
    if name.startswith("data:"):
        return "video"
    if is_url(name):
        return Path(unquote(urlsplit(public_name(name)).path)).name or "video"
    return Path(os.path.abspath(name)).name


def manifest_path(directory: Path, stem: str) -> Path:
    """Where it is written which images of a video there are."""
    return directory / f"{stem}_frames.json"


def shared_stems(names: Sequence[str]) -> set[str]:
    """The names of videos that are the same without their ends, also where case does not count.

    >>> sorted(shared_stems(["a.mp4", "b.mp4", "A.mkv"]))
    ['A.mkv', 'a.mp4']
    """
    stems = Counter(_stem(name) for name in set(names))
    return {name for name in names if stems[_stem(name)] > 1}


def stem_for(directory: Path, name: str, *, is_shared: bool = False) -> str:
    """What the images of a video begin with: its name without the end, or all of it if that is taken.

    A manifest says to which video a name belongs, so that it is kept when the video gets a neighbour.
    """
    stem = Path(name).stem
    owner = _owner(manifest_path(directory, stem))
    return stem if owner == name or (owner is None and not is_shared) else name


def _stem(name: str) -> str:
    return Path(name).stem.casefold()


def _owner(manifest: Path) -> str | None:
    known = None
    with suppress(OSError):
        known = read_manifest(manifest)
    return None if known is None else str(known["video"])
