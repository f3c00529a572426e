"""One child process that decodes files completely, seen from both sides.

`ScanProcess` starts this module as a program, sends it one JSON line a file, and gets one back. That works
from notebooks and scripts on every platform, and whatever a decoder does to its process stays there.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from ..base import ended_after, environment, new_lock, program
from ..errors import VideoError, printable

if TYPE_CHECKING:
    from .reader import VideoReader
    from .sources.options import Fetching

# The fields of a ScanRow, as they are while nothing is known about a file.
UNKNOWN: dict[str, Any] = {
    "ok": False,
    "frames_promised": None,
    "frames_decoded": 0,
    "damaged_frames": (),
    "is_variable_rate": None,
    "engine": None,
    "reason": None,
    "error": None,
}
STARTUP_SECONDS = 120.0
# A process that nobody watches any more ends itself this long after the limit.
GRACE_SECONDS = 5.0


class ScanProcess:
    """A child process that scans one file after another; when it dies, the next file gets a new one."""

    def __init__(self, limit: float, num_threads: int, fetching: Fetching | None = None):
        self._limit, self._num_threads, self._fetching = limit, num_threads, fetching
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = new_lock()

    def scan(self, path: str) -> dict[str, Any]:
        """The fields of the row of this file. RuntimeError: no process can be started, or it is closed."""
        process, begin = self._running(), time.perf_counter()
        # Secrets go through a pipe: arguments and the environment of a process are there for all to see.
        fetching = base64.b64encode(pickle.dumps(self._fetching)).decode()
        job = {"path": path, "limit": self._limit, "num_threads": self._num_threads, "fetching": fetching}
        answer, expired = _ask(process, job, self._limit)
        if expired or answer is None:
            self._end()
        if answer is not None:
            return answer
        error = f"stopped: it took longer than {self._limit:g} s" if expired else _cause_of_death(process)
        return {**UNKNOWN, "path": path, "error": error, "seconds": time.perf_counter() - begin}

    def close(self) -> None:
        """Ends the process, also in the middle of a file that another thread waits for."""
        self._closed = True
        self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process and self._process.poll() is not None:
            self._end()
        return self._process or self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with TemporaryFile() as log:
            with self._lock:
                if self._closed:
                    raise RuntimeError("the scan was stopped")
                process = self._process = _start(log)
            answer, _ = _ask(process, {}, STARTUP_SECONDS)
            if answer is not None:
                return process
            with suppress(subprocess.TimeoutExpired):  # it may be about to say why
                process.wait(GRACE_SECONDS)
            self._end()
            log.seek(0)
            words = log.read().decode(errors="replace").strip().rpartition("\n")[2]
        raise RuntimeError(f"no process can be started to decode in; {sys.executable} says: {words}")

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process and process.stdin and process.stdout:
            process.kill()
            process.wait()
            process.stdout.close()
            with suppress(OSError):
                process.stdin.close()


def _start(log: IO[bytes]) -> subprocess.Popen[bytes]:
    """A worker that finds what this process finds, and no modules by chance in the current folder."""
    return subprocess.Popen(
        program("pvio_lab.read.scan_worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment(),
    )


def _ask(
    process: subprocess.Popen[bytes], job: dict[str, Any], limit: float
) -> tuple[dict[str, Any] | None, bool]:
    """The answer, or None when the process dies before it, and whether it was ended for taking too long."""
    assert process.stdin
    assert process.stdout
    with ended_after(process, limit) as expired:
        with suppress(OSError):  # of a dead process there is nothing to read either
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
        line = process.stdout.readline()
    return json.loads(line) if line.endswith(b"\n") else None, expired.is_set()


def _cause_of_death(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    names = {-number.value: number.name for number in signal.Signals}
    return f"the decoder crashed ({names.get(code, f'exit code {code}')})"


def _serve() -> None:
    """The life of a worker. What decoders print goes to stderr, so that stdout carries answers only."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        from . import shortcuts  # noqa: F401  loads all that decodes, before the first limit counts

        jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
        while True:
            job = jobs.get()
            answers.write(json.dumps(_answer(job) if job else {}).encode() + b"\n")
            answers.flush()


def _listen(jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        jobs.put(json.loads(line))
    os._exit(0)  # the parent is gone, whatever the decoder is doing


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    """The row of one file; this process ends itself where even the threads of Python hang."""
    faulthandler.dump_traceback_later(min(job["limit"] + GRACE_SECONDS, 1e6), exit=True)
    begin = time.perf_counter()
    try:
        facts = _decode(job["path"], job["num_threads"], pickle.loads(base64.b64decode(job["fetching"])))
    except Exception as error:  # whatever is wrong with a file belongs in its row
        facts = {**UNKNOWN, "error": f"{type(error).__name__}: {error}"}
    finally:
        faulthandler.cancel_dump_traceback_later()
    return {"path": job["path"], **facts, "seconds": time.perf_counter() - begin}


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
    """The intact frames, how many come out at all, and what ended the decoding early."""
    intact, decoded = set(), 0
    try:
        for number, is_corrupt in reader.decode_all():
            decoded += 1
            if not is_corrupt:
                intact.add(number)
    except VideoError as error:
        return intact, decoded, f"{type(error).__name__}: {error}"
    return intact, decoded, None


if __name__ == "__main__":
    _serve()
