"""`browse`: look at the frames of videos, one by one or playing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from .exporter import Exporter
from .exports import save_frame
from .latest import Latest
from .marks import Marks
from .pictures import Pixels
from .player import Player
from .stage import Stage
from .tracks import Shot, Track

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("parts.js", "pane.js", "line.js", "keep.js", "browser.js")
# After so long without a move, the picture is sent once more, exact.
_REST_SECONDS = 0.2
# The server of a notebook keeps the end of a message back until the page has confirmed the message before, which
# may take 40 ms; it does not wait when more is to be sent than a packet holds, and this is more.
_PUSH = bytes(65_536)


def browse(source_or_sources: Any, *, start: int = 0) -> FrameBrowser:
    """Shows the frames of a video, or of several side by side, in a notebook.

    >>> browser = browse("data_samples/gop2.mp4", start=7)
    >>> browser
    FrameBrowser('gop2.mp4', index=7)
    >>> browser.close()

    Args:
        source_or_sources: A path, a URL, an open reader, or a list of them. A list is shown side by side,
            the others at the time of the first, or at its frame number with `browser.lock = "frame"`.
        start: The frame to begin at; a negative one counts from the end.

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
        tracks.extend(map(Track, sources))
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
    _css = _STATIC / "browser.css"

    index = traitlets.Int(0, help="The frame that is shown, of the first video.")
    index.tag(sync=True, echo_update=False)
    playing = traitlets.Bool(False, help="It plays now.").tag(sync=True)
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

    def __init__(self, tracks: list[Track], start: int = 0):
        self._stage, self._shots = Stage(tracks), list[Shot]()
        self._player: Player | None = None
        self.marks = Marks(len(tracks[0]))
        self._marks_path = Path(f"{Path(tracks[0].name).stem}.marks.json")
        self._exporter = Exporter(self._tell, self._note, self._fail)
        first = tracks[0]
        self._pictures: Latest[int] = Latest(
            self._show, self._fail, "pvio_lab frames", rest=self._show_exactly, rest_seconds=_REST_SECONDS
        )
        self._strips: Latest[None] = Latest(lambda _: self._show_strip(), self._fail, "pvio_lab filmstrip")
        super().__init__(
            index=start,
            names=[track.name for track in tracks],
            sizes=[track.size for track in tracks],
            _times=first.times.astype("<f8").tobytes(),
            _keyframes=first.keyframes.astype("<i4").tobytes(),
        )
        self.on_msg(self._on_message)
        self.observe(self._on_move, ["index", "difference", "lock"])
        self.observe(self._on_rate, ["rate", "loop"])
        self.marks.observe(self._send_marks)

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
        self.playing = True
        first = self._stage.tracks[0]
        self._player = Player(
            first, self.index, self.rate, is_looped=self.loop, show=self._show, end=self._on_end
        )
        self._player.start()

    def pause(self) -> None:
        """Stops playing."""
        player, self._player = self._player, None
        if player is not None:
            player.stop()

    def close(self) -> None:
        """Ends what works for this browser, and closes what it opened."""
        self.pause()
        self._stage.hurry()
        self._exporter.close()
        self._pictures.close()
        self._strips.close()
        self._stage.close()
        super().close()

    @traitlets.validate("index")
    def _valid_index(self, proposal: Any) -> int:
        last = len(self._stage.tracks[0]) - 1
        return int(min(max(proposal["value"], 0), last))

    # --- what the page asks for ---

    def _on_message(self, _: Any, content: dict[str, Any], __: Any) -> None:
        try:
            getattr(self, f"_do_{content.pop('do')}")(**content)
        except Exception as error:
            self._fail(error)

    def _do_hello(self) -> None:
        self._send_marks()
        self._pictures.ask(self.index)
        self._strips.ask(None)

    def _do_play(self) -> None:
        self.error = ""
        self.play()

    def _do_pause(self) -> None:
        self.pause()

    def _do_seen(self, index: int) -> None:
        player = self._player
        if player is not None:
            player.seen()

    def _do_pixel(self, pane: int, x: int, y: int) -> None:
        shots = self._shots
        if pane < len(shots):
            rgb = shots[pane].pixels[y, x].tolist()
            self.send({"is": "pixel", "pane": pane, "x": x, "y": y, "rgb": rgb})

    def _do_mark(self, index: int, label: str) -> None:
        self.marks.add_frame(index, label)

    def _do_mark_range(self, start: int, stop: int, label: str) -> None:
        self.marks.add_range(start, stop, label)

    def _do_unmark(self, start: int, stop: int | None, label: str) -> None:
        if stop is None:
            self.marks.remove_frame(start, label)
        else:
            self.marks.remove_range(start, stop, label)

    def _do_rename(self, old: str, new: str) -> None:
        self.marks.rename(old, new)

    def _do_undo(self) -> None:
        self.marks.undo()

    def _do_redo(self) -> None:
        self.marks.redo()

    def _do_save_marks(self) -> None:
        self._note(f"saved: {self.marks.save(self._marks_path)}")

    def _do_load_marks(self) -> None:
        self.marks.replace(Marks.load(self._marks_path, num_frames=len(self._stage.tracks[0])))

    def _do_export(self, start: int, stop: int, path: str) -> None:
        self.error = ""
        self._exporter.start(self.reader, start, stop, path)

    def _do_cancel(self) -> None:
        self._exporter.cancel()

    def _do_save_frame(self) -> None:
        track, number = self._stage.tracks[0], self.index
        path = Path(f"{Path(track.name).stem}_{number:06}.png")
        save_frame(track.reader, number, path)
        self._note(f"saved: {path}")

    # --- what the page gets ---

    def _on_move(self, _: Any) -> None:
        if self._player is None:
            self.error = ""
            self._pictures.ask(self.index)

    def _on_rate(self, _: Any) -> None:
        if self._player is not None:
            self.play()

    def _on_end(self, failure: Exception | None) -> None:
        self._player = None
        shown = self._shots[0].number if self._shots else self.index
        self.index, self.playing = shown, False
        if failure is not None:
            self._fail(failure)
        self._pictures.ask(self.index)

    def _show(self, number: int) -> None:
        self._shots = self._stage.shots(number, by_time=self.lock == "time")
        self._deliver(is_exact=False)

    def _show_exactly(self) -> None:
        if self._shots and self._player is None:
            self._deliver(is_exact=True)

    def _deliver(self, *, is_exact: bool) -> None:
        shots = self._shots
        pictures = self._stage.pictures(shots, is_exact=is_exact, is_difference=self.difference)
        facts = [shot.facts for shot in shots]
        message = {"is": "picture", "index": shots[0].number, "exact": is_exact, "panes": facts}
        self.send(message | {"playing": self._player is not None}, pictures)
        self.send({"is": "push"}, [_PUSH])
        self.send({"is": "push"}, [bytes(65536)])

    def _show_strip(self) -> None:
        numbers, pictures = self._stage.strip()
        self.send({"is": "strip", "numbers": numbers}, pictures)

    def _send_marks(self, _: object = None) -> None:
        marks = self.marks
        self._marks = {
            "frames": [{"index": each.index, "labels": list(each.labels)} for each in marks.frames],
            "ranges": [{"start": each.start, "end": each.end, "label": each.label} for each in marks.ranges],
            "colors": dict(marks.colours),
        }

    def _tell(self, done: int, total: int, *, is_over: bool) -> None:
        self.send({"is": "export", "done": done, "total": total, "isOver": is_over})

    def _note(self, text: str) -> None:
        self.send({"is": "note", "text": text})

    def _fail(self, error: Exception) -> None:
        self.error = f"{type(error).__name__}: {error}"
