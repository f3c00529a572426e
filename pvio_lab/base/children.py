"""Modules of this package as programs of their own, so that whatever crashes, crashes there."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from ..errors import printable


def program(module: str, *arguments: str) -> list[str]:
    """The command that runs a module."""
    return [sys.executable, "-m", module, *arguments]


def environment() -> dict[str, str]:
    """What it has to know to find what this process finds, and no modules by chance in the current folder."""
    search = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": search, "PYTHONSAFEPATH": "1"}


@contextmanager
def ended_after(process: Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kills the process when it takes longer; the event tells whether that has happened."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()


def exit_text(code: int) -> str:
    """-11 -> 'SIGSEGV'; 3 -> 'exit code 3'."""
    names = {-number.value: number.name for number in signal.Signals}
    return names.get(code, f"exit code {code}")


def in_words(error: BaseException) -> str:
    r"""The kind of an error, and the first line of what it says.

    >>> in_words(ImportError("no FFmpeg\nand much more"))
    'ImportError: no FFmpeg'
    """
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {printable(said)}" if said else type(error).__name__
