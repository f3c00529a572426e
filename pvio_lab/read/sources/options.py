"""How a source is fetched, and where downloads are kept."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

_GIB = 2**30
_CACHE_BYTES = 10 * _GIB
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
# Each request sets these by itself.
_OWN_HEADERS = set(
    "accept-encoding connection content-length expect host if-modified-since if-none-match range te trailer "
    "transfer-encoding upgrade".split()
)


class Headers(Mapping[str, str]):
    """Headers of HTTP that may be secret: they can be read, compared, hashed and pickled, but never show.

    >>> Headers({"Authorization": "Bearer secret"})
    <1 header>
    """

    def __init__(self, headers: Mapping[str, str] = MappingProxyType({})):
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
    """How a source that is not on this machine is fetched.

    >>> Fetching(timeout_seconds=5, retries=0).max_seconds is None
    True

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A value is out of range.
    """

    timeout_seconds: float = 30.0
    """For connecting, and for each wait for bytes."""
    max_seconds: float | None = None
    """For all of it: other tries, redirects and waiting for others who fetch the same included. None allows
    any time to a server that sends ever so slowly. Only the system's search for a host's address may take
    longer, and file systems other than http(s), where the time is looked at between pieces."""
    max_bytes: int | None = 10 * _GIB
    """What is larger is refused; 10 GiB. None allows any size."""
    retries: int = 2
    """How often a fault that may pass is tried again: a time-out, a reset, 429, 5xx, a body cut short."""
    backoff_seconds: float = 0.5
    """The first wait before that, doubled each time; a server's Retry-After counts, up to a minute."""
    allow_private: bool = True
    """False allows http(s) at public addresses and data: URIs, nothing else."""
    allow_local: bool = True
    """False allows no path on this machine, no `file:` URL and no other that may lead to one."""
    headers: Mapping[str, str] = field(default_factory=Headers, repr=False)
    """Sent with http(s) requests to the host that the URL names, such as `{"Authorization": "Bearer ..."}`.
    A redirect to another host, port or scheme does not get them, and they never show."""
    cache_dir: str | PathLike[str] | None = None
    """Where downloads are kept; None is `$PVIO_LAB_CACHE`, or a folder in the user's cache folder."""
    cache_bytes: int | None = None
    """How much they may take; the least recently used go first.
    None is `$PVIO_LAB_CACHE_BYTES`, or 10 GiB."""
    revalidate: bool = False
    """Asks the server each time whether a kept file is still the same, which costs a round trip."""

    def __post_init__(self) -> None:
        _check_number(self.timeout_seconds, "timeout_seconds", above_zero=True)
        _check_number(self.backoff_seconds, "backoff_seconds")
        _check_count(self.retries, "retries")
        if self.max_seconds is not None:
            _check_number(self.max_seconds, "max_seconds", above_zero=True)
        for name in ("max_bytes", "cache_bytes"):
            if getattr(self, name) is not None:
                _check_count(getattr(self, name), name, least=1)
        for name in ("allow_private", "allow_local", "revalidate"):
            if not isinstance(getattr(self, name), bool):  # a "False" would allow what it forbids
                raise TypeError(f"{name}={getattr(self, name)!r} must be True or False")
        if self.cache_dir is not None and not isinstance(self.cache_dir, str | PathLike):
            raise TypeError(f"cache_dir={self.cache_dir!r} must be a path")
        object.__setattr__(self, "headers", _checked_headers(self.headers))

    @classmethod
    def untrusted(cls, **changes: Any) -> Fetching:
        """Return the setting for sources that strangers name, such as those in chat messages.

        No local path and no private address passes, and neither does a body that is larger than 1 GiB or not
        done after a minute.

        >>> Fetching.untrusted(max_seconds=20).max_seconds
        20

        Args:
            changes: Fields that shall have another value.
        """
        strict: dict[str, Any] = {
            "allow_private": False,
            "allow_local": False,
            "max_bytes": _GIB,
            "max_seconds": 60.0,
            "timeout_seconds": 10.0,
            "retries": 1,
        }
        return cls(**{**strict, **changes})

    @property
    def folder(self) -> Path:
        """Where downloads are kept."""
        chosen = self.cache_dir or os.environ.get("PVIO_LAB_CACHE")
        return Path(os.path.abspath(chosen)) if chosen else user_cache_folder() / "downloads"

    @property
    def room_bytes(self) -> int:
        """The most bytes that downloads may take.

        Raises:
            ValueError: `$PVIO_LAB_CACHE_BYTES` is no number of bytes.
        """
        if self.cache_bytes is not None:
            return self.cache_bytes
        text = os.environ.get("PVIO_LAB_CACHE_BYTES", "").strip()
        if not text:
            return _CACHE_BYTES
        if not re.fullmatch("[0-9]{1,18}", text) or not int(text):
            raise ValueError(f"PVIO_LAB_CACHE_BYTES={text!r} must be a number of bytes, at least 1")
        return int(text)


def user_cache_folder() -> Path:
    """Where this user's programs keep what they can make again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pvio_lab"


def _check_number(value: Any, name: str, *, above_zero: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}={value!r} must be a number of seconds")
    if not math.isfinite(value) or value < 0 or (above_zero and value == 0):
        raise ValueError(
            f"{name}={value!r} must be {'more than' if above_zero else 'at least'} 0, and finite"
        )


def _check_count(value: Any, name: str, *, least: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r} must be a whole number")
    if value < least:
        raise ValueError(f"{name}={value!r} must be at least {least}")


def _checked_headers(headers: Any) -> Headers:
    """Return them as they are kept; errors do not show them, as any part may be a secret."""
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
            raise ValueError(f"headers cannot set {name}: each request sets it by itself")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"the value of header {number} of {len(headers)} must be one line of Latin-1 characters"
            )
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("headers has a name twice, in capitals and small letters")
    return Headers(headers)
