"""decord's errors, its checks of frame numbers, and sources as it takes them."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import Partial, clear_partials
from ...errors import VideoError, printable
from ...read import shown

ALL = "__ALL__"

log = logging.getLogger("pvio_lab.compat.decord")
_told: set[str] = set()
# The name of copies of file objects, of which hidden ones are made.
_COPY = "pvio_lab_video"


class DECORDError(Exception):
    """A video that cannot be opened or decoded, or something that is not possible here."""


class DECORDLimitReachedError(Exception):
    """More frames were replaced than `fault_tol` allows: never raised, as none are replaced here."""


class CannotOpen(DECORDError, RuntimeError):
    """A source that cannot be opened: decord raises either error, depending on what is wrong."""


@contextmanager
def decord_errors() -> Iterator[None]:
    """Raise a `DECORDError` for what is wrong with the media."""
    try:
        yield
    except VideoError as error:
        raise DECORDError(str(error)) from error


@contextmanager
def opening(uri: Any) -> Iterator[None]:
    """Raise the error that decord has for what cannot be opened."""
    try:
        yield
    except (VideoError, OSError) as error:
        raise CannotOpen(f"Error reading {_name(uri)}: {error}") from error


class LocalSource:
    """A source as a path or a URL, `uri`. Bytes, or the rest of a file object, go to a temporary file.

    That is needed as long as the library reads paths and URLs only. The file is removed with this object.
    """

    def __init__(self, uri: Any):
        self.uri = uri
        if not (hasattr(uri, "read") or isinstance(uri, bytes | bytearray | memoryview)):
            return
        folder = Path(tempfile.gettempdir())
        _clear_once(folder)
        copy = Partial(folder / _COPY, mode=0o600)
        weakref.finalize(self, copy.remove)
        with copy.path.open("wb") as file:
            if hasattr(uri, "read"):
                shutil.copyfileobj(uri, file)
            else:
                file.write(uri)
        self.uri = copy.path


@cache
def _clear_once(folder: Path) -> None:
    """Remove the copies that killed processes have left."""
    clear_partials(folder, _COPY)


def checked_indices(indices: Any, length: int) -> NDArray[np.int64]:
    """Return numbers from 0 on; negative ones count from the end, and fractions are cut off, as in decord.

    Raises:
        IndexError: A number is out of range.
    """
    numbers = np.array(indices, np.int64)
    numbers[numbers < 0] += length
    if (numbers < 0).any():
        raise IndexError(f"Invalid negative indices: {numbers[numbers < 0] + length}")
    if (numbers >= length).any():
        raise IndexError(f"Out of bound indices: {numbers[numbers >= length]}")
    return numbers


def checked_index(index: Any, length: int) -> int:
    """Return a number from 0 on; a negative one counts from the end.

    Raises:
        IndexError: It is out of range.
    """
    number: int = index + length if index < 0 else index
    if not 0 <= number < length:
        raise IndexError(f"Index: {number} out of bound: {length}")
    return number


def tell_once(path: str, frame: int, reason: str, *, warn: bool) -> None:
    """Tell, once a file, that decord may return other frames than those that are returned here."""
    if path not in _told:
        _told.add(path)
        text = f"{printable(path)}: decord itself may return another frame than {frame}, or others: {reason}"
        log.info(text)
        if warn:
            warnings.warn(text, stacklevel=4)


def _name(uri: Any) -> str:
    return shown(uri) if isinstance(uri, str | PathLike) else f"a {type(uri).__name__}"
