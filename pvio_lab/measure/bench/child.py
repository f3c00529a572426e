"""One contender in a process of its own, seen from both sides.

There it can decode behind nobody's back, and its memory is its own. `Child` starts this module as a program
and talks to it in JSON lines, as `measure.child` does; but here whole passes are asked for, which may have
processes of their own. So each child leads a group of processes, which ends with it.
"""

from __future__ import annotations

import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ...base import environment, exit_text, in_words, program
from .media import MB, peak_bytes, tree_bytes

# So long may a task take,
PATIENCE_SECONDS = 900.0
# and so long its end, and that of what it started.
_FAREWELL_SECONDS = 5.0
_FAREWELL_LOOKS = 100
# So often is the memory of a contender and its processes looked at, from here, where it costs it nothing.
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Kind:
    """A kind of contender; its room has them in the table `KINDS`."""

    make: Callable[..., Any]
    """Makes one; its methods are the tasks."""
    module: str = ""
    """What has to import for that."""
    cure: str = ""
    """The command that installs it."""


class Missing(Exception):
    """A contender cannot be loaded; with the reason."""


class Failed(Exception):
    """A contender did not do its task; with the reason."""


class Child:
    """A process that makes one contender and measures what it does.

    Args:
        room: The module that has it in its `KINDS`.
        kind: Under which name.
        arguments: What it is made of.
        folder: Where its temporary files go.
    """

    def __init__(self, room: str, kind: str, arguments: tuple[Any, ...], folder: Path):
        names = {"TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
        self._peak, self._is_known, self._is_closed = 0, False, False
        self._process = subprocess.Popen(
            program("pvio_lab.measure.bench.child", room, kind, json.dumps(arguments)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment(), **names},
            start_new_session=True,
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(self) -> None:
        """Waits until the contender is made.

        Raises:
            Missing: It does not load.
            Failed: It loads, and cannot be made.
        """
        if not self._is_known:
            self._answer()
            self._is_known = True

    def run(self, task: str, *arguments: Any) -> dict[str, float]:
        """What was measured, by unit; the memory as "MB": the most that was resident, of all its processes.

        Raises:
            Missing: The contender does not load.
            Failed: An error, a crash, or it takes much too long.
        """
        self.start()
        assert self._process.stdin
        with suppress(OSError):  # a dead process answers nothing either
            self._process.stdin.write(json.dumps([task, *arguments]).encode() + b"\n")
            self._process.stdin.flush()
        found: dict[str, float] = self._answer()
        return {**found, "MB": max(found["MB"], self._peak / MB)}

    def close(self) -> None:
        """Ends it, and all processes that it started; they may clear up first, but not for long."""
        if self._is_closed:
            return
        self._is_closed = True
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL_SECONDS)
        _end_group(self._process)
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                assert pipe
                pipe.close()

    def _answer(self) -> Any:
        limit = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < limit:
            with suppress(queue.Empty):
                line = self._answers.get(timeout=_SAMPLE_SECONDS)
                break
            self._peak = max(self._peak, tree_bytes(self._process.pid))
            if self._process.poll() is not None and self._answers.empty():
                self._answers.put(b"")  # its workers may keep the pipe open
        else:
            raise Failed(f"stopped: it took longer than {PATIENCE_SECONDS:g} s")
        if not line:
            raise Failed(f"its process crashed ({exit_text(self._process.wait())})")
        answer = json.loads(line)
        if "missing" in answer:
            raise Missing(answer["missing"])
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(b"")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        for _ in range(_FAREWELL_LOOKS):  # what clears up after others ends a moment later than they do
            os.killpg(process.pid, 0)
            time.sleep(_FAREWELL_SECONDS / _FAREWELL_LOOKS)
        os.killpg(process.pid, signal.SIGKILL)


# --- over there ---


def serve(room: str, kind: str, arguments: list[Any]) -> None:
    """The life of a child. What decoders print goes to stderr, so that stdout carries answers only."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Read without a buffer: a worker that is forked meanwhile closes its stdin, and would wait for its lock.
    with os.fdopen(os.dup(0), "rb", buffering=0) as questions, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        tasks: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(questions, tasks), daemon=True).start()
        contender, answer = _made(room, kind, arguments)
        while True:
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()
            task, *given = tasks.get()
            answer = _guarded(contender, task, given)


def _listen(questions: io.FileIO, tasks: queue.SimpleQueue[list[Any]]) -> None:
    for line in questions:
        tasks.put(json.loads(line))
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # the parent is gone, and nobody wants the answer
    os._exit(0)


def _made(room: str, kind: str, arguments: list[Any]) -> tuple[Any, dict[str, Any]]:
    found: Kind = import_module(room).KINDS[kind]
    try:
        if found.module:
            import_module(found.module)
    except Exception as error:  # a broken installation raises anything
        return None, {"missing": in_words(error) + (f"; {found.cure}" if found.cure else "")}
    try:
        return found.make(*arguments), {}
    except Exception as error:
        return None, {"error": in_words(error)}


def _guarded(contender: Any, task: str, given: list[Any]) -> dict[str, Any]:
    try:
        return measured(getattr(contender, task), given)
    except Exception as error:  # whatever a contender raises belongs in its row
        return {"error": in_words(error)}


def measured(work: Callable[..., Any], given: list[Any]) -> dict[str, float]:
    """How long it takes in ms; frames/s where it returns how many it read; or what it measured itself."""
    begin = time.perf_counter()
    found = work(*given)
    seconds = time.perf_counter() - begin
    own = dict(found) if isinstance(found, Mapping) else {}
    rate = {"frames/s": found / seconds} if isinstance(found, int) else {}
    return {"ms": 1e3 * seconds, **rate, "MB": peak_bytes() / MB, **own}


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
