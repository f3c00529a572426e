"""The ffmpeg program as a child that is fed through a pipe, and never outlives what it was made for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from imageio_ffmpeg import get_ffmpeg_exe

from ..errors import EncodeError
from ..read.forking import survive_forks

# A pipe of Linux has 64 KiB; with more, the two processes wait for each other less often.
_PIPE_BYTES = 2**20
_MOST_WORDS = 2000
# A child of its own group does not hear the interrupt that is meant for Python, which decides what to do.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if sys.platform == "win32"
    else {"start_new_session": True}
)


class Feed:
    """An ffmpeg process that takes raw bytes.

    Args:
        arguments: What stands after the program's name.
        purpose: What it does, for error messages: "write clip.mp4".

    Raises:
        EncodeError: There is no ffmpeg program.
    """

    def __init__(self, arguments: Sequence[str], purpose: str):
        self._purpose = purpose
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = start(arguments, stdin=subprocess.PIPE, stderr=self._words)
        self._end = weakref.finalize(self, _end, self._process, self._words, os.getpid())
        self._grow_pipe()
        survive_forks(self)

    def write(self, data: memoryview | bytes) -> None:
        """Gives it these bytes; waits until it has taken them.

        Raises:
            EncodeError: It has ended before its time.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(data)
        except (OSError, ValueError) as error:
            raise self._failure() from error

    def finish(self) -> None:
        """Tells it that this was all, and waits for it.

        Raises:
            EncodeError: It did not succeed.
        """
        assert self._process.stdin
        try:
            self._process.stdin.close()
        except OSError as error:
            raise self._failure() from error
        if _wait(self._process):
            raise self._failure()
        self.kill()

    def kill(self) -> None:
        """Ends it at once."""
        self._end()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def after_fork(self) -> None:
        """A child that held the pipe open would keep ffmpeg waiting for more."""
        self._end.detach()
        if self._process.stdin:
            with suppress(OSError):
                os.close(self._process.stdin.detach().detach())  # type: ignore[attr-defined]

    def _failure(self) -> EncodeError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        code = self._process.poll()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip()
        self.kill()
        return EncodeError(f"ffmpeg could not {self._purpose}: {last_words(words, code)}")

    def _grow_pipe(self) -> None:
        if sys.platform == "linux":
            import fcntl

            assert self._process.stdin
            with suppress(OSError):
                fcntl.fcntl(self._process.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def ffmpeg_program() -> str:
    """The path of imageio-ffmpeg's program.

    Raises:
        EncodeError: There is none.
    """
    try:
        return str(get_ffmpeg_exe())
    except RuntimeError as error:
        raise _no_program(error) from error


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts imageio-ffmpeg's program.

    Raises:
        EncodeError: There is none, or it does not start.
    """
    try:
        return subprocess.Popen(
            [ffmpeg_program(), "-hide_banner", "-nostdin", "-v", "error", *arguments],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SVT_LOG": "1", "AV_LOG_FORCE_NOCOLOR": "1"},  # SVT-AV1 talks on its own
            **{"stdin": subprocess.DEVNULL, **options},
            **_OWN_GROUP,
        )
    except OSError as error:
        raise _no_program(error) from error


def last_words(words: str, code: int | None) -> str:
    """What ffmpeg said, or what can be told from how it ended."""
    if words:
        return words if len(words) <= _MOST_WORDS else f"... {words[-_MOST_WORDS:]}"
    if code is not None and code < 0:
        return f"it was ended by signal {-code}"
    return f"it ended with code {code} and said nothing"


def _no_program(error: Exception) -> EncodeError:
    return EncodeError(
        f"the ffmpeg program does not start: {error}. It comes with imageio-ffmpeg "
        "(pip install --force-reinstall imageio-ffmpeg), unless IMAGEIO_FFMPEG_EXE names another"
    )


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Waits in short pieces, because on Windows a longer wait cannot be interrupted."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(0.5)


def _end(process: subprocess.Popen[bytes], words: IO[bytes], owner: int) -> None:
    if os.getpid() != owner:
        return
    if process.poll() is None:
        process.kill()
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()
    process.wait()
    words.close()
