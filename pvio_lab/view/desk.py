"""What is saved from a frame browser: marks, the frame that is shown, a range of frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..base.files import free_path
from ..errors import printable
from ..read.identity import identity_of
from ..read.mark_places import marked_video
from .exporter import Exporter, Tell
from .exports import save_frame
from .mark_keeper import MarkKeeper
from .marks import Marks
from .tracks import Track


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
        identity = partial(identity_of, track.reader)
        video = marked_video(track.source, track.path, identity, len(track))
        self.keeper = MarkKeeper(marks, video, tell_saved)
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
