"""Options for fetching a source, and the folder where downloads are kept."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

from ...base import not_negative_integer, positive_integer

_GIB = 2**30
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
    """

    def __init__(self, headers: Mapping[str, str]):
        self._headers = dict(headers)

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
        _check_seconds(self.timeout_seconds, "timeout_seconds", is_zero_allowed=False)
        _check_seconds(self.backoff_seconds, "backoff_seconds")
        not_negative_integer(self.retries, "retries")
        if self.max_seconds is not None:
            _check_seconds(self.max_seconds, "max_seconds", is_zero_allowed=False)
        for name in ("max_bytes", "cache_bytes"):
            if getattr(self, name) is not None:
                positive_integer(getattr(self, name), name)
        for name in ("allow_private", "allow_local", "revalidate"):
            if not isinstance(getattr(self, name), bool):  # a "False" would allow what it forbids
                raise TypeError(f"{name}={getattr(self, name)!r} must be True or False")
        if self.cache_dir is not None and not isinstance(self.cache_dir, str | PathLike):
            raise TypeError(f"cache_dir={self.cache_dir!r} must be a path")
        object.__setattr__(self, "headers", _checked_headers(self.headers))

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


def user_cache_folder() -> Path:
    """Return the folder where this user's programs keep what they can make again."""
    from platformdirs import user_cache_path

    return user_cache_path("pvio_lab", appauthor=False, opinion=False)


def _check_seconds(value: Any, name: str, *, is_zero_allowed: bool = True) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}={value!r} must be a number of seconds")
    if not math.isfinite(value) or value < 0 or (value == 0 and not is_zero_allowed):
        bound = "at least" if is_zero_allowed else "more than"
        raise ValueError(f"{name}={value!r} must be {bound} 0, and finite")


def _checked_headers(headers: Any) -> Headers:
    """Return valid headers as they are kept; errors do not show them, as any part may be a secret."""
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers must be a mapping of names to values, not {type(headers).__name__}")
    for number, (name, value) in enumerate(headers.items(), 1):
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(f"header {number} of {len(headers)} must have a str for its name and its value")
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(
                f"the name of header {number} of {len(headers)} must be letters, digits and hyphens"
            )
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"headers cannot set {name}: each request sets it itself")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"the value of header {number} of {len(headers)} must be one line of Latin-1 characters"
            )
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("headers has the same name twice, in upper and lower case")
    return Headers(headers)
