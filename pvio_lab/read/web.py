"""HTTP: one request, redirects followed, time limits and addresses under control."""

from __future__ import annotations

import base64
import http.client
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from .addresses import connect_publicly
from .faults import FetchError, status_fault
from .fetching import Fetching

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


def open_web(url: str, offset: int, fetching: Fetching, known_version: str | None = None) -> Answer:
    """Asks an http(s) server for a file, from some byte on.

    Args:
        url: Its address, maybe with a user and a password.
        offset: Where to begin; the answer tells where it does.
        fetching: Time limits, and which addresses are allowed.
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
    response = _follow(url, headers, fetching)
    if response.status == 304 and known_version:
        response.close()
        return Answer(_Response(response), version=known_version, is_known=True)
    if response.status not in (200, 206):
        response.close()
        raise status_fault(response.status, response.headers["Retry-After"])
    return _answer(response)


def _follow(url: str, headers: Mapping[str, str], fetching: Fetching) -> http.client.HTTPResponse:
    authorization = None
    for _ in range(_MAX_REDIRECTS + 1):
        plain, own_authorization = _without_user(url)
        authorization = own_authorization or authorization
        extra = {"Authorization": authorization} if authorization else {}
        request = Request(plain, headers={**headers, **extra})
        response: http.client.HTTPResponse = _opener(fetching.allow_private).open(
            request, timeout=fetching.timeout_seconds
        )
        location = response.headers["Location"]
        if response.status not in _REDIRECTS or not location:
            return response
        response.close()  # its body, which may have no end, is of no interest
        url = urljoin(plain, location)
        if _origin(url) != _origin(plain):
            authorization = None  # was meant for the other host only
    raise FetchError(f"the server redirects more than {_MAX_REDIRECTS} times")


def _answer(response: http.client.HTTPResponse) -> Answer:
    headers = response.headers
    length = int(headers["Content-Length"]) if (headers["Content-Length"] or "").isdigit() else None
    asked = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers["Content-Range"] or "")
    start = int(asked[1]) if asked and response.status == 206 else 0
    return Answer(
        stream=_Response(response),
        start=start,
        num_bytes=None if length is None else start + length,
        version=_version(headers),
        has_ranges=response.status == 206 or headers["Accept-Ranges"] == "bytes",
    )


class _Response:
    """The body of an answer; what has come is read at once, so that a slow server is no silent one."""

    def __init__(self, response: http.client.HTTPResponse):
        self._response = response

    def read(self, size: int, /) -> bytes:
        return self._response.read1(size)

    def close(self) -> None:
        self._response.close()


def _version(headers: http.client.HTTPMessage) -> str | None:
    return headers.get("ETag") or headers.get("Last-Modified")


def _conditions(version: str) -> dict[str, str]:
    is_tag = version.startswith(('"', 'W/"'))
    return {"If-None-Match" if is_tag else "If-Modified-Since": version}


def _without_user(url: str) -> tuple[str, str | None]:
    """The URL as it is sent, and what goes into the header instead."""
    parts = _split(url)
    if parts.scheme.lower() not in ("http", "https"):
        raise FetchError(f"the server redirects to {parts.scheme}://, which is not followed")
    if not parts.hostname:
        raise FetchError("it is no valid URL: there is no host in it")
    user, _, host = parts.netloc.rpartition("@")
    plain = quote(parts._replace(netloc=host, fragment="").geturl(), safe=_ALLOWED)
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
def _opener(allow_private: bool) -> OpenerDirector:
    """Follows no redirects, so that each of them is looked at here.

    A proxy would look names up by itself, so that none is used where addresses matter.
    """
    opener = OpenerDirector()
    proxies = [ProxyHandler()] if allow_private else []
    for handler in (*proxies, _Plain(allow_private), _Secure(allow_private)):
        opener.add_handler(handler)
    return opener


class _Plain(HTTPHandler):
    def __init__(self, allow_private: bool):
        super().__init__()
        self._allow_private = allow_private

    def http_open(self, request: Request) -> http.client.HTTPResponse:
        return self.do_open(_connecting(http.client.HTTPConnection, self._allow_private), request)


class _Secure(HTTPSHandler):
    def __init__(self, allow_private: bool):
        super().__init__()
        self._allow_private = allow_private

    def https_open(self, request: Request) -> http.client.HTTPResponse:
        make = _connecting(http.client.HTTPSConnection, self._allow_private)
        return self.do_open(make, request, context=_tls())


def _connecting(kind: Callable[..., Any], allow_private: bool) -> Any:
    def connection(*place: Any, **options: Any) -> Any:
        made = kind(*place, **options)
        if not allow_private:
            made._create_connection = connect_publicly
        return made

    return connection
