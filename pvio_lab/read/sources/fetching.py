"""Fetching a source: the options, and the source as a local file that is held, or as a stream of bytes."""

from __future__ import annotations

import io
import os
import re
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from ...base import checked_seconds, not_negative_integer, open_regular, positive_integer
from ...errors import SourceError
from .urls import is_url, outline, shown

_GIB = 2**30
_STREAM_BYTES = 2**16
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
# Each request sets these itself.
_OWN_HEADERS = set(
    "accept-encoding connection content-length expect host if-modified-since if-none-match range te trailer "
    "transfer-encoding upgrade".split()
)


class Headers(Mapping[str, str]):
    """HTTP headers that may be secret: they can be read, compared, hashed and pickled, but never show.

    >>> Headers({"Authorization": "Bearer secret"})
    <1 header>

    Raises:
        TypeError: They are no mapping of texts to texts.
        ValueError: One is not allowed; the error does not show it, as any part may be a secret.
    """

    def __init__(self, headers: Any):
        if not isinstance(headers, Mapping):
            raise TypeError(f"headers must be a mapping of names to values, not {type(headers).__name__}")
        for number, (name, value) in enumerate(headers.items(), 1):
            which = f"header {number} of {len(headers)}"
            if not (isinstance(name, str) and isinstance(value, str)):
                raise TypeError(f"{which} must have a str for its name and its value")
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"the name of {which} must be letters, digits and hyphens")
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"headers cannot set {name}: each request sets it itself")
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"the value of {which} must be one line of Latin-1 characters")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("headers has the same name twice, in upper and lower case")
        self._headers: dict[str, str] = dict(headers)

    def __getitem__(self, name: str) -> str:
        return self._headers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __hash__(self) -> int:
        return hash(frozenset(self._headers.items()))

    def __repr__(self) -> str:
        return f"<{len(self)} header{'s' * (len(self) != 1)}>"


@dataclass(frozen=True)
class Fetching:
    """Options for fetching a source that is not on this machine.

    >>> Fetching(timeout_seconds=5, retries=0).max_seconds is None
    True

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A value is out of range.
    """

    timeout_seconds: float = 30.0
    """For connecting, and for each wait for bytes."""
    max_seconds: float | None = None
    """For everything together: retries, redirects, and waiting for others who fetch the same source. None
    sets no limit, however slowly a server sends. Only two things may take longer: the system's search for the
    address of a host, and file systems other than http(s), where the time is checked between pieces."""
    max_bytes: int | None = 10 * _GIB
    """A larger source is refused; the default is 10 GiB. None allows any size."""
    retries: int = 2
    """Further tries after a temporary fault: a time-out, a reset, 429, 5xx, a body cut short."""
    backoff_seconds: float = 0.5
    """The wait before the first retry, doubled each time; a server's Retry-After, up to a minute, takes
    precedence."""
    allow_private: bool = True
    """False allows http(s) at public addresses and data: URIs, nothing else."""
    allow_local: bool = True
    """False allows no path on this machine, no `file:` URL and no other URL that may lead to a local file."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with http(s) requests to the host that the URL names, such as `{"Authorization": "Bearer ..."}`.
    A redirect to another host, port or scheme does not receive them, and they are never shown."""
    cache_dir: str | PathLike[str] | None = None
    """The folder of downloads; None is `$PVIO_LAB_CACHE`, or a folder in the user's cache folder."""
    cache_bytes: int | None = None
    """The space that downloads may take; the least recently used are removed first.
    None is `$PVIO_LAB_CACHE_BYTES`, or 10 GiB."""
    revalidate: bool = False
    """Ask the server each time if a kept file is still current, which costs a round trip."""

    def __post_init__(self) -> None:
        checked_seconds(self.timeout_seconds, "timeout_seconds")
        if self.max_seconds is not None:
            checked_seconds(self.max_seconds, "max_seconds")
        _check_pause(self.backoff_seconds, "backoff_seconds")
        not_negative_integer(self.retries, "retries")
        for name in ("max_bytes", "cache_bytes"):
            if getattr(self, name) is not None:
                positive_integer(getattr(self, name), name)
        for name in ("allow_private", "allow_local", "revalidate"):
            if not isinstance(getattr(self, name), bool):  # a "False" would allow what it forbids
                raise TypeError(f"{name}={getattr(self, name)!r} must be True or False")
        if self.cache_dir is not None and not isinstance(self.cache_dir, str | PathLike):
            raise TypeError(f"cache_dir={self.cache_dir!r} must be a path")
        object.__setattr__(self, "headers", Headers(self.headers))

    @classmethod
    def untrusted(cls, **changes: Any) -> Fetching:
        """Return the options for sources that strangers name, such as those in chat messages.

        Local paths and private addresses are refused, and so is a body that is larger than 1 GiB or takes
        more than a minute.

        >>> Fetching.untrusted(max_seconds=20).max_seconds
        20

        Args:
            changes: The fields to change, with their values.
        """
        strict: dict[str, Any] = {
            "allow_private": False,
            "allow_local": False,
            "max_bytes": _GIB,
            "max_seconds": 60.0,
            "timeout_seconds": 10.0,
            "retries": 1,
        }
        return cls(**strict | changes)

    @property
    def folder(self) -> Path:
        """The folder where downloads are kept."""
        chosen = self.cache_dir or os.environ.get("PVIO_LAB_CACHE")
        return Path(os.path.abspath(chosen)) if chosen else user_cache_folder() / "downloads"

    @property
    def room_bytes(self) -> int:
        """The most bytes that downloads may take.

        Raises:
            ValueError: `$PVIO_LAB_CACHE_BYTES` is not a number of bytes.
        """
        if self.cache_bytes is not None:
            return self.cache_bytes
        text = os.environ.get("PVIO_LAB_CACHE_BYTES", "").strip() or str(10 * _GIB)
        if not re.fullmatch("[0-9]{1,18}", text) or not int(text):
            raise ValueError(f"PVIO_LAB_CACHE_BYTES={text!r} must be a number of bytes, at least 1")
        return int(text)


