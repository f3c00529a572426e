"""The attempts to fetch one source: the time there is for them, their faults, and the pauses between them."""

from __future__ import annotations

import email.utils
import http.client
import math
import re
import socket
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.error import URLError

from ...base import in_short
from ...errors import SourceError, printable
from .urls import shown, without_secrets

if TYPE_CHECKING:
    from .fetching import Fetching

T = TypeVar("T")

# Statuses of a server that may give another answer soon.
_BUSY = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524}
# A server that asks for a longer pause than this is not asked again.
_LONGEST_PAUSE_SECONDS = 60.0
# The packages that fsspec uses; errors of their own kinds are about the connection.
_TRANSPORTS = ("aiohttp", "botocore", "urllib3", "requests", "httpx")
# How much of a foreign message is shown.
_MOST_CHARACTERS = 300
# Kinds of errors, from the special to the general; the words (empty for the error's own); is it temporary?
_KINDS: list[tuple[tuple[type[Exception], ...], str, bool]] = [
    ((http.client.InvalidURL, UnicodeError), "it is not a valid URL", False),
    ((TimeoutError,), "nothing came for {timeout:g} seconds", True),
    ((FileNotFoundError,), "there is no such file", False),
    ((ssl.SSLCertVerificationError, PermissionError, FileExistsError), "", False),
    ((IsADirectoryError, NotADirectoryError), "", False),
    ((http.client.HTTPException, OSError), "", True),
]


class FetchError(Exception):
    """A fault of one attempt, in words that may be shown, and the pause that the server asks for."""

    def __init__(self, words: str, *, is_temporary: bool = False, pause_seconds: float | None = None):
        super().__init__(words)
        self.is_temporary, self.pause_seconds = is_temporary, pause_seconds


class Attempts:
    """The attempts to fetch one source, within one time limit for all of them.

    >>> from .fetching import Fetching
    >>> Attempts("http://host/a.mp4", Fetching(max_seconds=60, timeout_seconds=1)).wait_seconds()
    1.0
    """

    def __init__(self, source: str, fetching: Fetching):
        self.source, self.fetching, self.count = source, fetching, 1
        self._end = math.inf if fetching.max_seconds is None else time.monotonic() + fetching.max_seconds

    @property
    def seconds_left(self) -> float:
        """The seconds that are left; 0 or less when time is up."""
        return self._end - time.monotonic()

    def wait_seconds(self) -> float:
        """Return how long the next wait for the network may take; raise TimeoutError when time is up."""
        if self.seconds_left <= 0:
            raise TimeoutError
        return min(self.seconds_left, float(self.fetching.timeout_seconds))

    def run(self, step: Callable[[], T]) -> T:
        """Return the result of a step, called again after each temporary fault, or raise SourceError."""
        while True:
            self.check_time()
            try:
                return step()
            except (ImportError, SourceError):
                raise
            except Exception as error:  # each transport has errors of its own
                fault = _fault(error, self.source, self.fetching)
            # Outside of the block above: the error, which may name secrets, is not chained to this one.
            if fault.is_temporary:
                self.check_time()
            pause = fault.pause_seconds
            if pause is None:
                doubled = self.fetching.backoff_seconds * 2.0 ** min(self.count - 1, 60)
                pause = min(doubled, _LONGEST_PAUSE_SECONDS)
            is_soon = pause <= _LONGEST_PAUSE_SECONDS and pause < self.seconds_left
            if not (fault.is_temporary and is_soon and self.count <= self.fetching.retries):
                raise self._error(str(fault), fault.is_temporary)
            time.sleep(pause)
            self.count += 1

    def check_time(self) -> None:
        """Raise SourceError when time is up."""
        if self.seconds_left <= 0:
            raise self._error(f"it is not done after max_seconds={self.fetching.max_seconds:g}", True)

    def _error(self, words: str, is_temporary: bool) -> SourceError:
        times = f" (tried {self.count} times)" if self.count > 1 else ""
        said = f"{shown(self.source)} cannot be fetched: {words}{times}"
        return SourceError(said, attempts=self.count, is_temporary=is_temporary)


def status_fault(code: int, retry_after: str | None = None) -> FetchError:
    """Return the fault that an HTTP status stands for."""
    name = HTTPStatus(code).phrase if code in set(HTTPStatus) else "unknown status"
    words = f"the server answered {code} ({name})"
    pause = _seconds(retry_after)
    if pause is not None and pause > _LONGEST_PAUSE_SECONDS:
        words += f" and asks to wait {pause:.0f} seconds"
    pause = pause if code in (429, 503) else None
    return FetchError(words, is_temporary=code in _BUSY, pause_seconds=pause)


def _fault(error: BaseException, source: str, fetching: Fetching) -> FetchError:
    """Return an error of any transport as a fault."""
    if isinstance(error, FetchError):
        return error
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return _fault(error.reason, source, fetching)
    if isinstance(error, FileNotFoundError) and error.__cause__:  # fsspec's answer to any trouble with HTTP
        return _fault(error.__cause__, source, fetching)
    if isinstance(error, socket.gaierror):
        is_temporary = error.errno != socket.EAI_NONAME
        return FetchError("the name of its host cannot be resolved", is_temporary=is_temporary)
    code = getattr(error, "status", None)
    if isinstance(code, int) and code >= 400:
        return status_fault(code)
    said = without_secrets(f"{type(error).__name__}: {error}", source, fetching.headers)
    said = in_short(printable(said.splitlines()[0]), _MOST_CHARACTERS)
    for kinds, words, is_temporary in _KINDS:
        if isinstance(error, kinds):
            words = words.format(timeout=fetching.timeout_seconds)
            return FetchError(words or said, is_temporary=is_temporary)
    return FetchError(said, is_temporary=type(error).__module__.startswith(_TRANSPORTS))


def _seconds(retry_after: str | None) -> float | None:
    """Return the pause that a `Retry-After` header asks for, given in seconds or as a date."""
    if not retry_after:
        return None
    if re.fullmatch("[0-9]+", retry_after.strip()):
        return float(retry_after)
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
