"""A source as a stream of bytes that resumes, over http(s), `data:`, or what fsspec can open."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import io
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from .attempts import Attempts, FetchError
from .http import Response, open_web
from .urls import links, shown

_SKIPPED_BYTES = 2**20
# The packages to install, where fsspec's own message names none.
_PACKAGES = {
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
}
# These schemes never lead to a file of this machine.
_ELSEWHERE = "s3 s3a gs gcs az abfs abfss hf http https sftp ssh smb ftp data".split()


class ResumableStream(io.RawIOBase):
    """A source that is read from the front, or from anywhere if the server can begin there.

    When the connection breaks, it is opened again at the byte where it broke; if the server always begins at
    the front, the bytes before it are skipped. If the known version of an earlier response is still the
    latest, `is_known` is True, and there is nothing to read.
    """

    def __init__(self, attempts: Attempts, known_version: str | None = None):
        super().__init__()
        self._attempts, self._position = attempts, 0
        scheme = attempts.source.partition(":")[0].lower()
        self._open = _OPENERS.get(scheme, open_anywhere)
        self._response: Response | None = None
        self._first: Response | None = None
        self._first = first = attempts.run(lambda: self._connect(known_version))
        self.num_bytes, self.version, self.is_known = first.num_bytes, first.version, first.is_known
        self._is_seekable = first.has_ranges and first.num_bytes is not None

    @property
    def attempts(self) -> int:
        """The number of attempts so far."""
        return self._attempts.count

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True if the server can begin anywhere."""
        return self._is_seekable

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another position; the server is asked when something is read there."""
        if not self.seekable():
            raise io.UnsupportedOperation(f"{shown(self._attempts.source)} can only be read from the front")
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.num_bytes or 0}[whence]
        if start + offset != self._position:
            self._position = max(start + offset, 0)
            self._disconnect()
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or the front of it; return how many bytes were read, 0 at the end."""
        view = memoryview(buffer).cast("B")
        piece = self.read_piece(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def read_piece(self, size: int) -> bytes:
        """Return at most this many bytes, as they arrive, and without a copy; none at the end."""
        if self.num_bytes is not None and self._position >= self.num_bytes:
            return b""
        return self._attempts.run(lambda: self._read(size))

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()
        super().close()

    def _read(self, size: int) -> bytes:
        response = self._response or self._connect()
        try:
            piece: bytes = response.stream.read(size)
            if not piece and self.num_bytes is not None:
                words = f"it ended after {self._position} of {self.num_bytes} bytes"
                raise FetchError(words, is_temporary=True)
        except BaseException:
            self._disconnect()
            raise
        self._check_size(self._position + len(piece))
        self._position += len(piece)
        return piece

    def _connect(self, known_version: str | None = None) -> Response:
        self._response = response = self._open(self._attempts, self._position, known_version)
        try:
            self._check_size(response.num_bytes or 0)
            first = self._first or response
            if (response.num_bytes, response.version) != (first.num_bytes, first.version):
                raise FetchError("it has changed while it was read", is_temporary=True)
            if response.start > self._position:
                raise FetchError(f"the server sent only what comes after byte {response.start}")
            self._skip(response, self._position - response.start)
        except BaseException:
            self._disconnect()
            raise
        return response

    def _skip(self, response: Response, count: int) -> None:
        while count > 0:
            piece = response.stream.read(min(count, _SKIPPED_BYTES))
            if not piece:
                raise FetchError("it ended earlier than before", is_temporary=True)
            count -= len(piece)

    def _check_size(self, size: int) -> None:
        most = self._attempts.fetching.max_bytes
        if most is not None and size > most:
            raise FetchError(f"it has more than max_bytes={most} bytes")

    def _disconnect(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.stream.close()


def open_data(attempts: Attempts, offset: int = 0, known_version: str | None = None) -> Response:
    """Open the bytes that a `data:` URI carries.

    >>> from .fetching import Fetching
    >>> open_data(Attempts("data:text/plain;base64,aGVsbG8=", Fetching())).stream.read(10)
    b'hello'
    """
    kind, comma, payload = attempts.source.partition(":")[2].partition(",")
    if not comma:
        raise FetchError("there is no comma in it; allowed is data:<type>;base64,<bytes>")
    data = unquote_to_bytes(payload)
    if kind.lower().endswith(";base64"):
        try:
            data = base64.b64decode(re.sub(rb"\s", b"", data), validate=True)
        except binascii.Error:
            raise FetchError("what follows the comma is not base64") from None
    return Response(io.BytesIO(data[offset:]), start=offset, num_bytes=len(data), has_ranges=True)


def open_anywhere(attempts: Attempts, offset: int = 0, known_version: str | None = None) -> Response:
    """Open what fsspec can open, including chains such as `zip://clip.mp4::https://host/videos.zip`.

    Without private addresses, only http(s) and data are allowed; without local files, no scheme and no chain
    that may lead to one.
    """
    source, fetching = attempts.source, attempts.fetching
    scheme = source.partition(":")[0].lower()
    if not fetching.allow_private:
        raise FetchError(f"{scheme}: is not allowed with allow_private=False; http, https and data are")
    if not fetching.allow_local and ("::" in source or scheme not in _ELSEWHERE):
        raise FetchError(f"{scheme}: is not allowed with allow_local=False; {', '.join(_ELSEWHERE)} are")
    import fsspec

    schemes = [link.partition("://")[0] for link in links(source)]
    try:
        opened = fsspec.open(source, "rb", **_time_limits(schemes, attempts))
        file = opened.open()
    except ImportError as error:
        missing = _missing(schemes, error)
    else:
        if offset:
            file.seek(offset)
        num_bytes = getattr(file, "size", None)
        return Response(file, offset, num_bytes, has_ranges=file.seekable(), owner=opened)
    # Not chained to the error above, which may name secrets.
    raise ImportError(f"{shown(source)} needs a package that is not installed: pip install {missing}")


_OPENERS: dict[str, Callable[[Attempts, int, str | None], Response]] = {
    "http": open_web,
    "https": open_web,
    "data": open_data,
}


def _time_limits(schemes: list[str], attempts: Attempts) -> dict[str, Any]:
    """Return limits for links over http, as fsspec's own do not end a stalled body in time.

    Other file systems have limits of their own; the time is checked between the pieces that they send.
    """
    schemes = [scheme for scheme in schemes if scheme in ("http", "https")]
    if not schemes or importlib.util.find_spec("aiohttp") is None:
        return {}
    from aiohttp import ClientTimeout

    seconds = attempts.wait_seconds()
    total = None if attempts.fetching.max_seconds is None else attempts.seconds_left  # of each request
    limit = ClientTimeout(total=total, sock_connect=seconds, sock_read=seconds)
    return {scheme: {"client_kwargs": {"timeout": limit}} for scheme in schemes}


def _missing(schemes: list[str], error: ImportError) -> str:
    """Return the package to install."""
    packages = [_PACKAGES[scheme] for scheme in schemes if scheme in _PACKAGES]
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    named = re.search(r"[Ii]nstall ['\"]?([\w\[\]-]+)", str(error))
    return missing[0] if missing else named[1] if named else "the package that reads it"
