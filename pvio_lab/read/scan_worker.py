"""One child process that decodes whole files, seen from both sides: time limits, crashes, hangs."""

from __future__ import annotations

import base64
import faulthandler
import pickle
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base import Child, ChildError, new_lock
from ..errors import VideoError, printable

if TYPE_CHECKING:
    from .reader import VideoReader
    from .sources.fetching import Fetching

# A process that nobody watches any more ends itself this long after the limit.
GRACE_SECONDS = 5.0


class ScanProcess:
    """A child process that scans one file after another; when it dies, the next file gets a new one.

    Args:
        limit: How many seconds one file may take.
        num_threads: How many threads decode it.
        fetching: How a URL is fetched.
    """

    def __init__(self, limit: float, num_threads: int, fetching: Fetching | None = None):
        self._limit, self._num_threads = limit, num_threads
        # Secrets go through a pipe: arguments and the environment of a process are there for all to see.
        self._fetching = base64.b64encode(pickle.dumps(fetching)).decode()
        self._child: Child | None = None
        self._is_closed, self._lock = False, new_lock()

    def scan(self, path: str) -> dict[str, Any]:
        """Return the fields of the row of this file.

        Raises:
            RuntimeError: No process can be started, or this is closed.
        """
        child, begin = self._running(), time.perf_counter()
        job = [path, self._limit, self._num_threads, self._fetching]
        try:
            found: dict[str, Any] = child.ask(job, self._limit)
        except ChildError as error:
            found = {"ok": False, "error": str(error)}
        return {"path": path, "seconds": time.perf_counter() - begin, **found}

    def close(self) -> None:
        """End the process, even in the middle of a file that another thread waits for."""
        with self._lock:
            self._is_closed = True
        if self._child is not None:
            self._child.close()

    def _running(self) -> Child:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the scan was stopped")
            if self._child is None or not self._child.is_alive:
                if self._child is not None:
                    self._child.close()
                self._child = Child(f"{__name__}:scanner", name="the decoder")
        try:
            self._child.greeting()
        except ChildError as error:
            raise RuntimeError(
                f"no process can be started to decode in; {sys.executable} says: {error}"
            ) from None
        return self._child


# --- in the child ---


def scanner() -> tuple[None, Callable[[list[Any]], dict[str, Any]]]:
    """Load all that decodes, before the first limit counts, and return the function that scans a file."""
    from . import reader, shortcuts  # noqa: F401

    return None, lambda job: _scan(*job)


def _scan(path: str, limit: float, num_threads: int, fetching: str) -> dict[str, Any]:
    """Return what is known of one file; this process ends itself where even the threads of Python hang."""
    faulthandler.dump_traceback_later(min(limit + GRACE_SECONDS, 1e6), exit=True)
    try:
        return _decode(path, num_threads, pickle.loads(base64.b64decode(fetching)))
    except Exception as error:  # anything wrong with a file belongs in its row
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}
    finally:
        faulthandler.cancel_dump_traceback_later()


def _decode(path: str, num_threads: int, fetching: Fetching | None) -> dict[str, Any]:
    from .reader import VideoReader
    from .shortcuts import is_directory

    if is_directory(path, fetching):
        raise FileNotFoundError(f"there are no videos in the directory {printable(path)}")
    with VideoReader(path, num_threads=num_threads, fetching=fetching) as reader:
        intact, decoded, error = _decode_all(reader)
        promise = reader.check_header()
        promised, error = max(promise.num_frames, len(reader)), error or promise.trouble
        damaged = sorted(set(range(promised)) - intact)
        return {
            "ok": not damaged and error is None,
            "frames_promised": promised,
            "frames_decoded": decoded,
            "damaged_frames": damaged,
            "is_variable_rate": reader.info.is_variable_rate,
            "engine": reader.index.engine,
            "reason": reader.index.reason,
            "error": error,
        }


def _decode_all(reader: VideoReader) -> tuple[set[int], int, str | None]:
    """Return the intact frames, how many come out at all, and what ended the decoding early."""
    intact, decoded = set(), 0
    try:
        for number, is_corrupt in reader.decode_all():
            decoded += 1
            if not is_corrupt:
                intact.add(number)
    except VideoError as error:
        return intact, decoded, f"{type(error).__name__}: {error}"
    return intact, decoded, None
