"""A path, a URL or a data URI becomes a local file."""

from __future__ import annotations

import os
from os import PathLike

from ..errors import SourceError


def is_url(source: str) -> bool:
    """Anything with a scheme: http(s), s3, data ...; but not a drive letter."""
    scheme, colon, _ = source.partition(":")
    return bool(colon) and (source.startswith("data:") or ("://" in source and len(scheme) > 1))


def local_path(source: str | PathLike[str]) -> str:
    """The local file of a source; what is not on this machine is fetched into the user's cache once.

    Raises:
        SourceError: It cannot be fetched.
        TypeError: It is no path.
    """
    if not isinstance(source, str | PathLike):
        raise TypeError(f"a source must be a path or a URL, not {type(source).__name__}: {source!r}")
    name = os.fsdecode(source)
    if not is_url(name):
        return name
    import fsspec

    if name.startswith("file://"):
        return str(fsspec.url_to_fs(name)[1])
    try:
        return str(fsspec.open_local(f"simplecache::{name}"))
    except Exception as error:  # each transport has errors of its own
        raise SourceError(f"{_short(name)} cannot be fetched: {error}") from error


def _short(url: str) -> str:
    return url if len(url) <= 120 else f"{url[:80]} ... ({len(url)} characters)"
