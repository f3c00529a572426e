"""What can go wrong while something is fetched: in words, and whether another try is worth it."""

from __future__ import annotations

import email.utils
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.error import URLError

from ..errors import SourceError
from .addresses import PrivateAddressError, shown, without_secrets
from .fetching import Fetching

T = TypeVar("T")

# What a server says when it may say something else soon.
_BUSY = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524}
# A server that asks for a longer pause than this is not asked again.
_LONGEST_WAIT_SECONDS = 60.0
# Their own kinds of errors, by the packages that fsspec stands on; all are about the connection.
_TRANSPORTS = ("aiohttp", "botocore", "urllib3", "requests", "httpx")
_FINAL = (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


@dataclass(frozen=True)
class Fault:
    """Why a try failed."""

    words: str
    """Fit to be shown."""
    is_temporary: bool = False
    """Whether the next try may go well."""
    wait_seconds: float | None = None
    """How long the server asks to wait, if it does."""


class FetchError(Exception):
    """A fault that was understood where it was met."""

    def __init__(self, words: str, *, is_temporary: bool = False, wait_seconds: float | None = None):
        super().__init__(words)
        self.fault = Fault(words, is_temporary, wait_seconds)


class Tries:
    """Counts the tries to fetch one source, and waits between them.

    Args:
        source: What is fetched.
        fetching: How often, and how long to wait.
    """

    def __init__(self, source: str, fetching: Fetching):
        self.attempts, self._begin = 1, time.monotonic()
        self._source, self._fetching = source, fetching

    def run(self, step: Callable[[], T]) -> T:
        """What a step returns; a fault that may pass is waited for, and the step is called again.

        Raises:
            SourceError: The fault does not pass, or not soon enough.
        """
        while True:
            self._check_time()
            try:
                return step()
            except (ImportError, SourceError):
                raise
            except Exception as error:  # each transport has errors of its own
                fault = understood(error, self._source, self._fetching.timeout_seconds)
            # Outside of the block above: the error, which may name secrets, is not chained to this one.
            if not self._is_worth_another(fault):
                raise self._error(fault)
            time.sleep(self._wait_seconds(fault))
            self.attempts += 1

    def _check_time(self) -> None:
        limit = self._fetching.max_seconds
        if limit is not None and time.monotonic() - self._begin > limit:
            raise self._error(Fault(f"it is not done after max_seconds={limit:g}", is_temporary=True))

    def _is_worth_another(self, fault: Fault) -> bool:
        is_soon = (fault.wait_seconds or 0) <= _LONGEST_WAIT_SECONDS
        return fault.is_temporary and is_soon and self.attempts <= self._fetching.retries

    def _wait_seconds(self, fault: Fault) -> float:
        if fault.wait_seconds is not None:
            return max(fault.wait_seconds, 0.0)
        return min(self._fetching.backoff_seconds * 2.0 ** (self.attempts - 1), _LONGEST_WAIT_SECONDS)

    def _error(self, fault: Fault) -> SourceError:
        times = f" (tried {self.attempts} times)" if self.attempts > 1 else ""
        return SourceError(
            f"{shown(self._source)} cannot be fetched: {fault.words}{times}",
            attempts=self.attempts,
            is_temporary=fault.is_temporary,
        )


def status_fault(code: int, retry_after: str | None = None) -> FetchError:
    """What a status of HTTP means."""
    name = HTTPStatus(code).phrase if code in set(HTTPStatus) else "unknown status"
    words = f"the server answered {code} ({name})"
    wait = _seconds(retry_after)
    if wait is not None and wait > _LONGEST_WAIT_SECONDS:
        words += f" and asks to wait {wait:.0f} seconds"
    return FetchError(words, is_temporary=code in _BUSY, wait_seconds=wait if code in (429, 503) else None)


def understood(error: BaseException, source: str, timeout_seconds: float) -> Fault:
    """An error of any transport as a fault."""
    if isinstance(error, FetchError):
        return error.fault
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return understood(error.reason, source, timeout_seconds)
    if isinstance(error, FileNotFoundError) and error.__cause__:  # what fsspec says to any trouble with HTTP
        return understood(error.__cause__, source, timeout_seconds)
    if isinstance(error, socket.gaierror):
        return Fault("the name of its host cannot be resolved", error.errno != socket.EAI_NONAME)
    code = getattr(error, "status", None)
    if isinstance(code, int) and code >= 400:
        return status_fault(code).fault
    for kind, words, is_temporary in _table(timeout_seconds):
        if isinstance(error, kind):
            said = words or without_secrets(f"{type(error).__name__}: {error}", source)
            return Fault(said.splitlines()[0], is_temporary)
    said = without_secrets(f"{type(error).__name__}: {error}", source)
    return Fault(said.splitlines()[0], type(error).__module__.startswith(_TRANSPORTS))


def _table(
    timeout_seconds: float,
) -> list[tuple[type[BaseException] | tuple[type[BaseException], ...], str, bool]]:
    """Kinds of errors, from the special to the general: in words (their own when empty), and if they pass."""
    return [
        (PrivateAddressError, "", False),
        (http.client.InvalidURL, "it is no valid URL", False),
        (UnicodeError, "it is no valid URL", False),
        (TimeoutError, f"nothing came for {timeout_seconds:g} seconds", True),
        (ssl.SSLCertVerificationError, "", False),
        (FileNotFoundError, "there is no such file", False),
        (_FINAL, "", False),
        (http.client.HTTPException, "", True),
        (OSError, "", True),
    ]


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After`: seconds, or a date."""
    if not retry_after:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None
