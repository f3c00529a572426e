"""One reader in a process of its own, seen from both sides.

There it can neither crash the notebook, nor decode behind the back of the next reader: a file is opened
before each piece and closed after it. `Child` starts this module as a program and talks to it in JSON lines.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from ..base import ended_after, environment, exit_text, in_words, program
from .peers import PEERS, Peer, load_peer
from .pieces import Piece, Task, run_piece

# So long may loading a reader take, while others load beside it,
STARTUP_SECONDS = 120.0
# and a piece, beyond what it is meant to: one call may have to decode thousands of frames.
PATIENCE_SECONDS = 60.0


class ChildError(Exception):
    """What went wrong over there, in its own words."""


class Child:
    """A process that loads one reader and measures it with so many threads.

    Args:
        name: Which reader.
        threads: How many threads decode.
    """

    def __init__(self, name: str, threads: int):
        self._name, self._threads = name, threads
        self._process: subprocess.Popen[bytes] | None = _start(name, threads)

    def version(self) -> str:
        """The package of the reader and its version; to be asked first.

        Raises:
            ChildError: It does not load; with the first line of why.
        """
        return str(self._answer(STARTUP_SECONDS)["version"])

    def run(self, task: Task) -> Piece:
        """Measures one piece.

        Raises:
            ChildError: The reader fails, crashes, or takes much too long.
        """
        if self._process is None:
            raise ChildError("its process has ended")
        assert self._process.stdin
        with suppress(OSError):  # a dead process answers nothing either
            self._process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
            self._process.stdin.flush()
        return _unpacked(self._answer(10 * task.seconds + PATIENCE_SECONDS))

    def kill(self) -> None:
        """Ends the process under the hands of a thread that waits for its answer; close it, too."""
        if process := self._process:
            process.kill()

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process and process.stdin and process.stdout:
            process.kill()
            process.wait()
            process.stdout.close()
            with suppress(OSError):
                process.stdin.close()

    def _answer(self, limit: float) -> dict[str, Any]:
        assert self._process
        process = self._process
        assert process.stdout
        with ended_after(process, limit) as expired:
            line = process.stdout.readline()
        if not line.endswith(b"\n"):
            self.close()
            is_late = expired.is_set()
            raise ChildError(f"stopped: it took longer than {limit:g} s" if is_late else _death(process))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer


def _start(name: str, threads: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program("pvio_lab.measure.child", name, str(threads)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )


def _death(process: subprocess.Popen[bytes]) -> str:
    return f"its process crashed ({exit_text(process.returncode)})"


def _unpacked(answer: dict[str, Any]) -> Piece:
    prints = np.frombuffer(base64.b64decode(answer["prints"]), np.uint16).reshape(answer["shape"])
    size = (answer["size"][0], answer["size"][1])
    return Piece(**{key: answer[key] for key in _PLAIN}, prints=prints, size=size)


def _packed(piece: Piece) -> dict[str, Any]:
    prints = base64.b64encode(piece.prints.tobytes()).decode()
    plain = {key: getattr(piece, key) for key in _PLAIN}
    return {**plain, "size": piece.size, "shape": piece.prints.shape, "prints": prints}


_PLAIN = ("num_frames", "seconds", "cpu_seconds", "checked", "missing")

# --- over there ---


def serve(name: str, threads: int) -> None:
    """The life of a child. What decoders print goes to stderr, so that stdout carries answers only."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
        answer = _guarded(lambda: {"version": load_peer(name)})
        while True:
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()
            task = Task(**tasks.get())
            answer = _guarded(lambda task=task: _packed(_run(name, threads, task)))


def _listen(tasks: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        tasks.put(json.loads(line))
    os._exit(0)  # the parent is gone, whatever the decoder is doing


def _run(name: str, threads: int, task: Task) -> Piece:
    peer: Peer = PEERS[name].open(task.path, threads)
    try:
        return run_piece(peer, task)
    finally:
        peer.close()


def _guarded(work: Any) -> dict[str, Any]:
    try:
        return dict(work())
    except Exception as error:  # whatever another reader raises belongs in its row
        return {"error": in_words(error)}


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
