"""Frame numbers become pixels in one array: planned, on all processors, with a memory of recent frames."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Container, Generator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...base import new_lock, new_rlock, waiting
from ..frames import Frames
from ..pool import give_back, is_used
from .frame_cache import FrameCache
from .index import Layout
from .plan import Run, plan_runs, share_out
from .pyav import Engine, PyAVEngine
from .rgb import Converter, Turn

Numbers = NDArray[np.int64]
Rows = dict[int, list[int]]
"""For each frame asked for, the rows of the result it belongs to."""

# Up to this many frames are a step or a jump, not a batch: all that is decoded for them is remembered.
FEW = 8
# After a jump into a part of the video, this many frames before it are remembered; after the second, all.
_BEFORE_JUMP = 16


class Lane:
    """What one thread at a time needs to read frames."""

    def __init__(self, engine: Engine, converter: Converter):
        self.engine, self.converter = engine, converter
        # A thread that works for an interrupted call may still be about to end.
        self.lock = new_lock()

    def reset(self) -> None:
        """The next read begins anew."""
        with self.lock:
            self.engine.reset()

    def close(self) -> None:
        """Gives decoder and file back."""
        with self.lock:
            self.engine.close()
            self.converter.rest()


class Geometry(NamedTuple):
    """What becomes of a decoded frame on its way to the result."""

    size: tuple[int, int]
    """Width and height of the result."""
    turn: Turn
    """How frames are turned that do not say it themselves."""


class Fetcher:
    """Reads frames of one file, for one thread after the other.

    Args:
        layout: How the frames are reached.
        geometry: Size of the result, and how frames are turned.
        threads: How many processors may be used.
        cache_bytes: How much recently decoded frames may take.
        make_engine: Makes an engine that decodes with so many threads.
    """

    def __init__(
        self,
        layout: Layout,
        geometry: Geometry,
        threads: int,
        cache_bytes: int,
        make_engine: Callable[[Layout, int], Engine],
    ):
        self._layout, self._geometry, self._threads, self._make_engine = (
            layout,
            geometry,
            threads,
            make_engine,
        )
        self._cache_bytes, self.cache = cache_bytes, FrameCache(cache_bytes)
        self._wide: Lane | None = None
        self._narrow: list[Lane] = []
        self.lock = new_rlock()
        self._visited: set[int] = set()

    @property
    def num_decoded(self) -> int:
        """How many frames were decoded so far."""
        return sum(lane.engine.decoded for lane in self._lanes())

    @property
    def convert_seconds(self) -> float:
        """How long it took so far to turn decoded frames into RGB; threads side by side are added up."""
        return sum(lane.converter.seconds for lane in self._lanes())

    def read(self, numbers: Numbers) -> Frames:
        """These frames, in this order, in a new array."""
        width, height = self._geometry.size
        frames = np.empty((len(numbers), height, width, 3), np.uint8)
        rows: Rows = {}
        for row, number in enumerate(numbers.tolist()):
            rows.setdefault(number, []).append(row)
        with self.lock:
            try:
                self._fill(rows, frames)
            except BaseException:  # also an interruption, which may have lost frames that were just decoded
                for lane in self._lanes():
                    lane.reset()
                raise
            finally:
                self.cache.share()
                is_used(self)
        return frames

    def adopt(self, engine: Engine) -> None:
        """Uses an engine that is open already."""
        self._wide = Lane(engine, self._converter())
        is_used(self)

    def rest(self) -> None:
        """Gives decoders, threads and files back until the next call."""
        for lane in self._lanes():
            lane.close()
        give_back(_frames_held(self._geometry) * len(self._lanes()))

    def close(self) -> None:
        """Gives everything back."""
        with self.lock:
            freed = self.cache.num_bytes
            self.cache.clear()
            self.rest()
            give_back(freed)

    def _converter(self) -> Converter:
        return Converter(self._geometry.size, self._geometry.turn)

    def _lanes(self) -> list[Lane]:
        return [*([self._wide] if self._wide else []), *self._narrow]

    def _fill(self, rows: Rows, frames: Frames) -> None:
        missing = dict(rows) if len(rows) > FEW else self._fill_from_cache(rows, frames)
        wanted = np.array(sorted(missing), np.int64)
        runs = plan_runs(wanted, self._layout.entry, self._layout.order.packet_of)
        if len(runs) > 1 and self._threads > 1:
            self._fill_side_by_side(runs, missing, frames)
        elif runs:
            if self._wide is None:
                self._wide = Lane(self._make_engine(self._layout, self._threads), self._converter())
            for run in runs:
                self._fill_run(self._wide, run, missing, frames, remember=len(rows) <= FEW)

    def _fill_from_cache(self, rows: Rows, frames: Frames) -> Rows:
        missing: Rows = {}
        converter = self._wide.converter if self._wide else self._converter()
        for number, places in rows.items():
            frame = self.cache.get(number)
            if frame is None:
                missing[number] = places
            else:
                frames[places] = converter.convert(frame)
        return missing

    def _fill_run(
        self,
        lane: Lane,
        run: Run,
        rows: Rows,
        frames: Frames,
        *,
        remember: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        needed = self._needed_for_steps(run) if remember else frozenset(run.numbers)
        for number, frame in lane.engine.frames(run.numbers, needed):
            if stop is not None and stop.is_set():
                return
            if remember:
                self.cache.put(number, frame)
            places = rows.get(number)
            if places is not None:
                pixels = lane.converter.convert(frame)
                for place in places:
                    frames[place] = pixels

    def _needed_for_steps(self, run: Run) -> Container[int] | None:
        """What to decode for a jump: at first what the next steps need, then everything for scrubbing."""
        if not self._cache_bytes:
            return range(run.numbers[0], len(self._layout.entry))
        if run.entry in self._visited:
            return None
        self._visited.add(run.entry)
        return range(run.numbers[0] - _BEFORE_JUMP, len(self._layout.entry))

    def _fill_side_by_side(self, runs: list[Run], rows: Rows, frames: Frames) -> None:
        """Each thread takes the next portion, until there are none or one of them fails."""
        count = min(self._threads, len(runs))
        while len(self._narrow) < count:
            self._narrow.append(Lane(self._make_engine(self._layout, 1), self._converter()))
        portions: queue.SimpleQueue[list[Run]] = queue.SimpleQueue()
        for portion in share_out(runs, count):
            portions.put(portion)
        stop, errors = threading.Event(), []

        def work(lane: Lane) -> None:
            try:
                with lane.lock:
                    while not stop.is_set():
                        for run in portions.get_nowait():
                            self._fill_run(lane, run, rows, frames, stop=stop)
            except queue.Empty:
                pass
            except BaseException as error:
                errors.append(error)
                stop.set()

        threads = [threading.Thread(target=work, args=(lane,), daemon=True) for lane in self._narrow[:count]]
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


def stream(layout: Layout, geometry: Geometry, threads: int, numbers: Numbers) -> Generator[Frames]:
    """Frames in order, each decoded when it is asked for, with a decoder of its own."""
    # Some threads more than processors, so that none is idle while this one converts.
    engine = PyAVEngine(layout, threads + 2 if threads > 1 else 1)
    converter = Converter(geometry.size, geometry.turn)
    asked, last = numbers.tolist(), -1
    wanted = frozenset(asked)
    try:
        for number, frame in engine.frames(asked, wanted):
            if number in wanted and number > last:
                last = number
                yield converter.convert(frame)
    finally:
        engine.close()


def _frames_held(geometry: Geometry) -> int:
    """About how much memory a decoder holds: some frames to refer to, and some on their way."""
    return 16 * geometry.size[0] * geometry.size[1]
