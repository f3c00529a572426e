"""A path, a URL or a data URI becomes a local file, or a stream of bytes."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, BinaryIO, Literal
from urllib.parse import unquote

from ...base import open_regular
from ...errors import SourceError
from .cache import Download, DownloadCache, Facts, file_name
from .deadline import Deadline
from .options import Fetching as Fetching
from .resume import Body
from .retries import Tries
from .urls import is_url as is_url
from .urls import outline
from .urls import public_name as public_name
from .urls import shown as shown
from .urls import source_name as source_name

Keep = Literal["cache", "memory", "temporary"]

_STREAM_BYTES = 2**16


@dataclass(frozen=True)
class Fetched:
    """A source that can be opened as a file."""

    path: str
    """The file; in memory it has a path that processes of this machine can open."""
    attempts: int = 0
    """How often it was tried; 0 where nothing had to be fetched."""
    num_bytes: int = 0
    """How many bytes were transferred; 0 where nothing had to be fetched."""


def local_path(source: str | PathLike[str], fetching: Fetching | None = None) -> str:
    """The local file of a source; what is not on this machine is fetched into a cache once.

    A URL is taken to mean one video: what was fetched is used again without asking, unless
    `fetching.revalidate` is set. `$PVIO_LAB_CACHE` names the folder, `$PVIO_LAB_CACHE_BYTES` its bound.

    A cache may remove it at any time, unless it is held: see `fetched` and `HeldSource`.

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be fetched.
        TypeError: It is no path.
    """
    with fetched(source, fetching) as file:
        return file.path


class HeldSource:
    """A source as a local file that stays until it is released, or nothing refers to this any more.

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
        TypeError: It is no path.
    """

    def __init__(self, source: str | PathLike[str], fetching: Fetching | None = None):
        stack = ExitStack()
        self.path = stack.enter_context(fetched(source, fetching)).path
        self._let_go = weakref.finalize(self, stack.close)

    @property
    def is_held(self) -> bool:
        """True until it is released."""
        return self._let_go.alive

    def release(self) -> None:
        """Let it go. May be called twice."""
        self._let_go()


def fetched(
    source: str | PathLike[str], fetching: Fetching | None = None, *, keep: Keep = "cache"
) -> AbstractContextManager[Fetched]:
    """A source as a file, which stays as long as the block runs.

    >>> with fetched("data:text/plain,hello", keep="memory") as file:
    ...     file.attempts, file.num_bytes, open(file.path).read()
    (1, 5, 'hello')

    Args:
        source: A path or a URL; a local file is used where it is.
        fetching: Limits, and the place of the cache.
        keep: Where it goes: the cache on disk; memory (where the system has no such files, a temporary file);
            or a temporary file. The last two are gone after the block.

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be fetched.
        TypeError: It is no path.
    """
    if keep not in _KEEPERS:
        raise ValueError(f"keep={keep!r} must be one of {', '.join(map(repr, _KEEPERS))}")
    chosen = fetching or Fetching()
    name = _local_name(source, chosen)
    return _as_it_is(name) if name is not None else _KEEPERS[keep](os.fsdecode(source), chosen)


@contextmanager
def opened_stream(source: str | PathLike[str], fetching: Fetching | None = None) -> Iterator[BinaryIO]:
    """A source as a binary file that is read from the front, without fetching the rest.

    Where the server can begin anywhere, it can also seek. A broken connection is taken up again.

    >>> with opened_stream("data:text/plain,hello") as stream:
    ...     stream.read(4)
    b'hell'

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be opened or read.
        TypeError: It is no path.
    """
    chosen = fetching or Fetching()
    name = _local_name(source, chosen)
    if name is not None:
        with open_regular(name) as file:
            yield file
        return
    with Body(os.fsdecode(source), chosen) as body, io.BufferedReader(body, _STREAM_BYTES) as stream:
        yield stream


def check_may_be_local(name: str, fetching: Fetching | None) -> None:
    """Refuse a path on this machine where none is allowed; call this before opening one directly.

    Raises:
        SourceError: Only what is elsewhere may be opened.
    """
    for option in ("allow_private", "allow_local"):
        if fetching is not None and not getattr(fetching, option):
            raise SourceError(f"{shown(name)} is on this machine, and {option}=False; give an http(s) URL")


def _local_name(source: str | PathLike[str], fetching: Fetching) -> str | None:
    """The path of what is on this machine."""
    if not isinstance(source, str | PathLike):
        raise TypeError(f"a source must be a path or a URL, not {type(source).__name__}: {outline(source)}")
    name = os.fsdecode(source)
    is_file = is_url(source) and name[:7].lower() == "file://" and "::" not in name
    if is_url(source) and not is_file:
        return None
    check_may_be_local(name, fetching)
    if not is_file:
        return name
    import fsspec

    path = str(fsspec.url_to_fs(f"file{name[4:]}")[1])
    return path if os.path.lexists(path) else unquote(path)  # fsspec quotes nothing, `Path.as_uri` does


@contextmanager
def _as_it_is(name: str) -> Iterator[Fetched]:
    yield Fetched(name)


@contextmanager
def _in_cache(source: str, fetching: Fetching) -> Iterator[Fetched]:
    deadline = Deadline(fetching.max_seconds)
    with ExitStack() as stack:
        with _writing(fetching):
            cache = DownloadCache(fetching)
            entry = stack.enter_context(cache.held(source))
        facts, attempts, num_bytes = cache.find(entry), 0, 0
        if facts is None or fetching.revalidate:
            before, in_time = cache.state(entry), Tries(source, fetching, deadline).check_time
            with _writing(fetching), cache.turn(entry, in_time):
                is_old = cache.state(entry) == before  # else somebody has fetched it meanwhile
                facts = cache.find(entry)
                if facts is None or (fetching.revalidate and is_old):
                    facts, attempts, num_bytes = _download(source, fetching, deadline, cache, entry, facts)
        if facts.num_bytes > (fetching.max_bytes or facts.num_bytes):
            raise SourceError(f"{shown(source)} has more than max_bytes={fetching.max_bytes} bytes")
        yield Fetched(str(entry / facts.file), attempts, num_bytes)


@contextmanager
def _writing(fetching: Fetching) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"the cache folder {fetching.folder} cannot be used: {error.strerror}; choose another one by "
            "cache_dir or PVIO_LAB_CACHE"
        ) from None


def _download(
    source: str,
    fetching: Fetching,
    deadline: Deadline,
    cache: DownloadCache,
    entry: Path,
    known: Facts | None,
) -> tuple[Facts, int, int]:
    with Body(source, fetching, known.version if known else None, deadline) as body:
        if body.is_known and known:
            return known, body.attempts, 0
        with cache.new(source, entry) as new, open(new.file, "r+b") as file:
            size = _copy(body, file, new)
            file.close()
            return new.commit(size, body.version), body.attempts, body.num_read


def _copy(body: Body, file: IO[bytes], download: Download | None = None) -> int:
    if download and body.num_bytes:
        download.expect(body.num_bytes)
    size = 0
    for piece in body.pieces():
        size += len(piece)
        if download:
            download.expect(size)
        file.write(piece)
    return size


@contextmanager
def _in_temporary_file(source: str, fetching: Fetching) -> Iterator[Fetched]:
    with TemporaryDirectory(prefix="pvio_lab_") as folder, Body(source, fetching) as body:
        path = Path(folder, file_name(source))
        with path.open("wb") as file:
            _copy(body, file)
        body.close()
        yield Fetched(str(path), body.attempts, body.num_read)


@contextmanager
def _in_memory(source: str, fetching: Fetching) -> Iterator[Fetched]:
    descriptor = os.memfd_create("pvio_lab")
    with open(descriptor, "wb") as file, Body(source, fetching) as body:
        _copy(body, file)
        file.flush()
        body.close()
        yield Fetched(f"/proc/{os.getpid()}/fd/{descriptor}", body.attempts, body.num_read)


_KEEPERS: Mapping[Keep, Callable[[str, Fetching], AbstractContextManager[Fetched]]] = {
    "cache": _in_cache,
    "memory": _in_memory if hasattr(os, "memfd_create") else _in_temporary_file,
    "temporary": _in_temporary_file,
}
