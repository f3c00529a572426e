"""How a source is fetched, and where downloads are kept."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, field
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

_CACHE_BYTES = 10 * 2**30


def _default_cache_bytes() -> int:
    text = os.environ.get("PVIO_LAB_CACHE_BYTES")
    if not text:
        return _CACHE_BYTES
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"PVIO_LAB_CACHE_BYTES={text!r} must be a number of bytes") from None


@dataclass(frozen=True)
class Fetching:
    """How a source that is not on this machine is fetched.

    >>> Fetching(timeout_seconds=5, retries=0).max_bytes is None
    True

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A value is out of range.
    """

    timeout_seconds: float = 30.0
    """For connecting, and for each wait for bytes."""
    max_seconds: float | None = None
    """For all of it, other tries included; None allows any time to a server that sends ever so slowly."""
    max_bytes: int | None = None
    """What is larger is refused; None allows any size."""
    retries: int = 2
    """How often a fault that may pass is tried again: a time-out, a reset, 429, 5xx, a body cut short."""
    backoff_seconds: float = 0.5
    """The first wait before that, doubled each time; a server's Retry-After counts, up to a minute."""
    allow_private: bool = True
    """False is for sources that strangers name: only http(s) at public addresses, and data: URIs."""
    cache_dir: str | PathLike[str] | None = None
    """Where downloads are kept; None is `$PVIO_LAB_CACHE`, or a folder in the user's cache folder."""
    cache_bytes: int = field(default_factory=_default_cache_bytes)
    """How much they may take; those used least lately go first. 10 GiB, or `$PVIO_LAB_CACHE_BYTES`."""
    revalidate: bool = False
    """Asks the server each time whether a kept file is still the same, which costs a round trip."""

    def __post_init__(self) -> None:
        _check_number(self.timeout_seconds, "timeout_seconds", above_zero=True)
        _check_number(self.backoff_seconds, "backoff_seconds")
        _check_count(self.retries, "retries")
        _check_count(self.cache_bytes, "cache_bytes", least=1)
        if self.max_seconds is not None:
            _check_number(self.max_seconds, "max_seconds", above_zero=True)
        if self.max_bytes is not None:
            _check_count(self.max_bytes, "max_bytes", least=1)
        if self.cache_dir is not None and not isinstance(self.cache_dir, str | PathLike):
            raise TypeError(f"cache_dir={self.cache_dir!r} must be a path")

    @property
    def folder(self) -> Path:
        """Where downloads are kept."""
        chosen = self.cache_dir or os.environ.get("PVIO_LAB_CACHE")
        return Path(os.path.abspath(chosen)) if chosen else user_cache_folder() / "downloads"


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
