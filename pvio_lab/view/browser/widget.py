"""`browse`: look at the frames of videos, one by one or playing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from ...marks import Marks
from ...read import Fetching
from ..static_copy import STYLE
from ..stills import Pixels
from .player import Player
from .save import Desk
from .screen import Look, Screen
from .source import Stage, Track

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("parts.js", "pane.js", "line.js", "keep.js", "browser.js")


def browse(source_or_sources: Any, *, start: int = 0, fetching: Fetching | None = None) -> FrameBrowser:
    """Show the frames of a video, or of several side by side, in a notebook.

    >>> browser = browse("data_samples/gop2.mp4", start=7)
    >>> browser
    FrameBrowser('gop2.mp4', index=7)
    >>> browser.close()

    Marks that were made before are there again: `browser.marks` is read from `<file name>.marks.json` beside
    the (first) video, and saved there a second after each change; in the working folder, for a URL and where
    nothing can be written beside the video. Nothing is replaced that was not read: what others have changed
    meanwhile is joined, and where that cannot be, the widget asks.

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
    """A widget that shows frames. Its attributes move the view, and the view moves them.

    Args:
        tracks: The videos, side by side.
        start: The first frame that is shown.
    """

    _esm = "\n".join((_STATIC / name).read_text("utf-8") for name in _SCRIPTS)
    _css = (_STATIC / "browser.css").read_text("utf-8") + STYLE

    index = traitlets.Int(0, help="The frame that is shown, of the first video.")
    index.tag(sync=True, echo_update=False)
    playing = traitlets.Bool(False, help="It plays; setting it starts or ends that.").tag(sync=True)
    rate = traitlets.Float(1.0, min=0.01, max=64, help="How fast it plays: 1 is real time.").tag(sync=True)
    loop = traitlets.Bool(False, help="After the last frame, playing goes on with the first.").tag(sync=True)
    difference = traitlets.Bool(False, help="Shows what changed since the frame before.").tag(sync=True)
    lock = traitlets.Enum(["time", "frame"], "time", help="What several videos have in common.").tag(
        sync=True
    )
    error = traitlets.Unicode("", help="What went wrong last.").tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sizes: Any = traitlets.List().tag(sync=True)
    _times = traitlets.Bytes(b"").tag(sync=True)
    _keyframes = traitlets.Bytes(b"").tag(sync=True)
    _marks = traitlets.Dict().tag(sync=True)
    _saved = traitlets.Dict(help="How it stands with the file of marks.").tag(sync=True)

    def __init__(self, tracks: list[Track], start: int = 0):
        first = tracks[0]
        self._stage, self._is_closed = Stage(tracks), False
        self._player: Player | None = None
        self._screen = Screen(self._stage, self._look, lambda *parts: self.send(*parts), self._fail)
        self.marks = Marks(len(first))
        self._desk = Desk(first, self.marks, self._tell_saved, self._tell, self._note, self._fail)
        super().__init__(
            index=start,
            names=[track.name for track in tracks],
            sizes=[track.size for track in tracks],
            _times=first.times.astype("<f8").tobytes(),
            _keyframes=first.keyframes.astype("<i4").tobytes(),
            _marks=self.marks.to_dict(),
        )
        self._answers: dict[str, Callable[..., object]] = {
            "hello": self._greet,
            "play": self.play,
            "pause": self.pause,
            "seen": self._seen,
            "pixel": self._screen.tell_pixel,
            **self._desk.answers,
        }
        self.on_msg(self._on_message)
        self.observe(self._on_move, ["index", "difference", "lock"])
        self.observe(self._on_playing, ["playing"])
        self.observe(self._on_rate, ["rate", "loop"])
        self.marks.observe(self._send_marks)
        self._open_marks()

    def __repr__(self) -> str:
        return f"FrameBrowser({', '.join(map(repr, self.names))}, index={self.index})"

    @property
    def reader(self) -> Any:
        """The open reader of the first video."""
        return self._stage.tracks[0].reader

    @property
    def frame(self) -> Pixels:
        """The pixels of the frame that is shown, of the first video: exact, as the reader gives them."""
        return np.array(self.reader[self.index])

    def play(self) -> None:
        """Plays from here in real time; frames it is too late for are skipped."""
        self.pause()
        first, show = self._stage.tracks[0], self._screen.show
        self._player = player = Player(
            first, self.index, self.rate, is_looped=self.loop, show=show, end=self._on_end
        )
        self.error, self.playing = "", True
        player.start()

    def pause(self) -> None:
        """Stops playing."""
        player, self._player = self._player, None
        if player is not None:
            player.stop()

    def close(self) -> None:
        """Ends what works for this browser, and closes what it opened; can be called twice."""
        if self._is_closed:  # ipywidgets calls it once more when the object goes, which may be at any moment
            return
        self._is_closed = True
        self.pause()
        self._desk.close()
        self._screen.close()
        self._stage.close()
        super().close()

    def _ipython_display_(self) -> None:
        self._screen.kept.display(self)

    @traitlets.validate("index")
    def _valid_index(self, proposal: Any) -> int:
        last = len(self._stage.tracks[0]) - 1
        return int(min(max(proposal["value"], 0), last))

    # --- what the page asks for ---

    def _on_message(self, _: Any, content: dict[str, Any], __: Any) -> None:
        try:
            self._answers[content.pop("do")](**content)
        except Exception as error:
            self._fail(error)

    def _greet(self, is_near: bool) -> None:
        self._screen.open(self.index, is_near=is_near)

    def _seen(self) -> None:
        player = self._player
        if player is not None:
            player.seen()

    # --- what has changed ---

    def _on_move(self, _: Any) -> None:
        if self._player is None:
            self.error = ""
            self._screen.ask(self.index)

    def _on_playing(self, change: Any) -> None:
        """It may be set from Python, too."""
        if not change.new:
            self.pause()
        elif self._player is None:
            self.play()

    def _on_rate(self, _: Any) -> None:
        if self._player is not None:
            self.play()

    def _on_end(self, failure: Exception | None) -> None:
        self._player = None
        shots = self._screen.shots
        self.index, self.playing = shots[0].number if shots else self.index, False
        if failure is not None:
            self._fail(failure)
        self._screen.ask(self.index)

    # --- what the page gets ---

    def _look(self) -> Look:
        return Look(self.index, self.lock == "time", self.difference, self._player is not None)

    def _send_marks(self, _: object = None) -> None:
        self._marks = self.marks.to_dict()

    def _open_marks(self) -> None:
        """Read the marks; a fault in their file is shown, and the video all the same."""
        try:
            self._desk.keeper.open()
        except (OSError, ValueError) as error:
            self._fail(error)

    def _tell_saved(self, state: dict[str, Any]) -> None:
        self._saved = state

    def _tell(self, done: int, total: int, *, is_over: bool) -> None:
        self.send({"is": "export", "done": done, "total": total, "isOver": is_over})

    def _note(self, text: str) -> None:
        self.error = ""
        self.send({"is": "note", "text": text})

    def _fail(self, error: Exception) -> None:
        self.error = f"{type(error).__name__}: {error}"
