"""The engine over PyAV: numbers of frames become decoded frames, and damage is told from loss."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Container, Iterator, Sequence

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from ...base import abandon, survive_forks
from ...errors import DecodeError, printable
from .decoder import Damage, Decoder, Lost
from .order import Layout

# In damaged files, decoding begins this many packets earlier, to conceal the damage as ffmpeg does.
_BEFORE_DAMAGE = 1000


class PyAVEngine:
    """An engine that continues from where it stands, if that is nearer than the next place to begin.

    It decodes the frames of one file, for one thread at a time.

    Args:
        layout: How the frames of the file are reached.
        threads: How many threads decode.
        container: The file, if it is open already.
        is_careful: For damaged parts: begin long before them, and tolerate errors as ffmpeg does.

    Attributes:
        decoded: Number of frames it has decoded.
        seek_seconds: Time it took to get to the places where decoding began.
    """

    def __init__(
        self,
        layout: Layout,
        threads: int,
        container: InputContainer | None = None,
        *,
        is_careful: bool = False,
    ):
        self._layout, self._is_careful = layout, is_careful
        self._decoder = Decoder(
            layout.mark,
            layout.stream,
            layout.packets,
            1 if layout.order.is_counted else threads,
            is_tolerant=is_careful,
            container=container,
        )
        self._careful: PyAVEngine | None = None
        self._damaged_entries: set[int] = set()
        self.decoded, self.seek_seconds = 0, 0.0
        self.reset()
        survive_forks(self)

    def frames(
        self, numbers: Sequence[int], needed: Container[int] | None = None, *, stops: bool = False
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Yield these frames, whose numbers are sorted, and all that come out before and between them.

        Args:
            numbers: The frames.
            needed: All others may be left out of the decoding; None leaves out none.
            stops: The next frames are elsewhere. A decoder holds frames back until it has seen a few packets
                more; it is drained instead, and cannot continue. The numbers have one place to begin.

        Raises:
            DecodeError: One of them does not come out.
        """
        layout = self._layout
        needed = needed if layout.may_skip else None
        last = int(layout.order.packet_of[list(numbers)].max()) if stops and layout.may_skip else None
        for number in numbers:
            entry = int(layout.entry[number])
            if entry not in self._damaged_entries:
                try:
                    yield from self._up_to(number, needed, last)
                    continue
                except Damage:
                    self._damaged_entries.add(entry)
                    self.reset()
            yield from self._careful_engine()._up_to(number, None)

    def is_sound(self, numbers: Sequence[int]) -> bool:
        """Return whether these frames, sorted and of one place to begin, come out without any damage."""
        last = int(self._layout.order.packet_of[list(numbers)].max()) if self._layout.may_skip else None
        needed = frozenset(numbers) if self._layout.may_skip else None
        try:
            for number in numbers:
                for _ in self._up_to(number, needed, last):
                    pass
        except Damage:
            self.close()
            return False
        return True

    def first_frame(self) -> tuple[int, VideoFrame] | None:
        """Return the first frame that can be decoded, after its number; None if there is none."""
        if not self._layout.entry.size:
            return None
        first = self._peek()
        if first is not None:
            return 0, first
        try:
            return next(self.frames([0]))
        except DecodeError:
            return next(self.all_frames(), None)

    def all_frames(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield every frame that comes out, from first to last, despite all damage."""
        seen: set[int] = set()
        for engine in (self, self._careful_engine()):
            try:
                for number, frame in engine._from_the_start():
                    if number not in seen:
                        seen.add(number)
                        yield number, frame
                return
            except Damage:
                self.reset()

    def reset(self) -> None:
        """Forget where decoding stands, after an interruption."""
        self._begun_at, self._newest, self._is_drained = -1, -1, False
        self._skipped: set[int] = set()
        self._queue: deque[tuple[int, VideoFrame]] = deque()

    def close(self) -> None:
        """Close decoders and files; the engine can be used again."""
        self._decoder.close()
        if self._careful is not None:
            self._careful.close()
        self.reset()

    def after_fork(self) -> None:
        """Forget the frames of the parent's decoder, which renews itself."""
        abandon(self._queue)
        self.reset()

    def _careful_engine(self) -> PyAVEngine:
        if self._careful is None:
            self._careful = PyAVEngine(self._layout, 1, is_careful=True)
        return self._careful

    def _peek(self) -> VideoFrame | None:
        """Return frame 0, decoded alone, which is quickest; None if it does not come."""
        entry = int(self._layout.entry[0])
        if self._layout.order.packet_of[0] != entry:
            return None
        try:
            self._begin(entry)
            self._step(None)
            self._take(self._decoder.flush())
            return dict(self._queue).get(0)
        except (Damage, Lost):
            return None
        finally:
            self.reset()

    def _from_the_start(self) -> Iterator[tuple[int, VideoFrame]]:
        self._begin(0)
        while not self._decoder.ended:
            self._step(None)
            while self._queue:
                self._newest, frame = self._queue.popleft()
                yield self._newest, frame

    def _up_to(
        self, number: int, needed: Container[int] | None, last: int | None = None
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the frames that come out until this one, the last; drain the decoder after packet `last`."""
        if not self._can_continue_to(number):
            self._begin(self._entry(number))
        while self._newest < number:
            try:
                while not (self._queue or self._decoder.ended or self._is_drained):
                    self._step(needed, last)
            except Lost:
                self._begin(self._entry(number))
                continue
            if not self._queue or self._queue[0][0] > number or self._has_lost_frames():
                raise self._missing(number)
            self._newest, frame = self._queue.popleft()
            yield self._newest, frame

    def _has_lost_frames(self) -> bool:
        """Return whether frames that were not skipped are missing: those that refer to them may be wrong."""
        if self._is_careful or self._newest < 0:
            return False
        between = self._layout.order.packet_of[self._newest + 1 : self._queue[0][0]]
        if self._is_drained:
            between = between[between < self._decoder.next_packet]
        return any(packet not in self._skipped for packet in between.tolist())

    def _can_continue_to(self, number: int) -> bool:
        layout = self._layout
        if self._is_drained:
            return any(number == queued for queued, _ in self._queue)
        return (
            0 <= self._begun_at <= layout.entry[number]
            and number > self._newest
            and self._entry(number) <= self._decoder.next_packet
            and layout.order.packet_of[number] not in self._skipped
        )

    def _begin(self, entry: int) -> None:
        self.reset()
        begin = time.perf_counter()
        self._decoder.go_to(entry)
        self.seek_seconds += time.perf_counter() - begin
        self._begun_at, self._counted = entry, 0

    def _step(self, needed: Container[int] | None, last: int | None = None) -> None:
        """Feed one packet, or drain the decoder after packet `last`, and queue the frames that come out."""
        packet = self._decoder.next_packet
        if last is not None and packet > last:
            self._is_drained = True
            self._take(self._decoder.drain())
            return
        skip = needed is not None and self._number_of(packet) not in needed
        if skip:
            self._skipped.add(packet)
        self._take(self._decoder.step(skip=skip))

    def _take(self, frames: list[tuple[int, VideoFrame]]) -> None:
        """Queue the frames that can be relied on, by their numbers."""
        layout = self._layout
        for source, frame in frames:
            self.decoded += 1
            number = self._counted if layout.order.is_counted else self._number_of(source)
            self._counted += 1
            if 0 <= number < len(layout.entry) and self._is_reliable(number):
                self._queue.append((number, frame))

    def _is_reliable(self, number: int) -> bool:
        """Return False for frames that follow the keyframe and refer to frames before it."""
        return self._is_careful or bool(self._layout.entry[number] >= self._begun_at)

    def _entry(self, number: int) -> int:
        entry, starts = int(self._layout.entry[number]), self._layout.starts
        if not self._is_careful:
            return entry
        at = int(np.searchsorted(starts, max(entry - _BEFORE_DAMAGE, 0), side="right")) - 1
        return int(starts[max(at, 0)])

    def _number_of(self, packet: int) -> int:
        """Return the frame of this packet, -1 for none."""
        numbers = self._layout.number_of
        return int(numbers[packet]) if 0 <= packet < len(numbers) else -1

    def _missing(self, number: int) -> Exception:
        if not self._is_careful:
            return Damage(f"frame {number} does not come")
        path = self._layout.mark.path
        return DecodeError(
            f"frame {number} of {printable(path)} cannot be decoded: the file is damaged there"
        )
