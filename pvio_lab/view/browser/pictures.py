"""Pictures for the page of a frame browser: which frames of which videos, how exact, and when."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from ...base import Latest
from ...read import Fetching, FrameReader, frames_at, open_video
from ..html import StaticCopy, static_html
from ..stills import Pixels, difference, image_html, jpeg, opened, png, spread, stills, to_jpeg

_STRIP_TILES, _STRIP_SIZE = 12, (192, 48)
# After so long without a move, the picture is sent once more, exact.
_REST_SECONDS = 0.2
# The server of a notebook holds the end of a message back until the page has confirmed the message before,
# which may take 40 ms. It does not wait if it has more to send than a packet holds; packets within one
# machine are large.
_PUSH_NEAR, _PUSH_FAR = bytes(65_536), bytes(1_500)


@dataclass(frozen=True)
class Shot:
    """A frame of one of the videos."""

    number: int
    """Its number in the video."""
    seconds: float
    """The time at which it appears."""
    pixels: Pixels
    """`(H, W, 3)`."""
    facts: dict[str, Any]
    """What a page shows of it: number, seconds, keyframe, width, height, and frames decoded for it."""


class Track:
    """One video of a browser: a path or URL, which `close` closes, or an open reader, which stays open."""

    def __init__(self, source: Any, fetching: Fetching | None = None):
        self._is_mine = isinstance(source, str | PathLike)
        self.reader: FrameReader = open_video(source, fetching=fetching) if self._is_mine else source
        index = getattr(self.reader, "index", None)
        if not len(self.reader):
            raise ValueError(f"{self.reader!r} has no frames to look at")
        times = self.reader.times
        self.times, self.durations = times.pts_seconds, times.duration_seconds
        self.keyframes = np.arange(len(self.reader)) if index is None else index.keyframes
        self.path = str(self.reader.info.path)
        self.name = os.path.basename(self.path.rstrip("/")) or self.path

    def __len__(self) -> int:
        return len(self.times)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return int(self.reader.shape[2]), int(self.reader.shape[1])

    @property
    def end(self) -> float:
        """The time at which the last frame ends."""
        return float(self.times[-1] + self.durations[-1])

    def number_at(self, seconds: float) -> int:
        """Return the frame on screen at this time; before the video the first one, after it the last one."""
        last = np.nextafter(self.times[-1] + max(self.durations[-1], 1e-6), 0)
        return int(frames_at(self.times, self.durations, np.clip(seconds, self.times[0], last)))

    def shot(self, number: int) -> Shot:
        """Return a frame, or the last one if there are not so many."""
        number = min(number, len(self) - 1)
        before = self._num_decoded()
        pixels = self.reader[number]
        place = np.searchsorted(self.keyframes, number)
        seconds = float(self.times[number])
        facts = {
            "number": number,
            "seconds": seconds,
            "keyframe": bool(place < len(self.keyframes) and self.keyframes[place] == number),
            "decoded": self._num_decoded() - before,
            "width": pixels.shape[1],
            "height": pixels.shape[0],
        }
        return Shot(number, seconds, pixels, facts)

    def changes(self, shot: Shot) -> Pixels:
        """Return what is different in this frame from the one before."""
        return difference(shot.pixels, self.reader[max(shot.number - 1, 0)])

    def close(self) -> None:
        """Close the reader, if it was opened here."""
        if self._is_mine:
            self.reader.close()

    def _num_decoded(self) -> int:
        return int(getattr(self.reader, "num_decoded", 0))  # images have none


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


class Pictures:
    """Pictures for a page, sent by a thread that drops all but the newest request.

    Args:
        tracks: The videos, side by side; the first one leads.
        look: Returns the way in which they are shown now.
        send: Sends a message to the page, with files beside it.
        fail: Called with exceptions.
    """

    def __init__(
        self,
        tracks: list[Track],
        look: Callable[[], Look],
        send: Callable[[dict[str, Any], Sequence[bytes]], None],
        fail: Callable[[Exception], None],
    ):
        self._tracks, self._look, self._send = tracks, look, send
        self.shots: list[Shot] = []
        self.copy = StaticCopy(self._static_html)
        """The copy for a notebook: the frame that is shown, or at first the one that is asked for."""
        self._taken: tuple[int, bool] | None = None
        self._push, self._is_watched = _PUSH_FAR, False
        self._strip: dict[int, bytes] = {}
        self._is_ending = threading.Event()
        self._latest: Latest[int] = Latest(
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
        self._latest.ask(number)

    def show(self, number: int) -> None:
        """Show this frame now."""
        self._take(number)
        self._deliver(is_exact=False)

    def settle(self, seconds: float) -> bool:
        """Wait until there is nothing left to show; False if that takes longer."""
        return self._latest.settle(seconds)

    def send_pixel(self, pane: int, x: int, y: int) -> None:
        """Send the value of a pixel of the frame that is shown, as the reader returned it."""
        if pane < len(self.shots):
            rgb = self.shots[pane].pixels[y, x].tolist()
            self._send({"is": "pixel", "pane": pane, "x": x, "y": y, "rgb": rgb}, ())

    def close(self) -> None:
        """End the threads, and close the videos that were opened here."""
        self._is_ending.set()
        self._latest.close()
        self._strips.close()
        for track in self._tracks:
            track.close()

    def _take(self, number: int) -> list[Shot]:
        """Return the frames to show: of the first video, and of others its time or number; each read once."""
        by_time = self._look().by_time
        if (number, by_time) != self._taken:
            first, *others = self._tracks
            shot = first.shot(number)
            numbers = (each.number_at(shot.seconds) if by_time else number for each in others)
            self.shots = [shot, *(each.shot(own) for each, own in zip(others, numbers, strict=True))]
            self._taken = number, by_time
        return self.shots

    def _rest(self) -> None:
        if self.shots and not self._look().is_playing:
            self._deliver(is_exact=True)
            if self._is_watched:
                self.copy.update()

    def _deliver(self, *, is_exact: bool) -> None:
        look, shots, encode = self._look(), self.shots, png if is_exact else jpeg
        pictures = [
            encode(track.changes(shot) if look.is_difference else shot.pixels)
            for track, shot in zip(self._tracks, shots, strict=True)
        ]
        message = {"is": "picture", "index": shots[0].number, "exact": is_exact, "playing": look.is_playing}
        self._send(message | {"panes": [shot.facts for shot in shots]}, pictures)
        if not look.is_playing:
            self._send({"is": "push"}, [self._push])

    def _show_strip(self) -> None:
        """Send small pictures along the first video, from a decoder of their own: nobody waits for it."""
        track = self._tracks[0]
        if not self._strip:
            with opened(track.path) as reader:
                for number in spread(reader, min(_STRIP_TILES, len(track))).tolist():
                    if self._is_ending.is_set():
                        break
                    (still,) = stills(reader, [number], _STRIP_SIZE)
                    self._strip[number] = to_jpeg(still.picture, 75)
        self._send({"is": "strip", "numbers": list(self._strip)}, list(self._strip.values()))

    def _static_html(self) -> str:
        shots = self.shots or self._take(self._look().number)
        named = zip(self._tracks, shots, strict=True)
        frames = ", ".join(f"frame {shot.number} of {track.name}" for track, shot in named)
        text = f"{frames}, at {shots[0].seconds:.3f} s. Run the cell to browse."
        return static_html(text[0].upper() + text[1:], [image_html(shot.pixels) for shot in shots])
