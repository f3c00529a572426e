"""Any frames at random: planned, on all processors, with a memory of recent frames.

That memory is limited for each reader, and for all of a process together.
"""

from __future__ import annotations

import itertools
import math
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Container
from weakref import WeakSet

import numpy as np
from av.video.frame import VideoFrame

from ...base import abandon, new_rlock, survive_forks, waiting
from ..pool import touch, trim_memory
from .order import Layout, Numbers, Run, plan_runs, share_out
from .rgb import Frame, FrameDecoder, Frames

Rows = dict[int, list[int]]
"""For each frame asked for, the rows of the result it belongs to."""

# Up to this many frames are a step or a jump, not a batch: all that is decoded for them is remembered.
_FEW = 8
# The first jump into a part of the video remembers this many frames before its target; the second, all.
_BEFORE_JUMP = 16
# If a step follows a jump after all, decoding this many frames again is not too much.
_CHEAP = 32
# This many frames after a batch are decoded whole where the decoder needs to see them, as they may be next.
_AHEAD = 64
# A batch follows the one before if it begins so soon after that, and takes one of so many frames.
_GAP = 4

_clock = itertools.count()


class RandomAccess:
    """Any frames of one file, for one thread after the other.

    Args:
        layout: How the frames are reached.
        size: Width and height of the frames.
        decoder: A decoder with all threads, for frames of this size.
        make_decoder: Makes another one, with this many threads.
        threads: How many processors may be used.
        cache_bytes: How much recently decoded frames may take.
        first: A frame that is decoded already, after its number.
    """

    def __init__(
        self,
        layout: Layout,
        size: tuple[int, int],
        decoder: FrameDecoder,
        make_decoder: Callable[[int], FrameDecoder],
        threads: int,
        cache_bytes: int,
        first: tuple[int, VideoFrame] | None,
    ):
        self._layout, self._size, self._threads = layout, size, threads
        self._make_decoder = make_decoder
        self.cache, self._visited = FrameCache(cache_bytes), set[int]()
        self._last_entry, self._has_jumped = -1, False
        self._last_number = -_GAP  # of the last call
        if first is not None:
            self.cache.put(*first)
        # The first one has all threads; the others, one each, work side by side.
        self._decoders = [decoder]
        self.lock = new_rlock()
        touch(self)

    @property
    def num_decoded(self) -> int:
        """Number of frames decoded so far."""
        return sum(each.engine.decoded for each in self._decoders)

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent so far to "seek", "convert" and "copy", added up over threads side by side."""
        return {
            "seek": sum(each.engine.seek_seconds for each in self._decoders),
            "convert": sum(each.converter.seconds for each in self._decoders),
            "copy": sum(each.copy_seconds for each in self._decoders),
        }

    def read(self, numbers: Numbers) -> Frames:
        """Return these frames, in this order, in a new array."""
        width, height = self._size
        frames = np.empty((len(numbers), height, width, 3), np.uint8)
        rows: Rows = {}
        for row, number in enumerate(numbers.tolist()):
            rows.setdefault(number, []).append(row)
        with self.lock:
            try:
                self._fill(rows, frames)
            except BaseException:  # such as an interruption, which may have lost frames just decoded
                for decoder in self._decoders:
                    decoder.reset()
                raise
            finally:
                touch(self)
        return frames

    def rest(self) -> None:
        """Close decoders, threads and files until the next call, unless another thread reads just now."""
        if self.lock.acquire(blocking=False):
            try:
                self._close_decoders()
            finally:
                self.lock.release()

    def close(self) -> None:
        """Close decoders, threads and files, and forget all frames."""
        with self.lock:
            freed = self.cache.num_bytes
            self.cache.clear()
            self._close_decoders()
            trim_memory(freed)

    def _close_decoders(self) -> None:
        for decoder in self._decoders:
            decoder.close()
        # Each holds about this much: some frames to refer to, and some being decoded.
        trim_memory(16 * math.prod(self._size) * len(self._decoders))

    def _fill(self, rows: Rows, frames: Frames) -> None:
        is_batch = len(rows) > _FEW
        missing = rows if is_batch else self._fill_from_cache(rows, frames)
        layout = self._layout
        runs = plan_runs(np.array(list(missing), np.int64), layout.entry, layout.order.packet_of)
        if is_batch and self._follows(rows):
            runs = [Run(runs[0].entry, tuple(sorted(rows)), sum(run.cost for run in runs))]
        self._last_number = max(rows, default=-_GAP)
        stops = self._stops(runs)
        if len(runs) > 1 and self._threads > 1:
            self._fill_side_by_side(runs, missing, frames, stops)
        else:
            for run in runs:
                remember, stop_here = not is_batch, run.entry in stops
                self._fill_run(self._decoders[0], run, missing, frames, remember=remember, stops=stop_here)

    def _follows(self, rows: Rows) -> bool:
        """Return whether frames in order come after those of the last call: then one decoder goes through."""
        first, last = min(rows), max(rows)
        return 0 < first - self._last_number <= _GAP and last - first < _GAP * len(rows)

    def _stops(self, runs: list[Run]) -> set[int]:
        """Return which runs the decoder need not continue from: not the last, unless calls jump about."""
        if not runs:
            return set()
        is_jump = self._last_entry not in (runs[0].entry, -1)
        is_second_jump, self._has_jumped = is_jump and self._has_jumped, is_jump
        self._last_entry = runs[-1].entry
        stops_last = is_second_jump and runs[-1].cost <= _CHEAP
        return {run.entry for run in (runs if stops_last else runs[:-1])}

    def _fill_from_cache(self, rows: Rows, frames: Frames) -> Rows:
        missing: Rows = {}
        for number, places in rows.items():
            frame = self.cache.get(number)
            if frame is None:
                missing[number] = places
            else:
                self._decoders[0].write(frame, places, frames)
        return missing

    def _fill_run(
        self,
        decoder: FrameDecoder,
        run: Run,
        rows: Rows,
        frames: Frames,
        *,
        remember: bool = False,
        stops: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        needed: Container[int] | None
        if remember:
            needed = self._needed(run)
        else:
            ahead = () if stops else range(run.numbers[-1], run.numbers[-1] + _AHEAD)
            needed = frozenset((*run.numbers, *ahead))
        for number, frame in decoder.engine.frames(run.numbers, needed, stops=stops):
            if stop is not None and stop.is_set():
                return
            if remember:
                self.cache.put(number, frame)
            if number in rows:
                decoder.write(frame, rows[number], frames)

    def _needed(self, run: Run) -> Container[int] | None:
        """Return what to decode for a jump: first what the next steps need, then all (None) to scrub."""
        number, num_frames = run.numbers[0], self._layout.entry.size
        if not self.cache.max_bytes:
            return range(number, num_frames)
        if run.entry in self._visited:
            return None
        self._visited.add(run.entry)
        return range(number - _BEFORE_JUMP, num_frames)

    def _fill_side_by_side(self, runs: list[Run], rows: Rows, frames: Frames, stops: set[int]) -> None:
        """Let each thread take the next portion, until none is left or one of them fails."""
        count = min(self._threads, len(runs))
        while len(self._decoders) <= count:
            self._decoders.append(self._make_decoder(1))
        portions: queue.SimpleQueue[list[Run]] = queue.SimpleQueue()
        for portion in share_out(runs, count):
            portions.put(portion)
        stop, errors = threading.Event(), []

        def work(decoder: FrameDecoder) -> None:
            try:
                with decoder.lock:
                    while not stop.is_set():
                        for run in portions.get_nowait():
                            self._fill_run(decoder, run, rows, frames, stops=run.entry in stops, stop=stop)
            except queue.Empty:
                pass
            except BaseException as error:
                errors.append(error)
                stop.set()

        chosen = self._decoders[1 : count + 1]
        threads = [threading.Thread(target=work, args=(decoder,), daemon=True) for decoder in chosen]
        try:
            waiting.start(threads)
            waiting.join(threads)
        finally:
            stop.set()
            waiting.join(threads)
        if errors:
            try:
                raise errors[0]
            finally:
                errors.clear()  # else error and traceback keep each other, and a decoder, alive


class _Together:
    """The caches of a process, and how much they hold together."""

    def __init__(self) -> None:
        # Reentrant: a frame freed while it is held may close a reader, which acquires it again.
        self.lock = new_rlock()
        self.caches: WeakSet[FrameCache] = WeakSet()
        self.num_bytes = 0
        survive_forks(self)

    def after_fork(self) -> None:
        """Empty all caches in the child, but never free their frames, which are of the parent's decoders."""
        self.caches = WeakSet(list(self.caches))
        for cache in self.caches:
            abandon(cache.frames)
            cache.frames, cache.num_bytes = OrderedDict(), 0
        self.num_bytes = 0


