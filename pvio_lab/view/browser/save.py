"""What is saved from a frame browser: marks, the frame that is shown, a range of frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ...base import free_path
from ...errors import printable
from ...marks import MarkKeeper, Marks, marked_video
from .exports import Cancelled, export_range, free_target, save_frame
from .source import Track


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


class Desk:
    """Files of one video: marks beside it, pictures and clips in the folder where the notebook works.

    Args:
        track: The video.
        marks: Its marks.
        tell_saved: Is told how it stands with the marks, as `MarkKeeper` has it.
        tell: Is told how far an export is.
        note: Is told in words what was saved.
        fail: Is told of an exception in an export.
    """

    def __init__(
        self,
        track: Track,
        marks: Marks,
        tell_saved: Callable[[dict[str, Any]], None],
        tell: Tell,
        note: Callable[[str], None],
        fail: Callable[[Exception], None],
    ):
        self._track, self._marks, self._note = track, marks, note
        self._exporter = Exporter(tell, note, fail)
        self._stem = Path(track.name).stem
        self.keeper = MarkKeeper(marks, marked_video(track.reader), tell_saved)
        """Reads and saves the marks."""

    @property
    def answers(self) -> dict[str, Callable[..., object]]:
        """What the page can ask for, by name."""
        marks = self._marks
        return {
            "mark": marks.add_frame,
            "mark_range": marks.add_range,
            "unmark": marks.remove_frame,
            "unmark_range": marks.remove_range,
            "rename": marks.rename,
            "recolour": marks.recolour,
            "undo": marks.undo,
            "redo": marks.redo,
            "save_marks": partial(self.keeper.save, always=True),
            "load_marks": self.keeper.load,
            "answer": self.keeper.answer,
            "save_frame": self.save_frame,
            "export": self.export,
            "cancel": self._exporter.cancel,
        }

    def save_frame(self, index: int) -> None:
        """Write this frame as PNG, under a name that is free."""
        path = free_path(f"{self._stem}_{index:06}.png")
        saved = save_frame(self._track.reader, index, path, overwrite=False)
        self._note(f"saved: {printable(saved)}")

    def export(self, start: int, stop: int, path: str) -> None:
        """Begins to write these frames."""
        self._exporter.start(self._track.reader, start, stop, path)

    def wait(self, seconds: float) -> None:
        """Until an export is over, but no longer than this."""
        self._exporter.wait(seconds)

    def close(self) -> None:
        """Save the marks, and cancel an export."""
        self.keeper.close()
        self._exporter.close()