class HeldSource(AbstractContextManager["HeldSource"]):
    """A source as a local file that stays until it is released, or until nothing refers to this any more.

    A local file is used where it is; what is elsewhere is fetched into the cache. A URL is taken to mean one
    video: a download in the cache is used again without asking the server, unless `revalidate` is set.

    >>> with HeldSource("data_samples/gop2.mp4") as held:
    ...     held.path, held.attempts, held.is_held
    ('data_samples/gop2.mp4', 0, True)
    >>> held.is_held
    False

    Args:
        source: A path or a URL.
        fetching: Limits, and the place of the cache.

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be fetched.
        TypeError: It is not a path.
    """

    path: str
    """The file."""
    attempts: int
    """The number of attempts; 0 where nothing had to be fetched."""

    def __init__(self, source: str | PathLike[str], fetching: Fetching | None = None):
        name = _local_name(source, fetching)
        with ExitStack() as stack:
            if name is not None:
                self.path, self.attempts = name, 0
            else:  # loaded only for URLs, as HTTP takes longer to load than the rest of this room
                from .cache import held_download

                download = held_download(os.fsdecode(source), fetching or Fetching())
                self.path, self.attempts = stack.enter_context(download)
            self._end = weakref.finalize(self, stack.pop_all().close)

    @property
    def is_held(self) -> bool:
        """True until it is released."""
        return self._end.alive

    def release(self) -> None:
        """Let the cache remove the file. May be called twice."""
        self._end()

    def __exit__(self, *raised: object) -> None:
        self.release()


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
    from .attempts import Attempts
    from .stream import ResumableStream

    attempts = Attempts(os.fsdecode(source), fetching or Fetching())
    with io.BufferedReader(ResumableStream(attempts), _STREAM_BYTES) as stream:
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


def user_cache_folder() -> Path:
    """Return the folder where this user's programs keep what they can make again."""
    from platformdirs import user_cache_path

    return user_cache_path("pvio_lab", appauthor=False, opinion=False)


def _check_pause(value: Any, name: str) -> None:
    if isinstance(value, bool) or value != 0:
        try:
            checked_seconds(value, name)
        except ValueError:
            raise ValueError(f"{name}={value!r} must be at least 0, and finite") from None
