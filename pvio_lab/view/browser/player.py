"""Playing in real time: frames that would be late are skipped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ...base import new_condition
from .pictures import Track

# At most so many pictures are sent that the page has not drawn yet.
_MOST_UNSEEN = 4
# A page that is silent for so long is gone, or never confirms anything; then playing goes on without it.
_PATIENCE = 1.0


class Player:
    """One run of playing, in a thread of its own, from the frame `first` to `stop`.

    At the end, the thread calls `end` with the exception that has ended it, if there was one.
    """

    def __init__(
        self,
        track: Track,
        first: int,
        rate: float,
        *,
        is_looped: bool,
        show: Callable[[int], None],
        end: Callable[[Exception | None], None],
    ):
        self._track, self._rate, self._is_looped = track, rate, is_looped
        self._show, self._end = show, end
        self._unseen = 0
        self._state = new_condition()
        self._is_stopped = False
        self._from = float(track.times[0 if first >= len(track) - 1 else first])
        self._thread = threading.Thread(target=self._work, name="pvio_lab player", daemon=True)

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def seen(self) -> None:
        """Note that the page has drawn a picture."""
        with self._state:
            self._unseen = max(0, self._unseen - 1)
            self._state.notify_all()

    def stop(self) -> None:
        """End playing, and wait until nothing more is shown."""
        with self._state:
            self._is_stopped = True
            self._state.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(10)

    def _work(self) -> None:
        failure: Exception | None = None
        try:
            self._play()
        except Exception as error:
            failure = error
        self._end(failure)

    def _play(self) -> None:
        begin, position = time.monotonic(), self._from
        number, shown = self._track.number_at(position), -1
        while not self._is_stopped:
            if number != shown:
                self._show(number)
                shown = number
                with self._state:
                    self._unseen += 1
            self._wait(begin + self._seconds_until(number))
            position = self._from + (time.monotonic() - begin) * self._rate
            if position >= self._track.end:
                if not self._is_looped:
                    if shown != len(self._track) - 1 and not self._is_stopped:
                        self._show(len(self._track) - 1)
                    return
                begin, self._from = time.monotonic(), float(self._track.times[0])
                position = self._from
            number = self._track.number_at(position)

    def _seconds_until(self, number: int) -> float:
        """Return when the frame after this one is due, in seconds since the beginning."""
        track = self._track
        due = float(track.times[number + 1]) if number + 1 < len(track) else track.end
        return (due - self._from) / self._rate

    def _wait(self, due: float) -> None:
        """Wait until that time, and until the page has caught up."""
        with self._state:
            self._state.wait_for(lambda: self._is_stopped, max(0.0, due - time.monotonic()))
            caught_up = self._state.wait_for(
                lambda: self._is_stopped or self._unseen < _MOST_UNSEEN, _PATIENCE
            )
            if not caught_up:
                self._unseen = 0
