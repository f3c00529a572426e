"""Any other URL: fsspec does the transport, over the package for its scheme."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import io
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from .deadline import Deadline
from .http import Answer
from .options import Fetching
from .retries import FetchError
from .urls import shown


def open_data(
    source: str, offset: int, fetching: Fetching, deadline: Deadline, known_version: str | None = None
) -> Answer:
    """The bytes that a `data:` URI carries.

    >>> open_data("data:text/plain;base64,aGVsbG8=", 0, Fetching(), Deadline()).stream.read(10)
    b'hello'
    """
    kind, comma, payload = source.partition(":")[2].partition(",")
    if not comma:
        raise FetchError("there is no comma in it; allowed is data:<type>;base64,<bytes>")
    data = unquote_to_bytes(payload)
    if kind.lower().endswith(";base64"):
        try:
            data = base64.b64decode(re.sub(rb"\s", b"", data), validate=True)
        except binascii.Error:
            raise FetchError("what follows the comma is not base64") from None
    return Answer(io.BytesIO(data[offset:]), start=offset, num_bytes=len(data), has_ranges=True)


# What to install, where fsspec's own words do not say it in one.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
}
# These never lead to a file of this machine.
_ELSEWHERE = (*_PACKAGES, "ftp", "data")


def open_anywhere(
    source: str, offset: int, fetching: Fetching, deadline: Deadline, known_version: str | None = None
) -> Answer:
    """Opens what fsspec can open, a chain such as `zip://clip.mp4::https://host/videos.zip` among it.

    Raises:
        FetchError: It is not allowed: private addresses are not, so that only http(s) and data are; or
            local files are not, to which many schemes and chains of them may lead.
        ImportError: The package for this scheme is missing.
    """
    scheme = source.partition(":")[0].lower()
    if not fetching.allow_private:
        raise FetchError(f"{scheme}: is not allowed with allow_private=False; http, https and data are")
    if not fetching.allow_local and ("::" in source or scheme not in _ELSEWHERE):
        raise FetchError(f"{scheme}: is not allowed with allow_local=False; {', '.join(_ELSEWHERE)} are")
    import fsspec

    try:
        file = _File(fsspec.open(source, "rb", **_limits(source, fetching, deadline)))
    except ImportError as error:
        words = _advice(source, str(error))
    else:
        return file.answer(offset)
    raise ImportError(words)


class _File:
    """An open file of fsspec, and with it what it came from: an archive is closed when nobody holds it."""

    def __init__(self, opened: Any):
        self._opened, self._file = opened, opened.open()

    def answer(self, offset: int) -> Answer:
        """Its bytes from here on."""
        if offset:
            self._file.seek(offset)
        num_bytes = getattr(self._file, "size", None)
        return Answer(self, start=offset, num_bytes=num_bytes, has_ranges=self._file.seekable())

    def read(self, size: int, /) -> bytes:
        data: bytes = self._file.read(size)
        return data

    def close(self) -> None:
        self._file.close()


def _limits(source: str, fetching: Fetching, deadline: Deadline) -> dict[str, Any]:
    """The time limits of a link over http, where fsspec has none that end a stalled body in time.

    Other file systems have their own; the deadline is looked at between the pieces that come from them.
    """
    schemes = {link.partition("://")[0] for link in source.split("::")} & {"http", "https"}
    if not schemes or importlib.util.find_spec("aiohttp") is None:
        return {}
    from aiohttp import ClientTimeout

    seconds = deadline.wait(fetching.timeout_seconds)
    total = None if deadline.seconds is None else deadline.left  # of each request
    limit = ClientTimeout(total=total, sock_connect=seconds, sock_read=seconds)
    return {scheme: {"client_kwargs": {"timeout": limit}} for scheme in schemes}


def _advice(source: str, said: str) -> str:
    schemes = [link.partition("://")[0] for link in source.split("::") if "://" in link]
    named = re.search(r"[Ii]nstall ['\"]?([\w\[\]-]+)", said)
    packages = [_PACKAGES[each] for each in schemes if each in _PACKAGES and _is_missing(_PACKAGES[each])]
    wanted = packages[0] if packages else named[1] if named else "the package that reads it"
    return f"{shown(source)} needs a package that is not installed: pip install {wanted}"


def _is_missing(package: str) -> bool:
    return importlib.util.find_spec(package) is None
