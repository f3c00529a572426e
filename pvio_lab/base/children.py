"""Child processes that answer questions, so that a crash or a hang stays there.

`Child` runs this module as a program, which imports a service and answers one JSON line with another. That
works from notebooks and scripts on every platform.
"""

from __future__ import annotations

import io
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from tempfile import TemporaryFile
from typing import IO, Any

from ..errors import printable
from . import waiting

Answer = Callable[[Any], Any]
# How long loading modules may take, on a slow disk and while other children load theirs.
STARTUP_SECONDS = 120.0
_LOOKS = 100
_PIECE_BYTES = 2**20


class ChildError(Exception):
    """Something went wrong in a child process; the message is its own."""


class Child:
    """A process that answers questions.

    It leads a group of processes, which ends with it; and it ends with this process.

    Args:
        service: The function that makes the answers, as "module:function". It is called there with
            `arguments`, and returns a greeting and a function that turns a question into an answer.
        arguments: Anything that JSON can represent.
        name: Its name in messages.
        folder: The place of its temporary files.
    """

    def __init__(self, service: str, *arguments: Any, name: str = "its process", folder: Path | None = None):
        self._name, self._greeting, self._is_closed = name, list[Any](), False
        self._log = TemporaryFile()  # noqa: SIM115  closed with the process
        self._process = Popen(
            [sys.executable, "-m", __name__, service, json.dumps(arguments)],
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._log,
            env=_environment(folder),
            start_new_session=True,
        )
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._listener = threading.Thread(
            target=_listen, args=(self._process.stdout, self._lines), daemon=True
        )
        waiting.start([self._listener])

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """True until the process has ended."""
        return self._process.poll() is None

    def greeting(self) -> Any:
        """Return its greeting, which comes when it is ready; it is a ChildError if it cannot start."""
        if not self._greeting:
            try:
                self._greeting.append(self._answer(STARTUP_SECONDS))
            except ChildError:
                self.close()
                raise
        return self._greeting[0]

    def ask(self, question: Any, seconds: float, meanwhile: Callable[[], Any] = lambda: None) -> Any:
        """Return the answer to a question that JSON can represent; `meanwhile` is called until it is there.

        Raises:
            ChildError: It raised an exception and lives on, or has crashed, or took too long and was ended.
        """
        self.greeting()
        with suppress(OSError, ValueError):  # a process that has ended does not answer, either
            assert self._process.stdin
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        return self._answer(seconds, meanwhile)

    def close(self, patience: float = 0.0) -> None:
        """End the process and all that it has started, which may clear up for some seconds first.

        Another thread may wait for an answer meanwhile.
        """
        self._is_closed = True
        if patience and self.is_alive:
            self._process.terminate()
            with suppress(TimeoutExpired):
                self._process.wait(patience)
        _end_group(self._process, patience)
        self._process.wait()
        if sys.is_finalizing():  # threads are frozen, and may hold the locks of the pipes
            return
        waiting.join([self._listener])
        for file in (self._process.stdin, self._process.stdout, self._log):
            with suppress(OSError):
                assert file
                file.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _answer(self, seconds: float, meanwhile: Callable[[], Any] = lambda: None) -> Any:
        def look() -> None:
            meanwhile()
            if not self.is_alive:
                self._listener.join(1)
                if self._lines.empty():  # what it has started keeps the pipe open
                    self._lines.put(b"")

        if self._is_closed:
            raise ChildError(f"{self._name} has ended")
        try:
            line = waiting.take(self._lines, seconds, look)
        except TimeoutError:
            self.close()
            raise ChildError(f"stopped: it took longer than {seconds:g} s") from None
        if not line:
            reason = self._startup_error()
            self.close()
            raise ChildError(f"{self._name} crashed ({_exit_text(self._process.returncode)}){reason}")
        found, error = json.loads(line)
        if error is not None:
            raise ChildError(error)
        return found

    def _startup_error(self) -> str:
        """Return why Python did not start; nothing where it did, or crashed."""
        with suppress(TimeoutExpired):
            self._process.wait(5)
        if self._greeting or (self._process.poll() or 0) <= 0:
            return ""
        with suppress(OSError, ValueError):
            self._log.seek(0)
            line = self._log.read().decode(errors="replace").strip().rpartition("\n")[2]
            return f": {printable(line)}" if line else ""
        return ""


def _listen(answers: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    for line in answers:
        lines.put(line)
    lines.put(b"")


def _exit_text(code: int) -> str:
    """Return an exit code as text: -11 -> 'SIGSEGV'; 3 -> 'exit code 3'."""
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"exit code {code}"


def in_words(error: BaseException) -> str:
    r"""Return the kind of an error, and the first line of its message.

    >>> in_words(ImportError("no FFmpeg\nand much more"))
    'ImportError: no FFmpeg'
    """
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {printable(said)}" if said else type(error).__name__


def _environment(folder: Path | None) -> dict[str, str]:
    """Return an environment to find the modules of this process in, but none of the current folder."""
    search = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    places = {} if folder is None else dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    return {**os.environ, "PYTHONPATH": search, "PYTHONSAFEPATH": "1", **places}


def _end_group(process: Popen[bytes], patience: float) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        if patience:
            os.killpg(process.pid, signal.SIGTERM)
            for _ in range(_LOOKS):  # a process that clears up after others ends later than they do
                os.killpg(process.pid, 0)
                time.sleep(patience / _LOOKS)
        os.killpg(process.pid, signal.SIGKILL)


# --- in the child ---


def _serve(service: str, arguments: list[Any]) -> None:
    """Answer questions until the parent ends; what decoders print does not get among the answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Read without a buffer: a worker that is forked meanwhile closes its stdin, and would wait for its lock.
    with os.fdopen(os.dup(0), "rb", buffering=0) as pipe, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        questions: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=_hear, args=(pipe, questions), daemon=True).start()

        def send(found: Any, error: str | None) -> None:
            answers.write(json.dumps([found, error]).encode() + b"\n")
            answers.flush()

        started, error = _tried(_start, service, arguments)
        greeting, answer = started or (None, None)
        send(greeting, error)
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        while error is None:
            send(*_tried(answer, questions.get()))


def _start(service: str, arguments: list[Any]) -> tuple[Any, Answer | None]:
    module, function = service.split(":")
    started: tuple[Any, Answer | None] = getattr(import_module(module), function)(*arguments)
    return started


def _tried(work: Any, *given: Any) -> tuple[Any, str | None]:
    try:
        return work(*given), None
    except Exception as error:  # the parent has to know any of them
        return None, in_words(error)


def _hear(questions: io.FileIO, heard: queue.SimpleQueue[Any]) -> None:
    rest = b""
    while piece := questions.read(_PIECE_BYTES):  # its own lines would come byte by byte
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            heard.put(json.loads(line))
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # the parent has ended, and nobody wants the answer
    os._exit(0)


if __name__ == "__main__":
    try:
        _serve(sys.argv[1], json.loads(sys.argv[2]))
    except KeyboardInterrupt:  # from SIGTERM, so that everything could clear up
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
