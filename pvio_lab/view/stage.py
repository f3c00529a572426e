"""What a frame browser shows: the frames of its videos that belong together, as pictures for a page."""

from __future__ import annotations

import threading

from .pictures import Pixels, difference, jpeg, png, to_jpeg
from .stills import opened, spread, stills
from .tracks import Shot, Track

_STRIP_TILES, _STRIP_SIZE = 12, (192, 48)


class Stage:
    """Some videos side by side.

    Args:
        tracks: The videos; the first one leads.
    """

    def __init__(self, tracks: list[Track]):
        self.tracks = tracks
        self._strip: dict[int, bytes] = {}
        self._is_ending = threading.Event()

    def shots(self, number: int, *, by_time: bool) -> list[Shot]:
        """This frame of the first video, and of the others those at its time, or of its number."""
        first, *others = self.tracks
        shot = first.shot(number)
        return [shot, *(each.shot(each.number_at(shot.seconds) if by_time else number) for each in others)]

    def pictures(self, shots: list[Shot], *, is_exact: bool, is_difference: bool) -> list[bytes]:
        """They as files: PNG if they have to be exact, else JPEG."""
        encode = png if is_exact else jpeg
        return [
            encode(self._changes(track, shot) if is_difference else shot.pixels)
            for track, shot in zip(self.tracks, shots, strict=True)
        ]

    def strip(self) -> tuple[list[int], list[bytes]]:
        """Small pictures along the first video, by a decoder of their own: nobody waits for it."""
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
        """What is being made will not be needed."""
        self._is_ending.set()

    def close(self) -> None:
        """Closes what was opened for it."""
        for track in self.tracks:
            track.close()

    @staticmethod
    def _changes(track: Track, shot: Shot) -> Pixels:
        return difference(shot.pixels, track.reader[max(shot.number - 1, 0)])
