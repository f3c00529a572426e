"""What goes to the page of a frame browser: pictures of the frame it wished for last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from ...base import Latest
from ..static_copy import Keepsake, kept_html
from .source import Shot, Stage

# After so long without a move, the picture is sent once more, exact.
_REST_SECONDS = 0.2
# The server of a notebook keeps the end of a message back until the page has confirmed the message before,
# which may take 40 ms; it does not wait when more is to be sent than a packet holds, and on one machine
# packets are large.
_PUSH_NEAR, _PUSH_FAR = bytes(65_536), bytes(1_500)


class Look(NamedTuple):
    """How frames are shown."""

    number: int
    """The frame that is asked for."""
    by_time: bool
    """Several videos go together by time, else by frame number."""
    is_difference: bool
    """What changed since the frame before is shown."""
    is_playing: bool
    """It plays, and the page confirms each picture."""


class Send(Protocol):
    """Sends a message to the page, with files beside it."""

    def __call__(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Sends it."""


class Screen:
    """Shows frames, in a thread that does only the newest wish.

    Args:
        stage: The videos.
        look: Says how they are shown now.
        send: Brings messages to the page.
        fail: Is told of exceptions.
    """

    def __init__(self, stage: Stage, look: Callable[[], Look], send: Send, fail: Callable[[Exception], None]):
        self._stage, self._look, self._send = stage, look, send
        self.shots: list[Shot] = []
        self.kept = Keepsake(self._kept_html)
        """What a notebook keeps: the frame that is shown, or at first the one that is asked for."""
        self._taken: tuple[int, bool] | None = None
        self._push, self._is_watched = _PUSH_FAR, False
        self._pictures: Latest[int] = Latest(
            self.show, fail, "pvio_lab frames", rest=self._rest, rest_seconds=_REST_SECONDS
        )
        self._strips: Latest[None] = Latest(lambda _: self._show_strip(), fail, "pvio_lab filmstrip")

    def open(self, number: int, *, is_near: bool) -> None:
        """A page is there, on this machine or far away: it gets everything."""
        self._push, self._is_watched = _PUSH_NEAR if is_near else _PUSH_FAR, True
        self.ask(number)
        self._strips.ask(None)

    def ask(self, number: int) -> None:
        """Shows this frame as soon as it can, unless another one is wished before."""
        self._pictures.ask(number)

    def show(self, number: int) -> None:
        """Shows this frame, now."""
        self._take(number)
        self._deliver(is_exact=False)

    def settle(self, seconds: float) -> bool:
        """Waits until there is nothing left to show; False if that takes longer."""
        return self._pictures.settle(seconds)

    def tell_pixel(self, pane: int, x: int, y: int) -> None:
        """What the reader gave at this place of the frame that is shown."""
        if pane < len(self.shots):
            rgb = self.shots[pane].pixels[y, x].tolist()
            self._send({"is": "pixel", "pane": pane, "x": x, "y": y, "rgb": rgb})

    def close(self) -> None:
        """Ends its threads."""
        self._stage.hurry()
        self._pictures.close()
        self._strips.close()

    def _take(self, number: int) -> list[Shot]:
        """The frames to show; those that are there already are not asked for again."""
        wish = number, self._look().by_time
        if wish != self._taken:
            self.shots, self._taken = self._stage.shots(number, by_time=wish[1]), wish
        return self.shots

    def _rest(self) -> None:
        if self.shots and not self._look().is_playing:
            self._deliver(is_exact=True)
            if self._is_watched:
                self.kept.renew()

    def _deliver(self, *, is_exact: bool) -> None:
        look, shots = self._look(), self.shots
        pictures = self._stage.pictures(shots, is_exact=is_exact, is_difference=look.is_difference)
        message = {"is": "picture", "index": shots[0].number, "exact": is_exact, "playing": look.is_playing}
        self._send(message | {"panes": [shot.facts for shot in shots]}, pictures)
        if not look.is_playing:
            self._send({"is": "push"}, [self._push])

    def _show_strip(self) -> None:
        numbers, pictures = self._stage.strip()
        self._send({"is": "strip", "numbers": numbers}, pictures)

    def _kept_html(self) -> str:
        shots = self.shots or self._take(self._look().number)
        named = zip(self._stage.tracks, shots, strict=True)
        frames = ", ".join(f"frame {shot.number} of {track.name}" for track, shot in named)
        words = f"{frames}, at {shots[0].seconds:.3f} s. Run the cell to browse."
        return kept_html(words[0].upper() + words[1:], [shot.pixels for shot in shots])