_together = _Together()


class FrameCache:
    """The frames used most recently. They are kept in the format of the codec, half as large as RGB.

    Args:
        max_bytes: How much the frames may take together; 0 keeps none. All caches together hold no more than
            the largest of them may.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes, self.num_bytes = max_bytes, 0
        self.frames: OrderedDict[int, tuple[Frame, int]] = OrderedDict()
        self._last_used = 0
        self._together = _together  # when the program ends, the module may be gone before this
        with _together.lock:
            _together.caches.add(self)

    def get(self, number: int) -> Frame | None:
        """Return the frame, if it is still here."""
        with self._together.lock:
            self._last_used = next(_clock)
            if number not in self.frames:
                return None
            self.frames.move_to_end(number)
            return self.frames[number][0]

    def put(self, number: int, frame: Frame) -> None:
        """Keep a frame; others may have to go, even those of other caches."""
        size = frame_bytes(frame)
        if size > self.max_bytes:
            return
        with self._together.lock:
            self._last_used = next(_clock)
            if number in self.frames:
                self._count(-self.frames.pop(number)[1])
            self.frames[number] = frame, size
            self._count(size)
            while self.num_bytes > self.max_bytes:
                self._count(-self.frames.popitem(last=False)[1][1])
            if self._together.num_bytes > self.max_bytes:
                self._empty_others()

    def clear(self) -> None:
        """Forget all frames."""
        with self._together.lock:
            self._count(-self.num_bytes)
            self.frames.clear()

    def __del__(self) -> None:
        self.clear()

    def _empty_others(self) -> None:
        """Empty the caches not used for longest, until all together hold no more than the largest may."""
        limit = max(each.max_bytes for each in self._together.caches)
        others = [each for each in self._together.caches if each is not self]
        for each in sorted(others, key=lambda other: other._last_used):
            if self._together.num_bytes > limit:
                each.clear()

    def _count(self, num_bytes: int) -> None:
        self.num_bytes += num_bytes
        self._together.num_bytes += num_bytes


def frame_bytes(frame: Frame) -> int:
    """Return how much memory the pixels of a decoded frame take."""
    return frame.nbytes if isinstance(frame, np.ndarray) else sum(plane.buffer_size for plane in frame.planes)
