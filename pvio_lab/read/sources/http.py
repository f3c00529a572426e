"""HTTP: one request, redirects followed, time limits and addresses under control."""

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
from typing import Any, Protocol
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from .deadline import Deadline
from .options import Fetching
from .retries import FetchError, status_fault
from .urls import connect

# Status lines, headers and what is sent before them; sizes of chunks, for which every byte of content allows
# some more.
_MOST_OVERHEAD, _OVERHEAD_PER_BYTE = 256 * 2**10, 16
_LONGEST_LINE = 2**16
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?", re.DOTALL)


class Wire(io.RawIOBase):
    """The bytes that come over a connection.

    Args:
        connected: The connection.
        wait: Tells how long the next bytes may take; it is asked before each wait.
    """

    def __init__(self, connected: socket.socket, wait: Callable[[], float]):
        super().__init__()
        self._socket, self._wait = connected, wait
        self._file = connected.makefile("rb", buffering=0)
        self._num_bytes = 0
        self.num_content = 0
        """The bytes of it that were content so far; `WebBody` counts them."""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has come, or what comes next."""
        if self._num_bytes > _MOST_OVERHEAD + self.num_content * (1 + _OVERHEAD_PER_BYTE):
            raise FetchError("the server sends headers, or other things that are no content, without end")
        self._socket.settimeout(self._wait())
        count = self._file.readinto(buffer)
        self._num_bytes += count or 0
        return count

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        super().close()


class WebBody:
    """The content of an answer; what has come is read at once, so that a slow server is no silent one."""

    def __init__(self, response: http.client.HTTPResponse):
        wire: Any = response.fp.raw
        self._response, self._wire = response, wire
        self._next = _Chunks(response.fp).read if response.chunked else response.read1

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""
        piece = self._next(size)
        self._wire.num_content += len(piece)
        return piece

    def close(self) -> None:
        """Hang up."""
        self._response.close()


class _Chunks:
    """Content that comes in chunks. What follows the last one is not waited for."""

    def __init__(self, file: io.BufferedReader):
        self._file, self._left = file, 0
        self._is_first, self._is_over = True, False

    def read(self, size: int) -> bytes:
        if not self._left and not self._is_over:
            self._left = self._next_size()
            self._is_first, self._is_over = False, not self._left
        if self._is_over:
            return b""
        piece = self._file.read1(min(size, self._left))
        if not piece:
            raise http.client.IncompleteRead(b"")
        self._left -= len(piece)
        return piece

    def _next_size(self) -> int:
        is_whole = self._is_first or self._line() == b"\r\n"
        found = _CHUNK_SIZE.fullmatch(self._line().rstrip(b"\r\n"))
        if not (is_whole and found):
            raise FetchError(
                "it comes in chunks, and one is not as long as the server says", is_temporary=True
            )
        return int(found[1], 16)

    def _line(self) -> bytes:
        line = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        return line


_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 10
# All that a URL may contain as it is; the rest is quoted, as a browser does.
_ALLOWED = "%/:=&?~#+!$,;'@()*[]"


class Bytes(Protocol):
    """Something that bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""

    def close(self) -> None:
        """Gives back what it holds."""


@dataclass(frozen=True)
class Answer:
    """What a source answers when it is opened."""

    stream: Bytes
    """Its bytes."""
    start: int = 0
    """Where in the source they begin."""
    num_bytes: int | None = None
    """How large the whole source is, if it tells."""
    version: str | None = None
    """Changes when the contents change, if it tells."""
    has_ranges: bool = False
    """Whether it can begin anywhere."""
    is_known: bool = False
    """It has the version that was known already, and no bytes were sent."""


