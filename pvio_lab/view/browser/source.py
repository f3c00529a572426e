"""Videos side by side as the frame browser needs them: frames by number or time, and pictures of them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from ...read import Fetching, FrameReader, frames_at, open_video
from ..stills import Pixels, difference, jpeg, opened, png, spread, stills, to_jpeg

_STRIP_TILES, _STRIP_SIZE = 12, (192, 48)


class FrameSource:
    """Frames of some videos side by side.

    Args:
        tracks: The videos; the first one leads.
    """

    def __init__(self, tracks: list[Track]):
        self.tracks = tracks
        self._strip: dict[int, bytes] = {}
        self._is_ending = threading.Event()

    def shots(self, number: int, *, by_time: bool) -> list[Shot]:
        """Return a frame of the first video, and of each other one that at its time, or of its number."""
        first, *others = self.tracks
        shot = first.shot(number)
        return [shot, *(each.shot(each.number_at(shot.seconds) if by_time else number) for each in others)]

    def pictures(self, shots: list[Shot], *, is_exact: bool, is_difference: bool) -> list[bytes]:
        """Return frames as files: PNG if they have to be exact, else JPEG."""
        encode = png if is_exact else jpeg
        return [
            encode(track.changes(shot) if is_difference else shot.pixels)
            for track, shot in zip(self.tracks, shots, strict=True)
        ]

    def strip(self) -> tuple[list[int], list[bytes]]:
        """Return small pictures along the first video, from a decoder of their own: nobody waits for it."""
        track = self.tracks[0]
        if not self._strip:
            with opened(track.path) as reader:
                for number in spread(reader, min(_STRIP_TILES, len(track))).tolist():
                    if self._is_ending.is_set():
                        break
                    (still,) = stills(reader, [number], _STRIP_SIZE)
                    self._strip[number] = to_jpeg(still.picture, 75)
        return list(self._strip), list(self._strip.values())

    def hurry(self) -> None:
        """Stop making small pictures; they will not be needed."""
        self._is_ending.set()

    def close(self) -> None:
        """Close the readers that were opened here."""
        for track in self.tracks:
            track.close()


@dataclass(frozen=True)
class Shot:
    """A frame with its facts."""

    number: int
    """Its number in the video."""
    seconds: float
    """The time at which it appears."""
    is_keyframe: bool
    """Decoding can begin there."""
    num_decoded: int
    """The number of frames that had to be decoded for it."""
    pixels: Pixels
    """`(H, W, 3)`."""

    @property
    def facts(self) -> dict[str, Any]:
        """Everything but the pixels, for a page."""
        height, width, _ = self.pixels.shape
        about = {"number": self.number, "seconds": self.seconds, "keyframe": self.is_keyframe}
        return about | {"decoded": self.num_decoded, "width": width, "height": height}


class Track:
    """One video of a browser.

    Args:
        source: A path or URL, which is opened, and closed by `close`; or an open reader, which stays open.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.
    """

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
        return Shot(
            number,
            float(self.times[number]),
            bool(place < len(self.keyframes) and self.keyframes[place] == number),
            self._num_decoded() - before,
            pixels,
        )

    def changes(self, shot: Shot) -> Pixels:
        """Return what is different in this frame from the one before."""
        return difference(shot.pixels, self.reader[max(shot.number - 1, 0)])

    def close(self) -> None:
        """Close the reader, if it was opened here."""
        if self._is_mine:
            self.reader.close()

    def _num_decoded(self) -> int:
        return int(getattr(self.reader, "num_decoded", 0))  # images have none
