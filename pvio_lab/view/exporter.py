"""Writes a range of frames while the notebook goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import printable
from .exports import Cancelled, export_range, free_target


class Tell(Protocol):
    """Is told how far it is."""

    def __call__(self, done: int, total: int, *, is_over: bool) -> None:
        """So many frames are written."""


class Exporter:
    """One export at a time, in a thread of its own.

    Args:
        tell: Is told how far it is.
        note: Is told in words how it ended.
        fail: Is told of an exception.
    """

    def __init__(self, tell: Tell, note: Callable[[str], None], fail: Callable[[Exception], None]):
        self._tell, self._note, self._fail = tell, note, fail
        self._thread: threading.Thread | None = None
        self._is_cancelled = threading.Event()

    def start(self, reader: Any, start: int, stop: int, path: str) -> None:
        """Begin to write these frames; where there is something of this name, to the next one that is free.

        Raises:
            ValueError: It is still at work.
        """
        if self._thread is not None and self._thread.is_alive():
            raise ValueError("an export is running: wait for its end, or cancel it")
        self._is_cancelled.clear()
        self._thread = threading.Thread(
            target=self._work, args=(reader, start, stop, path), name="pvio_lab export", daemon=True
        )
        self._thread.start()

    def cancel(self) -> None:
        """It shall end soon, and leave nothing behind."""
        self._is_cancelled.set()

    def wait(self, seconds: float) -> None:
        """Until it is over, but no longer than this."""
        if self._thread is not None:
            self._thread.join(seconds)

    def close(self) -> None:
        """Cancels it, and waits until nothing is at work any more."""
        self.cancel()
        if self._thread is not threading.current_thread():
            self.wait(10)

    def _work(self, reader: Any, start: int, stop: int, path: str) -> None:
        def progress(done: int, total: int) -> None:
            self._tell(done, total, is_over=False)

        try:
            is_cancelled, target = self._is_cancelled.is_set, free_target(path)
            written = export_range(
                *(reader, start, stop, target), overwrite=False, progress=progress, is_cancelled=is_cancelled
            )
            self._note(f"saved: {printable(written)}")
        except Cancelled:
            self._note("cancelled; nothing was written")
        except Exception as error:
            self._fail(error)
        finally:
            self._tell(0, 1, is_over=True)
