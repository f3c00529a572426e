"""What can go wrong while something is fetched: in words, and whether another try is worth it."""

from __future__ import annotations

import email.utils
import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.error import URLError

from ...base import in_short
from ...errors import SourceError, printable
from .deadline import Deadline
from .options import Fetching
from .urls import PrivateAddressError, shown, without_secrets

T = TypeVar("T")

# What a server says when it may say something else soon.
_BUSY = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524}
# A server that asks for a longer pause than this is not asked again.
_LONGEST_WAIT_SECONDS = 60.0
# Their own kinds of errors, by the packages that fsspec stands on; all are about the connection.
_TRANSPORTS = ("aiohttp", "botocore", "urllib3", "requests", "httpx")
# How much of what they say is shown.
_MOST_WORDS = 300
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
        deadline: When all of it has to be done.
    """

    def __init__(self, source: str, fetching: Fetching, deadline: Deadline):
        self.attempts = 1
        self._source, self._fetching, self._deadline = source, fetching, deadline

    def run(self, step: Callable[[], T]) -> T:
        """What a step returns; a fault that may pass is waited for, and the step is called again.

        Raises:
            SourceError: The fault does not pass, or not soon enough.
        """
        while True:
            self.check_time()
            try:
                return step()
            except (ImportError, SourceError):
                raise
            except Exception as error:  # each transport has errors of its own
                fault = understood(error, self._source, self._fetching)
            # Outside of the block above: the error, which may name secrets, is not chained to this one.
            if fault.is_temporary:
                self.check_time()
            if not self._is_worth_another(fault):
                raise self._error(fault)
            time.sleep(self._wait_seconds(fault))
            self.attempts += 1

    def check_time(self) -> None:
        """Raise SourceError when it should be done by now."""
        if self._deadline.left <= 0:
            words = f"it is not done after max_seconds={self._deadline.seconds:g}"
            raise self._error(Fault(words, is_temporary=True))

    def _is_worth_another(self, fault: Fault) -> bool:
        wait = self._wait_seconds(fault)
        is_soon = wait <= _LONGEST_WAIT_SECONDS and wait < self._deadline.left
        return fault.is_temporary and is_soon and self.attempts <= self._fetching.retries

    def _wait_seconds(self, fault: Fault) -> float:
        if fault.wait_seconds is not None:
            return max(fault.wait_seconds, 0.0)
        return min(self._fetching.backoff_seconds * 2.0 ** min(self.attempts - 1, 60), _LONGEST_WAIT_SECONDS)

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


def understood(error: BaseException, source: str, fetching: Fetching) -> Fault:
    """An error of any transport as a fault."""
    if isinstance(error, FetchError):
        return error.fault
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return understood(error.reason, source, fetching)
    if isinstance(error, FileNotFoundError) and error.__cause__:  # what fsspec says to any trouble with HTTP
        return understood(error.__cause__, source, fetching)
    if isinstance(error, socket.gaierror):
        return Fault("the name of its host cannot be resolved", error.errno != socket.EAI_NONAME)
    code = getattr(error, "status", None)
    if isinstance(code, int) and code >= 400:
        return status_fault(code).fault
    said = without_secrets(f"{type(error).__name__}: {error}", source, fetching.headers)
    said = in_short(printable(said.splitlines()[0]), _MOST_WORDS)
    for kind, words, is_temporary in _table(fetching.timeout_seconds):
        if isinstance(error, kind):
            return Fault(words or said, is_temporary)
    return Fault(said, type(error).__module__.startswith(_TRANSPORTS))


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
    if re.fullmatch("[0-9]+", retry_after.strip()):
        return float(retry_after)
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