def open_web(
    url: str, offset: int, fetching: Fetching, deadline: Deadline, known_version: str | None = None
) -> Answer:
    """Asks an http(s) server for a file, from some byte on.

    Args:
        url: Its address, maybe with a user and a password.
        offset: Where to begin; the answer tells where it does.
        fetching: Time limits, headers, and which addresses are allowed.
        deadline: When all of it has to be done.
        known_version: What an earlier answer had; a server that has nothing newer sends nothing.

    Raises:
        FetchError: The server refuses.
        OSError: There is no connection.
    """
    headers = {"User-Agent": "pvio_lab", "Accept-Encoding": "identity", "Accept": "*/*"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    if known_version:
        headers.update(_conditions(known_version))
    response = _follow(url, headers, fetching, deadline)
    try:
        if response.status == 304 and known_version:
            response.close()
            return Answer(io.BytesIO(), version=known_version, is_known=True)
        if response.status not in (200, 206):
            raise status_fault(response.status, response.headers["Retry-After"])
        return _answer(response)
    except BaseException:
        response.close()
        raise


def _follow(
    url: str, headers: Mapping[str, str], fetching: Fetching, deadline: Deadline
) -> http.client.HTTPResponse:
    own = dict(fetching.headers)
    for _ in range(_MAX_REDIRECTS + 1):
        plain, authorization = _without_user(url)
        if authorization:
            own = {name: value for name, value in own.items() if name.lower() != "authorization"}
            own["Authorization"] = authorization
        request = _Request(plain, {**headers, **own}, fetching, deadline)
        response: http.client.HTTPResponse = _opener(fetching.allow_private).open(
            request, timeout=fetching.timeout_seconds
        )
        location = response.headers["Location"]
        if response.status not in _REDIRECTS or not location:
            return response
        response.close()  # its body, which may have no end, is of no interest
        url = urljoin(plain, location)
        if _origin(url) != _origin(plain):
            own = {}  # was meant for the other host only
    raise FetchError(f"the server redirects more than {_MAX_REDIRECTS} times")


def _answer(response: http.client.HTTPResponse) -> Answer:
    headers, start = response.headers, 0
    if response.status == 206:
        asked = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]+|\*)", headers["Content-Range"] or "")
        if not asked:
            raise FetchError("the server sends a part of it and does not say which")
        start = int(asked[1])
    return Answer(
        stream=WebBody(response),
        start=start,
        num_bytes=None if response.length is None else start + response.length,
        version=_version(headers),
        has_ranges=response.status == 206 or headers["Accept-Ranges"] == "bytes",
    )


def _version(headers: http.client.HTTPMessage) -> str | None:
    return headers.get("ETag") or headers.get("Last-Modified")


def _conditions(version: str) -> dict[str, str]:
    is_tag = version.startswith(('"', 'W/"'))
    return {"If-None-Match" if is_tag else "If-Modified-Since": version}


def _without_user(url: str) -> tuple[str, str | None]:
    """The URL as it is sent, and what goes into the header instead."""
    parts = _split(url)
    if parts.scheme.lower() not in ("http", "https"):
        raise FetchError(f"the server redirects to {parts.scheme[:20]}://, which is not followed")
    if not parts.hostname:
        raise FetchError("it is no valid URL: there is no host in it")
    user, _, host = parts.netloc.rpartition("@")
    ascii_host = host if host.isascii() else host.encode("idna").decode()
    plain = quote(parts._replace(netloc=ascii_host, fragment="").geturl(), safe=_ALLOWED)
    word = base64.b64encode(unquote(user).encode()).decode()
    return plain, f"Basic {word}" if user else None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # is looked at only now
    except ValueError:
        raise FetchError("it is no valid URL") from None
    return parts


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = _split(url)
    return parts.scheme.lower(), parts.hostname, parts.port


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@cache
def _opener(allow_proxies: bool) -> OpenerDirector:
    """Follows no redirects, so that each of them is looked at here.

    A proxy would look names up by itself, so that none is used where addresses matter.
    """
    opener = OpenerDirector()
    proxies = [ProxyHandler()] if allow_proxies else []
    for handler in (*proxies, _Plain(), _Secure()):
        opener.add_handler(handler)
    return opener


class _Request(Request):
    """A request that knows its limits."""

    def __init__(self, url: str, headers: dict[str, str], fetching: Fetching, deadline: Deadline):
        super().__init__(url, headers=headers)
        self._fetching, self._deadline = fetching, deadline

    def connection(self, kind: Callable[..., Any], *place: Any, **options: Any) -> Any:
        """Return a connection that keeps to the limits; it is opened when it is used."""
        made = kind(*place, **options)
        made._create_connection = self._connected
        made.response_class = self._response
        return made

    def _wait(self) -> float:
        return self._deadline.wait(self._fetching.timeout_seconds)

    def _connected(self, address: tuple[str, int], *_: object) -> socket.socket:
        made = connect(address, self._wait, publicly=not self._fetching.allow_private)
        made.settimeout(self._wait())  # for TLS and what is sent
        return made

    def _response(self, made: socket.socket, **options: Any) -> http.client.HTTPResponse:
        readable: Any = _Readable(made, self._wait)
        return http.client.HTTPResponse(readable, **options)


class _Plain(HTTPHandler):
    def http_open(self, request: Any) -> http.client.HTTPResponse:
        make: Any = partial(request.connection, http.client.HTTPConnection)
        return self.do_open(make, request)


class _Secure(HTTPSHandler):
    def https_open(self, request: Any) -> http.client.HTTPResponse:
        make: Any = partial(request.connection, http.client.HTTPSConnection)
        return self.do_open(make, request, context=_tls())


class _Readable:
    """The side of a socket that an answer is read from."""

    def __init__(self, made: socket.socket, wait: Callable[[], float]):
        self._socket, self._wait = made, wait

    def makefile(self, _mode: str) -> io.BufferedReader:
        """See `socket.socket`."""
        return io.BufferedReader(Wire(self._socket, self._wait))
