"""The widget of the frame browser, and `browse`, which opens it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from ...base import free_path
from ...errors import printable
from ...marks import AutoSave, Marks, marked_video
from ...read import Fetching
from ..html import LIVE_STYLE
from ..stills import Pixels
from .export import Export, save_frame
from .pictures import Look, Pictures, Track
from .player import Player

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("keys.js", "pane.js", "timeline.js", "saving.js", "browser.js")


def browse(source_or_sources: Any, *, start: int = 0, fetching: Fetching | None = None) -> FrameBrowser:
    """Show the frames of a video, or of several side by side, in a notebook.

    >>> browser = browse("data_samples/gop2.mp4", start=7)
    >>> browser
    FrameBrowser('gop2.mp4', index=7)
    >>> browser.close()

    Marks that were made before are there again: `browser.marks` is read from `<file name>.marks.json` beside
    the (first) video, and saved there a second after each change; in the working folder for a URL, and where
    nothing can be written beside the video. Nothing is replaced that was not read: changes that others have
    made meanwhile are joined, and where that is impossible, the widget asks.

    Args:
        source_or_sources: A path, a URL, an open reader, or a list of them. A list is shown side by side,
            the others at the time of the first, or at its frame number with `browser.lock = "frame"`.
        start: The frame to begin at; a negative one counts from the end.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        The browser; `browser.index` is the frame that is shown, and moves it.

    Raises:
        IndexError: There is no frame `start`.
        ValueError: There is nothing to show.
    """
    is_many = isinstance(source_or_sources, list | tuple)
    sources = list(source_or_sources) if is_many else [source_or_sources]
    if not sources:
        raise ValueError("there are no videos to show: the list is empty")
    tracks: list[Track] = []
    try:
        tracks.extend(Track(source, fetching) for source in sources)
        first = len(tracks[0])
        if not -first <= start < first:
            raise IndexError(f"there is no frame {start}: {tracks[0].name} has {first}")
        return FrameBrowser(tracks, start % first)
    except BaseException:
        for track in tracks:
            track.close()
        raise


class FrameBrowser(anywidget.AnyWidget):
    """A widget that shows frames. Its attributes follow the view, and the view follows them.

    Args:
        tracks: The videos, side by side.
        start: The first frame that is shown.
    """

    _esm = "\n".join((_STATIC / name).read_text("utf-8") for name in _SCRIPTS)
    _css = (_STATIC / "browser.css").read_text("utf-8") + LIVE_STYLE

    index = traitlets.Int(0, help="The frame of the first video that is shown.")
    index.tag(sync=True, echo_update=False)
    playing = traitlets.Bool(False, help="Whether it plays; setting it starts or ends that.").tag(sync=True)
    rate = traitlets.Float(1.0, min=0.01, max=64, help="The speed of playing; 1 is real time.").tag(sync=True)
    loop = traitlets.Bool(False, help="Whether the first frame follows the last one.").tag(sync=True)
    difference = traitlets.Bool(False, help="Whether changes since the frame before are shown.").tag(
        sync=True
    )
    lock = traitlets.Enum(
        ["time", "frame"], "time", help="What several videos side by side have in common."
    ).tag(sync=True)
    error = traitlets.Unicode("", help="The last error.").tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sizes: Any = traitlets.List().tag(sync=True)
    _times = traitlets.Bytes(b"").tag(sync=True)
    _keyframes = traitlets.Bytes(b"").tag(sync=True)
    _marks = traitlets.Dict().tag(sync=True)
    _saved = traitlets.Dict(help="The state of the file of marks.").tag(sync=True)

    def __init__(self, tracks: list[Track], start: int = 0):
        self._track = first = tracks[0]
        self._is_closed = False
        self._player: Player | None = None
        self._pictures = Pictures(tracks, self._look, lambda *parts: self.send(*parts), self._fail)
        self._export = Export(first.reader, self._tell_progress, self._note, self._fail)
        self.marks = marks = Marks(len(first))
        self._autosave = AutoSave(marks, marked_video(first.reader), self._tell_saved)
        super().__init__(
            index=start,
            names=[track.name for track in tracks],
            sizes=[track.size for track in tracks],
            _times=first.times.astype("<f8").tobytes(),
            _keyframes=first.keyframes.astype("<i4").tobytes(),
            _marks=marks.to_dict(),
        )
        self._actions: dict[str, Callable[..., object]] = {
            "hello": self._greet,
            "play": self.play,
            "pause": self.pause,
            "seen": self._seen,
            "pixel": self._pictures.send_pixel,
            "mark": marks.add_frame,
            "mark_range": marks.add_range,
            "unmark": marks.remove_frame,
            "unmark_range": marks.remove_range,
            "rename": marks.rename,
            "recolour": marks.recolour,
            "undo": marks.undo,
            "redo": marks.redo,
            "save_marks": partial(self._autosave.save, always=True),
            "load_marks": self._autosave.load,
            "answer": self._autosave.answer,
            "save_frame": self._save_frame,
            "export": self._export.start,
            "cancel": self._export.cancel,
        }
        """The actions that the page can ask for, by the `do` of its messages; other items are arguments."""
        self.on_msg(self._on_message)
        self.observe(self._on_move, ["index", "difference", "lock"])
        self.observe(self._on_playing, ["playing"])
        self.observe(self._on_rate, ["rate", "loop"])
        marks.observe(self._send_marks)
        try:
            self._autosave.open()
        except (OSError, ValueError) as error:  # it is shown, and the video as well
            self._fail(error)

    def __repr__(self) -> str:
        return f"FrameBrowser({', '.join(map(repr, self.names))}, index={self.index})"

    @property
    def reader(self) -> Any:
        """The open reader of the first video."""
        return self._track.reader

    @property
    def frame(self) -> Pixels:
        """The pixels of the frame of the first video that is shown: exact, as the reader returns them."""
        return np.array(self.reader[self.index])

    def play(self) -> None:
        """Play from here in real time; frames that would be late are skipped."""
        self.pause()
        show, end = self._pictures.show, self._on_end
        self._player = player = Player(
            self._track, self.index, self.rate, is_looped=self.loop, show=show, end=end
        )
        self.error, self.playing = "", True
        player.start()

    def pause(self) -> None:
        """Stop playing."""
        player, self._player = self._player, None
        if player is not None:
            player.stop()

    def close(self) -> None:
        """End the threads of this browser, and close the readers that it opened; can be called twice."""
        if self._is_closed:  # ipywidgets closes it once more when the object is destroyed, at any moment
            return
        self._is_closed = True
        self.pause()
        self._autosave.close()
        self._export.cancel()
        self._export.wait(10)
        self._pictures.close()
        super().close()

    def _ipython_display_(self) -> None:
        self._pictures.copy.display(self)

    @traitlets.validate("index")
    def _valid_index(self, proposal: Any) -> int:
        return int(min(max(proposal["value"], 0), len(self._track) - 1))

    # --- requests of the page ---

    def _on_message(self, _: Any, content: dict[str, Any], __: Any) -> None:
        try:
            self._actions[content.pop("do")](**content)
        except Exception as error:
            self._fail(error)

    def _greet(self, is_near: bool) -> None:
        self._pictures.open(self.index, is_near=is_near)

    def _seen(self) -> None:
        player = self._player
        if player is not None:
            player.seen()

    def _save_frame(self, index: int) -> None:
        """Write this frame as PNG, under a name that is free, to the working folder."""
        path = free_path(f"{Path(self._track.name).stem}_{index:06}.png")
        self._note(f"saved: {printable(save_frame(self.reader, index, path))}")

    # --- changes of attributes ---

    def _on_move(self, _: Any) -> None:
        if self._player is None:
            self.error = ""
            self._pictures.ask(self.index)

    def _on_playing(self, change: Any) -> None:
        """Play or pause; the attribute may be set from Python, too."""
        if not change.new:
            self.pause()
        elif self._player is None:
            self.play()

    def _on_rate(self, _: Any) -> None:
        if self._player is not None:
            self.play()

    def _on_end(self, failure: Exception | None) -> None:
        self._player = None
        shots = self._pictures.shots
        self.index, self.playing = shots[0].number if shots else self.index, False
        if failure is not None:
            self._fail(failure)
        self._pictures.ask(self.index)

    # --- messages to the page ---

    def _look(self) -> Look:
        return Look(self.index, self.lock == "time", self.difference, self._player is not None)

    def _send_marks(self, _: object = None) -> None:
        self._marks = self.marks.to_dict()

    def _tell_saved(self, state: dict[str, Any]) -> None:
        self._saved = state

    def _tell_progress(self, done: int, total: int, is_over: bool) -> None:
        self.send({"is": "export", "done": done, "total": total, "isOver": is_over})

    def _note(self, text: str) -> None:
        self.error = ""
        self.send({"is": "note", "text": text})

    def _fail(self, error: Exception) -> None:
        self.error = f"{type(error).__name__}: {error}"
