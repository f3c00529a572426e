"""A path, a URL or a data URI becomes a local file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import BinaryIO, Literal

from ..errors import SourceError
from .fetching import Fetching as Fetching

Keep = Literal["cache", "memory", "temporary"]


@dataclass(frozen=True)
class Fetched:
    """A source that can be opened as a file."""

    path: str
    """The file; in memory it has a path that only this process can open."""
    attempts: int
    """How often it was tried; 0 where nothing had to be fetched."""
    num_bytes: int
    """How many bytes were transferred; 0 where nothing had to be fetched."""


def is_url(source: str) -> bool:
    """Anything with a scheme: http(s), s3, data ...; but not a drive letter."""
    scheme, colon, _ = source.partition(":")
    return bool(colon) and (source.startswith("data:") or ("://" in source and len(scheme) > 1))


def local_path(source: str | PathLike[str], fetching: Fetching | None = None) -> str:
    """The local file of a source; what is not on this machine is fetched into the user's cache once.

    Raises:
        SourceError: It cannot be fetched.
        TypeError: It is no path.
    """
    with fetched(source, fetching) as file:
        return file.path


@contextmanager
def fetched(
    source: str | PathLike[str], fetching: Fetching | None = None, *, keep: Keep = "cache"
) -> Iterator[Fetched]:
    """A source as a file, for as long as the block runs."""
    name = os.fsdecode(source)
    if not is_url(name):
        yield Fetched(name, 0, 0)
        return
    import fsspec

    if name.startswith("file://"):
        yield Fetched(str(fsspec.url_to_fs(name)[1]), 0, 0)
        return
    try:
        path = str(fsspec.open_local(f"simplecache::{name}"))
    except Exception as error:  # each transport has errors of its own
        raise SourceError(f"{_short(name)} cannot be fetched: {error}") from error
    yield Fetched(path, 1, os.path.getsize(path))


@contextmanager
def opened_stream(source: str | PathLike[str], fetching: Fetching | None = None) -> Iterator[BinaryIO]:
    """A source as a binary file that is read from the front."""
    with fetched(source, fetching) as file, open(file.path, "rb") as stream:
        yield stream


def _short(url: str) -> str:
    return url if len(url) <= 120 else f"{url[:80]} ... ({len(url)} characters)"
