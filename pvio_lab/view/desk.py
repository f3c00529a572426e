"""What is saved from a frame browser: marks, the frame that is shown, a range of frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import printable
from .exporter import Exporter, Tell
from .exports import save_frame
from .marks import Marks
from .tracks import Track


class Desk:
    """Files of one video, in the folder where the notebook works.

    Args:
        track: The video.
        marks: Its marks.
        tell: Is told how far an export is.
        note: Is told in words what was saved.
        fail: Is told of an exception in an export.
    """

    def __init__(
        self,
        track: Track,
        marks: Marks,
        tell: Tell,
        note: Callable[[str], None],
        fail: Callable[[Exception], None],
    ):
        self._track, self._marks, self._note = track, marks, note
        self._exporter = Exporter(tell, note, fail)
        self._stem = Path(track.name).stem

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
            "save_marks": self.save_marks,
            "load_marks": self.load_marks,
            "save_frame": self.save_frame,
            "export": self.export,
            "cancel": self._exporter.cancel,
        }

    @property
    def marks_path(self) -> Path:
        """Where the marks are saved."""
        return Path(f"{self._stem}.marks.json")

    def save_marks(self) -> None:
        """Writes the marks."""
        self._note(f"saved: {printable(self._marks.save(self.marks_path))}")

    def load_marks(self) -> None:
        """Reads the marks; those that are there now come back by undoing it."""
        self._marks.replace(Marks.load(self.marks_path, num_frames=len(self._track)))

    def save_frame(self, index: int) -> None:
        """Writes this frame as PNG."""
        path = Path(f"{self._stem}_{index:06}.png")
        save_frame(self._track.reader, index, path)
        self._note(f"saved: {printable(path)}")

    def export(self, start: int, stop: int, path: str) -> None:
        """Begins to write these frames."""
        self._exporter.start(self._track.reader, start, stop, path)

    def wait(self, seconds: float) -> None:
        """Until an export is over, but no longer than this."""
        self._exporter.wait(seconds)

    def close(self) -> None:
        """Cancels an export."""
        self._exporter.close()
