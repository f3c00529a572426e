"""Pictures of the frame that the page of a frame browser asked for last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from ...base import Latest
from ..html import StaticCopy, static_html
from .source import FrameSource, Shot

# After so long without a move, the picture is sent once more, exact.
_REST_SECONDS = 0.2
# The server of a notebook holds the end of a message back until the page has confirmed the message before,
# which may take 40 ms. It does not wait if it has more to send than a packet holds; packets within one
# machine are large.
_PUSH_NEAR, _PUSH_FAR = bytes(65_536), bytes(1_500)


class Look(NamedTuple):
    """The way in which frames are shown."""

    number: int
    """The frame that is asked for."""
    by_time: bool
    """Several videos go together by time, else by frame number."""
    is_difference: bool
    """The changes since the frame before are shown."""
    is_playing: bool
    """The video plays, and the page confirms each picture."""


class Send(Protocol):
    """A function that sends a message to the page, with files beside it."""

    def __call__(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send a message."""


class PictureSender:
    """Sends pictures of frames, in a thread that drops all but the newest request.

    Args:
        source: The videos.
        look: Returns the way in which they are shown now.
        send: Sends messages to the page.
        fail: Called with exceptions.
    """

    def __init__(
        self, source: FrameSource, look: Callable[[], Look], send: Send, fail: Callable[[Exception], None]
    ):
        self._source, self._look, self._send = source, look, send
        self.shots: list[Shot] = []
        self.copy = StaticCopy(self._static_html)
        """The copy for a notebook: the frame that is shown, or at first the one that is asked for."""
        self._taken: tuple[int, bool] | None = None
        self._push, self._is_watched = _PUSH_FAR, False
        self._pictures: Latest[int] = Latest(
            self.show, fail, "pvio_lab frames", rest=self._rest, rest_seconds=_REST_SECONDS
        )
        self._strips: Latest[None] = Latest(lambda _: self._show_strip(), fail, "pvio_lab filmstrip")

    def open(self, number: int, *, is_near: bool) -> None:
        """Send everything to a new page, which is on this machine or far away."""
        self._push, self._is_watched = _PUSH_NEAR if is_near else _PUSH_FAR, True
        self.ask(number)
        self._strips.ask(None)

    def ask(self, number: int) -> None:
        """Show this frame as soon as possible, unless another one is asked for before."""
        self._pictures.ask(number)

    def show(self, number: int) -> None:
        """Show this frame now."""
        self._take(number)
        self._deliver(is_exact=False)

    def settle(self, seconds: float) -> bool:
        """Wait until there is nothing left to show; False if that takes longer."""
        return self._pictures.settle(seconds)

    def send_pixel(self, pane: int, x: int, y: int) -> None:
        """Send the value of a pixel of the frame that is shown, as the reader returned it."""
        if pane < len(self.shots):
            rgb = self.shots[pane].pixels[y, x].tolist()
            self._send({"is": "pixel", "pane": pane, "x": x, "y": y, "rgb": rgb})

    def close(self) -> None:
        """End the threads."""
        self._source.hurry()
        self._pictures.close()
        self._strips.close()

    def _take(self, number: int) -> list[Shot]:
        """Return the frames to show; the source is not asked twice for the same ones."""
        wanted = number, self._look().by_time
        if wanted != self._taken:
            self.shots, self._taken = self._source.shots(number, by_time=wanted[1]), wanted
        return self.shots

    def _rest(self) -> None:
        if self.shots and not self._look().is_playing:
            self._deliver(is_exact=True)
            if self._is_watched:
                self.copy.update()

    def _deliver(self, *, is_exact: bool) -> None:
        look, shots = self._look(), self.shots
        pictures = self._source.pictures(shots, is_exact=is_exact, is_difference=look.is_difference)
        message = {"is": "picture", "index": shots[0].number, "exact": is_exact, "playing": look.is_playing}
        self._send(message | {"panes": [shot.facts for shot in shots]}, pictures)
        if not look.is_playing:
            self._send({"is": "push"}, [self._push])

    def _show_strip(self) -> None:
        numbers, pictures = self._source.strip()
        self._send({"is": "strip", "numbers": numbers}, pictures)

    def _static_html(self) -> str:
        shots = self.shots or self._take(self._look().number)
        named = zip(self._source.tracks, shots, strict=True)
        frames = ", ".join(f"frame {shot.number} of {track.name}" for track, shot in named)
        words = f"{frames}, at {shots[0].seconds:.3f} s. Run the cell to browse."
        return static_html(words[0].upper() + words[1:], [shot.pixels for shot in shots])
