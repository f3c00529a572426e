"""The time limit of a fetch, its faults, and its retries."""

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
from typing import TypeVar
from urllib.error import URLError

from ...base import in_short
from ...errors import SourceError, printable
from .options import Fetching
from .urls import shown, without_secrets

T = TypeVar("T")

# Statuses of a server that may give another answer soon.
_BUSY = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524}
# A server that asks for a longer pause than this is not asked again.
_LONGEST_WAIT_SECONDS = 60.0
# The packages that fsspec uses; errors of their own kinds are about the connection.
_TRANSPORTS = ("aiohttp", "botocore", "urllib3", "requests", "httpx")
# How much of a foreign message is shown.
_MOST_CHARACTERS = 300


class Deadline:
    """The time limits of one fetch: for each wait, and for everything together.

    >>> Deadline(Fetching(max_seconds=60, timeout_seconds=1)).wait()
    1.0
    """

    def __init__(self, fetching: Fetching):
        self._fetching = fetching
        self._end = math.inf if fetching.max_seconds is None else time.monotonic() + fetching.max_seconds

    @property
    def left(self) -> float:
        """The seconds that are left; 0 or less when time is up."""
        return self._end - time.monotonic()

    def wait(self) -> float:
        """Return how long the next wait may take.

        Raises:
            TimeoutError: Time is up.
        """
        left = self.left
        if left <= 0:
            raise TimeoutError
        return min(left, float(self._fetching.timeout_seconds))


class FetchError(Exception):
    """A fault of one attempt, in words that may be shown.

    Args:
        words: What went wrong.
        is_temporary: Whether the next attempt may succeed.
        wait_seconds: How long the server asks to wait, if it does.
    """

    def __init__(self, words: str, *, is_temporary: bool = False, wait_seconds: float | None = None):
        super().__init__(words)
        self.words, self.is_temporary, self.wait_seconds = words, is_temporary, wait_seconds


class Retrier:
    """The attempts to fetch one source, within one deadline.

    Args:
        source: What is fetched.
        fetching: How often to try, how long to wait, and the time limits.
    """

    def __init__(self, source: str, fetching: Fetching):
        self.deadline = Deadline(fetching)
        self.attempts = 1
        self._source, self._fetching = source, fetching

    def run(self, step: Callable[[], T]) -> T:
        """Return the result of a step, which is called again after each temporary fault.

        Raises:
            SourceError: The fault is permanent, or there is no time or no attempt left.
        """
        while True:
            self.check_time()
            try:
                return step()
            except (ImportError, SourceError):
                raise
            except Exception as error:  # each transport has errors of its own
                fault = classify(error, self._source, self._fetching)
            # Outside of the block above: the error, which may name secrets, is not chained to this one.
            if fault.is_temporary:
                self.check_time()
            wait = self._wait_seconds(fault)
            is_soon = wait <= _LONGEST_WAIT_SECONDS and wait < self.deadline.left
            if not (fault.is_temporary and is_soon and self.attempts <= self._fetching.retries):
                raise self._error(fault)
            time.sleep(wait)
            self.attempts += 1

    def check_time(self) -> None:
        """Raise SourceError when time is up."""
        if self.deadline.left <= 0:
            words = f"it is not done after max_seconds={self._fetching.max_seconds:g}"
            raise self._error(FetchError(words, is_temporary=True))

    def _wait_seconds(self, fault: FetchError) -> float:
        if fault.wait_seconds is not None:
            return max(fault.wait_seconds, 0.0)
        return min(self._fetching.backoff_seconds * 2.0 ** min(self.attempts - 1, 60), _LONGEST_WAIT_SECONDS)

    def _error(self, fault: FetchError) -> SourceError:
        times = f" (tried {self.attempts} times)" if self.attempts > 1 else ""
        return SourceError(
            f"{shown(self._source)} cannot be fetched: {fault.words}{times}",
            attempts=self.attempts,
            is_temporary=fault.is_temporary,
        )


def status_fault(code: int, retry_after: str | None = None) -> FetchError:
    """Return the fault that an HTTP status stands for."""
    name = HTTPStatus(code).phrase if code in set(HTTPStatus) else "unknown status"
    words = f"the server answered {code} ({name})"
    wait = _seconds(retry_after)
    if wait is not None and wait > _LONGEST_WAIT_SECONDS:
        words += f" and asks to wait {wait:.0f} seconds"
    return FetchError(words, is_temporary=code in _BUSY, wait_seconds=wait if code in (429, 503) else None)


def classify(error: BaseException, source: str, fetching: Fetching) -> FetchError:
    """Return an error of any transport as a fault."""
    if isinstance(error, FetchError):
        return error
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return classify(error.reason, source, fetching)
    if isinstance(error, FileNotFoundError) and error.__cause__:  # fsspec's answer to any trouble with HTTP
        return classify(error.__cause__, source, fetching)
    if isinstance(error, socket.gaierror):
        is_temporary = error.errno != socket.EAI_NONAME
        return FetchError("the name of its host cannot be resolved", is_temporary=is_temporary)
    code = getattr(error, "status", None)
    if isinstance(code, int) and code >= 400:
        return status_fault(code)
    said = without_secrets(f"{type(error).__name__}: {error}", source, fetching.headers)
    said = in_short(printable(said.splitlines()[0]), _MOST_CHARACTERS)
    for kind, words, is_temporary in _KINDS:
        if isinstance(error, kind):
            words = words.format(timeout=fetching.timeout_seconds)
            return FetchError(words or said, is_temporary=is_temporary)
    return FetchError(said, is_temporary=type(error).__module__.startswith(_TRANSPORTS))


# Kinds of errors, from the special to the general; the words (empty for the error's own); is it temporary?
_KINDS: list[tuple[type[BaseException], str, bool]] = [
    (http.client.InvalidURL, "it is not a valid URL", False),
    (UnicodeError, "it is not a valid URL", False),
    (TimeoutError, "nothing came for {timeout:g} seconds", True),
    (ssl.SSLCertVerificationError, "", False),
    (FileNotFoundError, "there is no such file", False),
    (PermissionError, "", False),
    (IsADirectoryError, "", False),
    (NotADirectoryError, "", False),
    (FileExistsError, "", False),
    (http.client.HTTPException, "", True),
    (OSError, "", True),
]


def _seconds(retry_after: str | None) -> float | None:
    """Return the wait that a `Retry-After` header asks for, given in seconds or as a date."""
    if not retry_after:
        return None
    if re.fullmatch("[0-9]+", retry_after.strip()):
        return float(retry_after)
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
