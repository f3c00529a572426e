"""A path, a URL or a `data:` URI as a local file or as a stream of bytes."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote

from ...base import open_regular
from ...errors import SourceError
from .options import Fetching
from .urls import is_url, outline, shown

if TYPE_CHECKING:  # imported only for URLs, as HTTP takes longer to load than the rest of this room
    from .cache import DownloadCache, Facts
    from .stream import ResumableStream

_STREAM_BYTES = 2**16


@dataclass(frozen=True)
class Fetched:
    """A source that can be opened as a file."""

    path: str
    """The file."""
    attempts: int = 0
    """The number of attempts; 0 where nothing had to be fetched."""


class HeldSource:
    """A source as a local file that stays until it is released, or until nothing refers to this any more.

    >>> held = HeldSource("data_samples/gop2.mp4")
    >>> held.path, held.is_held
    ('data_samples/gop2.mp4', True)
    >>> held.release()
    >>> held.is_held
    False

    Args:
        source: A path or a URL; what is not on this machine is fetched into the cache.
        fetching: Limits, and the place of the cache.

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be fetched.
        TypeError: It is not a path.
    """

    def __init__(self, source: str | PathLike[str], fetching: Fetching | None = None):
        place = fetched(source, fetching)
        self.path = place.__enter__().path
        self._end = weakref.finalize(self, place.__exit__, None, None, None)

    @property
    def is_held(self) -> bool:
        """True until it is released."""
        return self._end.alive

    def release(self) -> None:
        """Let the cache remove the file. May be called twice."""
        self._end()


def fetched(source: str | PathLike[str], fetching: Fetching | None = None) -> AbstractContextManager[Fetched]:
    """Return a context in which a source is a local file; what is elsewhere is fetched into the cache once.

    A URL is taken to mean one video: a download in the cache is used again without asking the server, unless
    `fetching.revalidate` is set. It is not removed before the end of the block.

    >>> with fetched("data_samples/gop2.mp4") as file:
    ...     file
    Fetched(path='data_samples/gop2.mp4', attempts=0)

    Args:
        source: A path or a URL; a local file is used where it is.
        fetching: Limits, and the place of the cache.

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be fetched.
        TypeError: It is not a path.
    """
    name = _local_name(source, fetching)
    if name is not None:
        return nullcontext(Fetched(name))
    return _cached(os.fsdecode(source), fetching or Fetching())


@contextmanager
def opened_stream(source: str | PathLike[str], fetching: Fetching | None = None) -> Iterator[BinaryIO]:
    """Yield a source as a binary file that is read from the front, without fetching the rest.

    If the server can begin anywhere, the file can also seek. A broken connection is resumed.

    >>> with opened_stream("data:text/plain,hello") as stream:
    ...     stream.read(4)
    b'hell'

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be opened or read.
        TypeError: It is not a path.
    """
    name = _local_name(source, fetching)
    if name is not None:
        with open_regular(name) as file:
            yield file
        return
    from .stream import ResumableStream

    with (
        ResumableStream(os.fsdecode(source), fetching or Fetching()) as raw,
        io.BufferedReader(raw, _STREAM_BYTES) as stream,
    ):
        yield stream


def check_may_be_local(name: str, fetching: Fetching | None) -> None:
    """Refuse a path on this machine where none is allowed; call this before opening one directly.

    Raises:
        SourceError: Only sources on other machines may be opened.
    """
    if fetching is not None and not (fetching.allow_private and fetching.allow_local):
        option = "allow_local" if fetching.allow_private else "allow_private"
        raise SourceError(f"{shown(name)} is on this machine, and {option}=False; give an http(s) URL")


def _local_name(source: str | PathLike[str], fetching: Fetching | None) -> str | None:
    """Return the path of a source on this machine, or None for another URL."""
    if not isinstance(source, str | PathLike):
        raise TypeError(f"a source must be a path or a URL, not {type(source).__name__}: {outline(source)}")
    name = os.fsdecode(source)
    if not is_url(source):
        check_may_be_local(name, fetching)
        return name
    if name[:7].lower() != "file://" or "::" in name:
        return None
    check_may_be_local(name, fetching)
    import fsspec

    path = str(fsspec.url_to_fs(f"file{name[4:]}")[1])
    return path if os.path.lexists(path) else unquote(path)  # fsspec unquotes nothing, `Path.as_uri` quotes


@contextmanager
def _cached(source: str, fetching: Fetching) -> Iterator[Fetched]:
    from .cache import DownloadCache

    with ExitStack() as stack:
        with _named_trouble(fetching):
            cache = DownloadCache(fetching)
            entry = stack.enter_context(cache.held(source))
            facts, attempts = _find_or_fetch(source, fetching, cache, entry)
        if facts.num_bytes > (fetching.max_bytes or facts.num_bytes):
            raise SourceError(f"{shown(source)} has more than max_bytes={fetching.max_bytes} bytes")
        yield Fetched(str(entry / facts.file), attempts)


def _find_or_fetch(source: str, fetching: Fetching, cache: DownloadCache, entry: Path) -> tuple[Facts, int]:
    """Return the facts of a download, and the number of attempts that it took now."""
    from .retries import Retrier
    from .stream import ResumableStream

    facts = before = cache.find(entry)
    if facts is not None and not fetching.revalidate:
        return facts, 0
    retrier = Retrier(source, fetching)
    with cache.turn(entry, retrier.check_time):
        facts = cache.find(entry)
        if facts is not None and facts != before:  # somebody has fetched it meanwhile
            return facts, 0
        version = facts.version if facts else None
        with ResumableStream(source, fetching, retrier=retrier, known_version=version) as stream:
            if facts is None or not stream.is_known:
                facts = _download(stream, cache, source, entry)
            return facts, stream.attempts


def _download(stream: ResumableStream, cache: DownloadCache, source: str, entry: Path) -> Facts:
    with cache.new(source, entry) as download:
        download.reserve(stream.num_bytes or 0)
        with open(download.file, "r+b") as file:
            size = 0
            for piece in stream.pieces():
                size += len(piece)
                download.reserve(size)
                file.write(piece)
        return download.commit(size, stream.version)


@contextmanager
def _named_trouble(fetching: Fetching) -> Iterator[None]:
    """Name the cache folder in errors of the file system."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"the cache folder {fetching.folder} cannot be used: {error.strerror or error}; choose another "
            "one with cache_dir or PVIO_LAB_CACHE"
        ) from None
