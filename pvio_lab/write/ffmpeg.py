"""The ffmpeg program as a child process, fed through a pipe, that never outlives its purpose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from imageio_ffmpeg import get_ffmpeg_exe

from ..base import new_steady_lock, survive_forks
from ..errors import EncodeError

# A pipe of Linux has 64 KiB; with more, the two processes wait for each other less often.
_PIPE_BYTES = 2**20
_MOST_CHARACTERS = 2000
# A process that is started and not yet known to `survive_forks` must not be inherited: nothing would close
# its pipe.
_starting = new_steady_lock()
# A child in a group of its own does not get the interrupt that is meant for Python, which decides what to do.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if sys.platform == "win32"
    else {"start_new_session": True}
)


class Feed:
    """An ffmpeg process that is fed raw bytes.

    `write` and `finish` raise an EncodeError if it has ended before its time, or belongs to another process.

    Args:
        arguments: What stands after the program's name.
        purpose: Its purpose, for error messages: "write clip.mp4".
    """

    def __init__(self, arguments: Sequence[str], purpose: str):
        self._purpose, self._owner = purpose, os.getpid()
        self._complaints = _scratch_file()
        with _starting:
            # Without a buffer: a forked child would write what is in it a second time.
            self._process = start(arguments, stdin=subprocess.PIPE, stderr=self._complaints, bufsize=0)
            assert self._process.stdin
            self._pipe = self._process.stdin
            self._end = weakref.finalize(self, _end, self._process, self._complaints, self._owner)
            survive_forks(self)
        if sys.platform == "linux":
            import fcntl

            with suppress(OSError):
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def write(self, data: memoryview | bytes) -> None:
        """Feed it these bytes, and wait until it has taken them."""
        self._check_owner()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._pipe.write(rest) :]
        except (OSError, ValueError) as error:  # ValueError: another thread has closed the pipe
            raise self._failure() from error

    def finish(self) -> None:
        """Tell it that this was all, and wait for it."""
        self._check_owner()
        try:
            self._pipe.close()
        except OSError as error:
            raise self._failure() from error
        if _wait(self._process):
            raise self._failure()
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._end()

    def after_fork(self) -> None:
        """Close the pipe: a child that held it open would keep ffmpeg waiting for more."""
        self._end.detach()
        self._pipe.close()

    def _check_owner(self) -> None:
        if os.getpid() != self._owner:
            raise EncodeError(
                f"process {os.getpid()} was forked from {self._owner}, which alone may {self._purpose}: "
                "write another file here"
            )

    def _failure(self) -> EncodeError:
        if not self._end.alive:
            return EncodeError(f"ffmpeg was ended before it could {self._purpose}")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        code = self._process.poll()
        self._process.kill()
        self._process.wait()  # both share the place in the file
        self._complaints.seek(max(0, self._complaints.seek(0, os.SEEK_END) - 4 * _MOST_CHARACTERS))
        said = self._complaints.read().decode(errors="replace").strip()
        self.kill()
        return EncodeError(f"ffmpeg could not {self._purpose}: {reason_of_end(said, code)}")


def ffmpeg_program() -> str:
    """Return the path of imageio-ffmpeg's program, or raise EncodeError if there is none."""
    try:
        return str(get_ffmpeg_exe())
    except RuntimeError as error:
        raise _no_program(error) from error


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start imageio-ffmpeg's program, or raise EncodeError if it does not start."""
    command = [ffmpeg_program(), "-hide_banner", "-nostdin", "-v", "error", *arguments]
    try:
        with _starting:
            return subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "SVT_LOG": "1", "AV_LOG_FORCE_NOCOLOR": "1"},  # SVT-AV1 does not obey -v
                **{"stdin": subprocess.DEVNULL, **options},
                **_OWN_GROUP,
            )
    except OSError as error:
        raise _no_program(error) from error


def run(arguments: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Run the program to its end, and return its exit code and what it said; no code if it took longer."""
    process = start(arguments, stderr=subprocess.PIPE)
    try:
        said = process.communicate(timeout=seconds)[1].decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        process.kill()
        process.wait()
    return process.returncode, said


def reason_of_end(said: str, code: int | None) -> str:
    """Return what ffmpeg said, or what its exit code says; it has none while it is running."""
    if len(said) > _MOST_CHARACTERS:
        said = f"... {said[-_MOST_CHARACTERS:]}"
    if code is None:
        return said or "it takes no more, says nothing and does not end"
    if code < 0:
        names = {each.value: each.name for each in signal.Signals}
        ended = f"it was ended by {names.get(-code, f'signal {-code}')}"
        return f"{ended}; {said}" if said else ended
    return said or f"it ended early, with code {code}, and said nothing"


def _scratch_file() -> IO[bytes]:
    """Return a file for complaints: in memory if possible, so that ffmpeg can complain about a full disk."""
    if sys.platform == "linux":
        with suppress(OSError):
            return os.fdopen(os.memfd_create("ffmpeg"), "w+b")
    return tempfile.TemporaryFile()


def _no_program(error: Exception) -> EncodeError:
    return EncodeError(
        f"the ffmpeg program does not start: {error}. It comes with imageio-ffmpeg "
        "(pip install --force-reinstall imageio-ffmpeg), unless IMAGEIO_FFMPEG_EXE names another"
    )


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait in short pieces, because on Windows a longer wait cannot be interrupted."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(0.5)


def _end(process: subprocess.Popen[bytes], complaints: IO[bytes], owner: int) -> None:
    if os.getpid() != owner:
        return
    process.kill()
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()
    process.wait()
    complaints.close()
