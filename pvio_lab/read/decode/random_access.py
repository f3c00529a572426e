"""Frame numbers become pixels in one array: planned, on all processors, with a memory of recent frames."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from ...base import new_lock, new_rlock, waiting
from ..pool import touch, trim_memory
from .decord import DecordEngine
from .frame_cache import FrameCache
from .order import Layout, Numbers, Run, plan_runs, share_out
from .pyav import PyAVEngine
from .rgb import Converter, Frame, Picture

Frames = NDArray[np.uint8]
Rows = dict[int, list[int]]
"""For each frame asked for, the rows of the result it belongs to."""

# Up to this many frames are a step or a jump, not a batch: all that is decoded for them is remembered.
_FEW = 8
# After a jump into a part of the video, this many frames before it are remembered; after the second, all.
_BEFORE_JUMP = 16


class FrameDecoder:
    """An engine and a converter, for one thread at a time; it continues from where it stands.

    Args:
        engine: Decodes.
        size: Width and height of the frames.
        picture: The facts of the first frame.
    """

    def __init__(self, engine: PyAVEngine | DecordEngine, size: tuple[int, int], picture: Picture):
        self.engine, self.converter = engine, Converter(size, picture)
        self.copy_seconds = 0.0
        # A thread that works for an interrupted call may be just about to end.
        self.lock = new_lock()

    def frames(
        self,
        numbers: Sequence[int],
        needed: Container[int] | None,
        check: Callable[[], None] | None = None,
    ) -> Iterator[Frames]:
        """Yield the pixels of these frames.

        Args:
            numbers: The frames, in ascending order.
            needed: All others may be left out of the decoding; None leaves out none.
            check: Called after each frame that is decoded; raises to stop.

        Raises:
            DecodeError: One of them cannot be decoded; those after it may be asked for.
        """
        wanted = iter(numbers)
        next_one = next(wanted, None)
        for number, frame in self.engine.frames(numbers, needed):
            if check:
                check()
            if number == next_one:
                yield self.converter.convert(frame)
                next_one = next(wanted, None)

    def write(self, frame: Frame, rows: list[int], frames: Frames) -> None:
        """Convert a frame into rows of an array."""
        pixels = self.converter.convert(frame)
        begin = time.perf_counter()
        for row in rows:
            frames[row] = pixels
        self.copy_seconds += time.perf_counter() - begin

    def reset(self) -> None:
        """Make the next read begin anew."""
        with self.lock:
            self.engine.reset()

    def close(self) -> None:
        """Close decoder and file until the next read."""
        with self.lock:
            self.engine.close()
            self.converter.rest()


class RandomAccess:
    """Any frames of one file, for one thread after the other.

    Args:
        layout: How the frames are reached.
        size: Width and height of the frames.
        make_decoder: Makes a decoder with this many threads, for frames of this size.
        threads: How many processors may be used.
        cache_bytes: How much recently decoded frames may take.
        first: A frame that is decoded already, after its number.
    """

    def __init__(
        self,
        layout: Layout,
        size: tuple[int, int],
        make_decoder: Callable[[int], FrameDecoder],
        threads: int,
        cache_bytes: int,
        first: tuple[int, VideoFrame] | None,
    ):
        self._layout, self._size, self._threads = layout, size, threads
        self._make_decoder = make_decoder
        self.cache, self._visited = FrameCache(cache_bytes), set[int]()
        if first is not None:
            self.cache.put(*first)
        # The first one has all threads; the others, one each, work side by side.
        self._decoders = [make_decoder(threads)]
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
        if len(runs) > 1 and self._threads > 1:
            self._fill_side_by_side(runs, missing, frames)
        else:
            for run in runs:
                self._fill_run(self._decoders[0], run, missing, frames, remember=not is_batch)

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
        stop: threading.Event | None = None,
    ) -> None:
        needed = self._needed(run) if remember else frozenset(run.numbers)
        for number, frame in decoder.engine.frames(run.numbers, needed):
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

    def _fill_side_by_side(self, runs: list[Run], rows: Rows, frames: Frames) -> None:
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
                            self._fill_run(decoder, run, rows, frames, stop=stop)
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
