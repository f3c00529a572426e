"""HTTP requests within limits of time and of bytes, to hosts that may be connected.

Redirects are followed here and not by urllib, so that each of them is checked. A proxy looks names up itself,
so it is used only where all addresses are allowed.

With urllib3 as much code would be needed: its time-outs begin anew with each byte of a header, it reads
the body of a redirect and the trailers of a response to their end, and it accepts wrong sizes of chunks.
"""

from __future__ import annotations

import base64
import http.client
import io
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from .addresses import connect
from .attempts import Attempts, FetchError, status_fault

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 10
# All characters that may stay as they are in a URL; the others are quoted, as a browser does.
_ALLOWED = "%/:=&?~#+!$,;'@()*[]"
# How many bytes may be other than content: status lines, headers and what precedes them; and for each byte
# of content some more, for the sizes of chunks.
_MOST_OVERHEAD, _OVERHEAD_PER_BYTE = 256 * 2**10, 16
_LONGEST_LINE = 2**16
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?\r?\n", re.DOTALL)


@dataclass(frozen=True)
class Response:
    """The answer of a source that was opened."""

    stream: Any
    """Its bytes, as an object with `read(size)` and `close()`."""
    start: int = 0
    """The position in the source of the first of them."""
    num_bytes: int | None = None
    """The size of the whole source, if it is known."""
    version: str | None = None
    """An identifier of the contents, which changes with them, if there is one."""
    has_ranges: bool = False
    """Reading can begin anywhere."""
    is_known: bool = False
    """It still has the known version; then no bytes were sent."""
    owner: Any = None
    """An object that must exist as long as the stream is read."""


def open_web(attempts: Attempts, offset: int = 0, known_version: str | None = None) -> Response:
    """Request a file from an http(s) server.

    The URL may contain a user and a password. The server may ignore the offset; the response says where it
    begins. If the known version of an earlier response is still the latest, no bytes are sent.
    """
    headers = {"User-Agent": "pvio_lab", "Accept-Encoding": "identity", "Accept": "*/*"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    if known_version:
        is_tag = known_version.startswith(('"', 'W/"'))
        headers["If-None-Match" if is_tag else "If-Modified-Since"] = known_version
    body = _follow(attempts, headers)
    try:
        return _response(body, known_version)
    except BaseException:
        body.close()
        raise


def _follow(attempts: Attempts, headers: Mapping[str, str]) -> _Body:
    opener = OpenerDirector()
    if attempts.fetching.allow_private:
        opener.add_handler(ProxyHandler())
    opener.add_handler(_Web(attempts))
    url, own = attempts.source, dict(attempts.fetching.headers)
    for _ in range(_MAX_REDIRECTS + 1):
        plain, authorization = _without_user(url)
        if authorization:
            own = {name: value for name, value in own.items() if name.lower() != "authorization"}
            own["Authorization"] = authorization
        body: _Body = opener.open(Request(plain, headers={**headers, **own}))
        location = body.headers["Location"]
        if body.status not in _REDIRECTS or not location:
            return body
        body.close()  # unread, as it may be endless
        url = urljoin(plain, location)
        if _origin(url) != _origin(plain):
            own = {}  # they were meant for the other host only
    raise FetchError(f"the server redirects more than {_MAX_REDIRECTS} times")


def _response(body: _Body, known_version: str | None) -> Response:
    headers, start = body.headers, 0
    if body.status == 304 and known_version:
        return Response(body, version=known_version, is_known=True)
    if body.status not in (200, 206):
        raise status_fault(body.status, headers["Retry-After"])
    if body.status == 206:
        sent = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]+|\*)", headers["Content-Range"] or "")
        if not sent:
            raise FetchError("the server sends a part of it and does not say which")
        start = int(sent[1])
    return Response(
        stream=body,
        start=start,
        num_bytes=None if body.length is None else start + body.length,
        version=headers["ETag"] or headers["Last-Modified"],
        has_ranges=body.status == 206 or headers["Accept-Ranges"] == "bytes",
    )


def _without_user(url: str) -> tuple[str, str | None]:
    """Return the URL as it is sent, and the header that replaces the user and the password in it."""
    parts = _split(url)
    if parts.scheme.lower() not in ("http", "https"):
        raise FetchError(f"the server redirects to {parts.scheme[:20]}://, which is not followed")
    if not parts.hostname:
        raise FetchError("it is not a valid URL: there is no host in it")
    user, _, host = parts.netloc.rpartition("@")
    ascii_host = host if host.isascii() else host.encode("idna").decode()
    plain = quote(parts._replace(netloc=ascii_host, fragment="").geturl(), safe=_ALLOWED)
    word = base64.b64encode(unquote(user).encode()).decode()
    return plain, f"Basic {word}" if user else None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # is parsed only now
    except ValueError:
        raise FetchError("it is not a valid URL") from None
    return parts


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = _split(url)
    return parts.scheme.lower(), parts.hostname, parts.port


class _Web(HTTPHandler, HTTPSHandler):
    """The connections of one attempt."""

    def __init__(self, attempts: Attempts):
        super().__init__(context=_tls())
        self._attempts = attempts

    def do_open(self, http_class: Any, req: Request, **options: Any) -> Any:
        return super().do_open(partial(self._connection, http_class), req, **options)

    def _connection(self, kind: Callable[..., Any], *place: Any, **options: Any) -> Any:
        made = kind(*place, **options)
        made._create_connection = self._connect
        made.response_class = partial(_Body, wait_seconds=self._attempts.wait_seconds)
        return made

    def _connect(self, address: tuple[str, int], *_: object) -> socket.socket:
        wait_seconds, is_open = self._attempts.wait_seconds, self._attempts.fetching.allow_private
        made = connect(address, wait_seconds, publicly=not is_open)
        made.settimeout(wait_seconds())  # for TLS and the request
        return made


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Body(http.client.HTTPResponse):
    """A response whose content is read as it arrives, so that a slow server is not taken for a silent one."""

    def __init__(self, connected: socket.socket, *, wait_seconds: Callable[[], float], **options: Any):
        super().__init__(connected, **options)
        self.fp.close()
        self._wire = _Wire(connected, wait_seconds)
        self.fp = io.BufferedReader(self._wire)

    def read(self, size: int | None = None) -> bytes:
        piece = self.read1(_LONGEST_LINE if size is None else size)
        self._wire.num_content += len(piece)
        return piece

    def _read_next_chunk_size(self) -> int:
        """Replace http.client's own, which accepts negative sizes, among others."""
        line = self.fp.readline(_LONGEST_LINE)
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None and line.endswith(b"\n"):
            raise FetchError("it comes in chunks, and the server gave one a wrong size", is_temporary=True)
        if size is None:
            raise http.client.IncompleteRead(b"")
        return int(size[1], 16)

    def _read_and_discard_trailer(self) -> None:
        """Replace http.client's own, which waits for what follows the last chunk."""


class _Wire(io.RawIOBase):
    """The bytes that arrive over a connection, within limits."""

    def __init__(self, connected: socket.socket, wait_seconds: Callable[[], float]):
        super().__init__()
        self._socket, self._wait_seconds = connected, wait_seconds
        self._file = connected.makefile("rb", buffering=0)
        self._num_bytes = 0
        self.num_content = 0
        """The number of bytes that were content so far; the reader of the content counts them."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._num_bytes > _MOST_OVERHEAD + self.num_content * (1 + _OVERHEAD_PER_BYTE):
            raise FetchError("the server sends headers, or other data that is not content, without end")
        self._socket.settimeout(self._wait_seconds())
        count = self._file.readinto(buffer)
        self._num_bytes += count or 0
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
