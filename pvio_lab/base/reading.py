"""Reading files that anybody may have written: regular ones only, small ones within bounds.

An `Identity` tells files apart, by their size and a few of their bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import printable

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# Annotations of a long film take some megabytes. The objects made of such a file stay below a gigabyte.
MOST_BYTES = 64 * 2**20
_MOST_VALUES = 8_000_000
_MOST_CHARACTERS = 400
# The bytes of the beginning, middle and end that tell files of one size apart.
_SAMPLE_BYTES = 4096


def odd_kind(mode: int) -> str | None:
    """Return what a mode stands for, or None if it is a regular file.

    >>> odd_kind(stat.S_IFIFO | 0o644)
    'a FIFO'
    """
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def open_regular(path: str | PathLike[str]) -> BinaryIO:
    """Open a file for reading, but no FIFO and no device: these may have no end, or nobody who writes."""
    kind = odd_kind(os.stat(path).st_mode)
    if kind is not None and kind != _KINDS[stat.S_IFDIR]:  # the system's own error for a directory is clear
        raise OSError(f"{printable(path)} is {kind}, and only regular files are read")
    return open(path, "rb", opener=_open_at_once)


def _open_at_once(path: str, flags: int) -> int:
    """Open even what has become a FIFO in the meantime, without waiting for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_content(path: str | PathLike[str], most_bytes: int = MOST_BYTES) -> bytes:
    """Return the bytes of a small file; it is a ValueError if it is too large, or not a regular file."""
    with open(path, "rb", opener=_open_at_once) as file:
        kind = odd_kind(os.fstat(file.fileno()).st_mode)
        if kind is not None:
            raise ValueError(f"it is {kind}, and only regular files are read")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return content


def read_side_file(path: str | PathLike[str]) -> str:
    """Return the text of a small file; it is a ValueError if it is too large, or not UTF-8."""
    return _text(read_content(path))


def read_json(path: str | PathLike[str], most_bytes: int = MOST_BYTES) -> Any:
    """Return what a small JSON file holds; raise a ValueError as `parsed_json` does."""
    return parsed_json(read_content(path, most_bytes))


def parsed_json(content: bytes) -> Any:
    """Return what a JSON file says; it is a ValueError if it is too large, or repeats a key in an object."""
    try:
        return json.loads(_text(content), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _text(content: bytes) -> str:
    if sum(map(content.count, (b",", b"[", b"{", b"\n"))) > _MOST_VALUES:
        raise ValueError(f"it has more than {_MOST_VALUES:,} values")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; if it had a key twice, one of the values would be lost silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{name!r} is in one object twice")
    return found


def in_short(message: object, most: int = _MOST_CHARACTERS) -> str:
    """Return the first characters of an error message, which may quote a whole file."""
    text = printable(str(message), keep="\n")
    return text if len(text) <= most else f"{text[:most]} ..."


@dataclass(frozen=True)
class Identity:
    """The traits that tell a video from all others, under any name."""

    size_bytes: int
    """The size of the file, or of all images together."""
    sample_sha256: str
    """The hash of the bytes at its beginning, in its middle and at its end."""


def identity_of_file(path: str | PathLike[str]) -> Identity:
    """Return the identity of a file, by no more than three short reads."""
    size, sample = os.stat(path).st_size, hashlib.sha256()
    with open(path, "rb") as file:
        for offset in (0, size // 2, max(size - _SAMPLE_BYTES, 0)):
            file.seek(offset)
            sample.update(file.read(_SAMPLE_BYTES))
    return Identity(size, sample.hexdigest())


def identity_of_images(paths: Sequence[Path]) -> Identity:
    """Return the identity of a directory of images: all names and sizes, and bytes of three of the files."""
    sizes = [path.stat().st_size for path in paths]
    sample = hashlib.sha256("\n".join(map("{0.name} {1}".format, paths, sizes)).encode("utf-8", "replace"))
    for path in (paths[0], paths[len(paths) // 2], paths[-1]):
        sample.update(identity_of_file(path).sample_sha256.encode())
    return Identity(sum(sizes), sample.hexdigest())
