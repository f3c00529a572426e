"""Small files beside videos, which anybody may have written: read within bounds, or a ValueError."""

from __future__ import annotations

import json
import os
from collections import Counter
from os import PathLike
from typing import Any

from ..errors import printable
from .files import odd_kind, open_at_once

# Annotations of a long film take some megabytes. What can be made of such a file stays below a gigabyte.
MOST_BYTES = 64 * 2**20
_MOST_VALUES = 8_000_000
_MOST_WORDS = 400


def read_content(path: str | PathLike[str], most_bytes: int = MOST_BYTES) -> bytes:
    """Return the bytes of a small file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no regular file, or is too large.
    """
    with open(path, "rb", opener=open_at_once) as file:
        kind = odd_kind(os.fstat(file.fileno()).st_mode)
        if kind is not None:
            raise ValueError(f"it is {kind}, and only regular files are read")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return content


def read_side_file(path: str | PathLike[str]) -> str:
    """Return the text of a small file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no regular file, is too large, or is not UTF-8.
    """
    return _text(read_content(path))


def read_json(path: str | PathLike[str], most_bytes: int = MOST_BYTES) -> Any:
    """Return what a small JSON file holds.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no regular file, is too large, is not JSON, or has a key twice in one object.
    """
    return parsed_json(read_content(path, most_bytes))


def parsed_json(content: bytes) -> Any:
    """Return what the content of a JSON file says, or raise a ValueError as `read_json` does."""
    try:
        return json.loads(_text(content), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _text(content: bytes) -> str:
    if sum(map(content.count, (b",", b"[", b"{", b"\n"))) > _MOST_VALUES:
        raise ValueError(f"it has more than {_MOST_VALUES:,} values")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8: {error}") from None


def in_short(words: object, most: int = _MOST_WORDS) -> str:
    """Return the first characters of the words of an error, which may quote all of a file."""
    text = printable(str(words), keep="\n")
    return text if len(text) <= most else f"{text[:most]} ..."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; if it had a key twice, one of the values would be lost silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{name!r} is in one object twice")
    return found
