"""The bytes of a source over any transport: http(s), `data:`, or what fsspec can open; and resuming them."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import io
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from .http import Response, open_web
from .options import Fetching
from .retries import Deadline, FetchError, Retrier
from .urls import links, shown

Opener = Callable[[str, int, Fetching, Deadline, "str | None"], Response]

_PIECE_BYTES = 2**20
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
    the front, the bytes before it are skipped.

    Args:
        source: A URL.
        fetching: Limits, and how often to try.
        retrier: The attempts so far, if waiting or fetching began earlier.
        known_version: The version of an earlier response; see `is_known`.

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be opened; or, while reading, no attempts are left.
    """

    def __init__(
        self,
        source: str,
        fetching: Fetching,
        *,
        retrier: Retrier | None = None,
        known_version: str | None = None,
    ):
        super().__init__()
        self._source, self._fetching, self._known_version = source, fetching, known_version
        self._retrier = retrier or Retrier(source, fetching)
        self._open = _opener(source)
        self._first: Response | None = None
        self._response: Response | None = None
        self._position = 0
        first = self._first = self._retrier.run(self._connect)
        self.num_bytes, self.version, self.is_known = first.num_bytes, first.version, first.is_known
        self._is_seekable = first.has_ranges and first.num_bytes is not None

    @property
    def attempts(self) -> int:
        """The number of attempts so far."""
        return self._retrier.attempts

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
            raise io.UnsupportedOperation(f"{shown(self._source)} can only be read from the front")
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.num_bytes or 0}[whence]
        if start + offset != self._position:
            self._position = max(start + offset, 0)
            self._disconnect()
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or the front of it; return how many bytes were read, 0 at the end."""
        view = memoryview(buffer).cast("B")
        piece = self._next(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def pieces(self) -> Iterator[bytes]:
        """Yield the rest in the pieces in which it arrives, without the copy that `read` makes."""
        while piece := self._next(_PIECE_BYTES):
            yield piece

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()
        super().close()

    def _next(self, size: int) -> bytes:
        if self.num_bytes is not None and self._position >= self.num_bytes:
            return b""
        return self._retrier.run(lambda: self._piece(size))

    def _piece(self, size: int) -> bytes:
        response = self._response or self._connect()
        try:
            piece = response.stream.read(size)
            if not piece and self.num_bytes is not None:
                raise FetchError(
                    f"it ended after {self._position} of {self.num_bytes} bytes", is_temporary=True
                )
        except BaseException:
            self._disconnect()
            raise
        self._check_size(self._position + len(piece))
        self._position += len(piece)
        return piece

    def _connect(self) -> Response:
        known_version = None if self._first else self._known_version
        response = self._open(
            self._source, self._position, self._fetching, self._retrier.deadline, known_version
        )
        try:
            self._check(response)
            self._skip(response, self._position - response.start)
        except BaseException:
            response.stream.close()
            raise
        self._response = response
        return response

    def _check(self, response: Response) -> None:
        self._check_size(response.num_bytes or 0)
        first = self._first
        if first and (response.num_bytes, response.version) != (first.num_bytes, first.version):
            raise FetchError("it has changed while it was read", is_temporary=True)
        if response.start > self._position:
            raise FetchError(f"the server sent only what comes after byte {response.start}")

    def _skip(self, response: Response, count: int) -> None:
        while count > 0:
            piece = response.stream.read(min(count, _PIECE_BYTES))
            if not piece:
                raise FetchError("it ended earlier than before", is_temporary=True)
            count -= len(piece)

    def _check_size(self, size: int) -> None:
        if self._fetching.max_bytes is not None and size > self._fetching.max_bytes:
            raise FetchError(f"it has more than max_bytes={self._fetching.max_bytes} bytes")

    def _disconnect(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.stream.close()


def _opener(source: str) -> Opener:
    openers: dict[str, Opener] = {"http": open_web, "https": open_web, "data": open_data}
    return openers.get(source.partition(":")[0].lower(), open_anywhere)


def open_data(
    source: str, offset: int, fetching: Fetching, deadline: Deadline, known_version: str | None = None
) -> Response:
    """Open the bytes that a `data:` URI carries.

    >>> fetching = Fetching()
    >>> open_data("data:text/plain;base64,aGVsbG8=", 0, fetching, Deadline(fetching)).stream.read(10)
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
    return Response(io.BytesIO(data[offset:]), start=offset, num_bytes=len(data), has_ranges=True)


def open_anywhere(
    source: str, offset: int, fetching: Fetching, deadline: Deadline, known_version: str | None = None
) -> Response:
    """Open what fsspec can open, including chains such as `zip://clip.mp4::https://host/videos.zip`.

    Raises:
        FetchError: It is not allowed: without private addresses, only http(s) and data are; without local
            files, no scheme and no chain that may lead to one.
        ImportError: The package for this scheme is missing.
    """
    scheme = source.partition(":")[0].lower()
    if not fetching.allow_private:
        raise FetchError(f"{scheme}: is not allowed with allow_private=False; http, https and data are")
    if not fetching.allow_local and ("::" in source or scheme not in _ELSEWHERE):
        raise FetchError(f"{scheme}: is not allowed with allow_local=False; {', '.join(_ELSEWHERE)} are")
    import fsspec

    schemes = [link.partition("://")[0] for link in links(source)]
    try:
        opened = fsspec.open(source, "rb", **_limits(schemes, fetching, deadline))
        file = opened.open()
    except ImportError as error:
        advice = (
            f"{shown(source)} needs a package that is not installed: pip install {_missing(schemes, error)}"
        )
    else:
        if offset:
            file.seek(offset)
        num_bytes = getattr(file, "size", None)
        return Response(file, offset, num_bytes, has_ranges=file.seekable(), owner=opened)
    raise ImportError(advice)  # not chained to the error above, which may name secrets


def _limits(schemes: list[str], fetching: Fetching, deadline: Deadline) -> dict[str, Any]:
    """Return time limits for links over http, as fsspec's own do not end a stalled body in time.

    Other file systems have limits of their own; the deadline is checked between the pieces that they send.
    """
    schemes = [scheme for scheme in schemes if scheme in ("http", "https")]
    if not schemes or importlib.util.find_spec("aiohttp") is None:
        return {}
    from aiohttp import ClientTimeout

    seconds = deadline.wait()
    total = None if fetching.max_seconds is None else deadline.left  # of each request
    limit = ClientTimeout(total=total, sock_connect=seconds, sock_read=seconds)
    return {scheme: {"client_kwargs": {"timeout": limit}} for scheme in schemes}


def _missing(schemes: list[str], error: ImportError) -> str:
    """Return the package to install."""
    packages = [_PACKAGES[scheme] for scheme in schemes if scheme in _PACKAGES]
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    named = re.search(r"[Ii]nstall ['\"]?([\w\[\]-]+)", str(error))
    return missing[0] if missing else named[1] if named else "the package that reads it"
