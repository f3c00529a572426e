"""`VideoReader`: frame-exact random access to one video file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from os import PathLike
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import not_negative_integer, num_cpus, positive_integer
from .decode.buffers import Recycler
from .decode.decoder import FileMark
from .decode.decord import DecordEngine
from .decode.index import FrameIndex
from .decode.opening import EngineName, open_file
from .decode.pyav import PyAVEngine
from .decode.random_access import Fetcher, Geometry, stream
from .decode.rgb import Turn
from .frames import FrameReader, Frames, ascending, frame_numbers, frame_size, scaled_size
from .info import VideoInfo
from .sidecar import describe
from .sources.fetch import HeldSource
from .sources.options import Fetching
from .sources.urls import has_secrets, is_url, shown
from .times import frames_at


class VideoReader(FrameReader):
    """Frame-exact random access to a video: `reader[i]` is frame i of what the ffmpeg program puts out.

    >>> reader = VideoReader("data_samples/shapes.mp4")
    >>> reader.shape
    (300, 360, 640, 3)
    >>> reader[[7, 3, 3, -1]].shape
    (4, 360, 640, 3)
    >>> bool((reader.at(1.5) == reader[45]).all())
    True
    >>> reader.close()

    Frames are RGB, `uint8`, turned as displayed. A reader may be shared by threads, pickled, and used after a
    fork. It never decodes ahead: between calls it holds its cache and nothing else grows.

    Args:
        source: A video file, or its URL.
        width: The width of the frames; the video's own, or as `height` demands, when left out.
        height: The height of the frames; the video's own, or as `width` demands, when left out.
        num_threads: How many threads decode; one for each processor this process may use when left out.
        cache_bytes: How much memory recently decoded frames may take.
        engine: What random access uses: "decord", "pyav", or "auto" for what is exact and fastest. Passes in
            order (`batches`, iteration) always use PyAV, which does not work ahead.
        fetching: How a URL is fetched, what may be opened, and where downloads are kept; see `Fetching`. The
            reader keeps its own from being removed there until it is closed.

    Raises:
        FileNotFoundError: There is no such file.
        OpenError: It is no video.
        SourceError: The URL cannot be fetched.
        ValueError: An option is out of range, or decord was asked for and would not be exact; it says why.
    """

    def __init__(
        self,
        source: str | PathLike[str],
        *,
        width: int | None = None,
        height: int | None = None,
        num_threads: int | None = None,
        cache_bytes: int = 256 * 2**20,
        engine: EngineName = "auto",
        fetching: Fetching | None = None,
    ):
        self._source = source
        self._options: dict[str, Any] = {
            "width": None if width is None else positive_integer(width, "width"),
            "height": None if height is None else positive_integer(height, "height"),
            "num_threads": None if num_threads is None else positive_integer(num_threads, "num_threads"),
            "cache_bytes": not_negative_integer(cache_bytes, "cache_bytes"),
            "engine": _one_of(engine, get_args(EngineName), "engine"),
            "fetching": fetching,
        }
        self._threads = num_threads or num_cpus()
        self._held = HeldSource(source, fetching)
        opened = open_file(self._held.path, self._threads, engine)
        try:
            self.index: FrameIndex = opened.index
            self.info: VideoInfo = describe(opened)
            self._geometry = Geometry(
                scaled_size((self.info.width, self.info.height), width, height), Turn.of(opened.first)
            )
            self._fetcher = self._make_fetcher(cache_bytes)
        except BaseException:
            opened.engine.close()
            raise
        if self.index.engine == "pyav":
            self._fetcher.adopt(opened.engine)
            self._fetcher.cache.put(opened.first_number, opened.first)
        else:
            opened.engine.close()
        self._is_closed = False

    @property
    def source(self) -> str | PathLike[str]:
        """The path or URL that was opened, as it was given."""
        return self._source

    @property
    def fps(self) -> float:
        """Frames a second, on average."""
        return self.info.fps

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of frames, height, width, 3."""
        width, height = self._geometry.size
        return len(self), height, width, 3

    @property
    def num_decoded(self) -> int:
        """How many frames were decoded so far to get the ones asked for at random."""
        return self._fetcher.num_decoded

    @property
    def convert_seconds(self) -> float:
        """How long it took so far to turn frames asked for at random into RGB, added up over threads."""
        return self._fetcher.convert_seconds

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        count, height, width, _ = self.shape
        facts = f"{count} frames, {width}x{height}, {self.fps:.6g} frames/s, {self.info.codec}"
        return f"VideoReader({shown(self._source)!r}: {facts}, by {self.index.engine})"

    def __iter__(self) -> Iterator[Frames]:
        self._check_open()
        pixels = stream(self.index.layout, self._geometry, self._threads, np.arange(len(self)))
        return (np.ascontiguousarray(frame) for frame in pixels)

    def at(self, seconds: ArrayLike) -> Frames:
        """The frame on screen at this time, or the frames at these times.

        Raises:
            FrameTimestampError: A time is outside the video.
        """
        return self[frames_at(self.index.pts_seconds, self.index.duration_seconds, seconds)]

    def batches(
        self, batch_size: int, *, start: int = 0, stop: int | None = None, step: int = 1
    ) -> Iterator[tuple[NDArray[np.int64], Frames]]:
        """Pairs of `(numbers, frames)`, `batch_size` at a time, each decoded when it is asked for.

        Args:
            batch_size: How many frames each batch has; the last one may have fewer.
            start: The first frame; negative counts from the end, as in a slice.
            stop: One past the last frame, or None for all; as in a slice.
            step: Take every `step`-th frame; negative goes backwards.
        """
        size = positive_integer(batch_size, "batch_size")
        numbers, _ = frame_numbers(slice(start, stop, step), len(self))
        self._check_open()
        parts = [numbers[i : i + size] for i in range(0, len(numbers), size)]
        return self._batches(parts) if step > 0 else ((part, self._read(part)) for part in parts)

    def stream(self, indices: Any, *, size: tuple[int, int] | None = None) -> Iterator[Frames]:
        """These frames one by one, each decoded when it is asked for, with flat memory.

        Args:
            indices: Their numbers, which must ascend; otherwise as in `reader[indices]`.
            size: Width and height of the frames, if not those of the reader.
        """
        numbers = ascending(indices, len(self))
        self._check_open()
        geometry = self._geometry if size is None else self._geometry._replace(size=frame_size(size))
        pixels = stream(self.index.layout, geometry, self._threads, numbers)
        return (np.ascontiguousarray(frame) for frame in pixels)

    def rest(self) -> None:
        """Gives threads and the file back until the next read, unless another thread reads just now.

        A cache may remove a download meanwhile; then the next read fetches it again.
        """
        if self._fetcher.lock.acquire(blocking=False):
            try:
                self._fetcher.rest()
                self._held.release()
            finally:
                self._fetcher.lock.release()

    def close(self) -> None:
        """Gives memory, threads and the file back. The facts and the index stay."""
        with self._fetcher.lock:
            self._is_closed = True
            self._fetcher.close()
            self._held.release()

    def __getstate__(self) -> dict[str, Any]:
        # A pickle may go anywhere, so that it tells no secrets: who reads it finds the download here.
        fetching = self._options["fetching"]
        if has_secrets(self._source) or (fetching is not None and fetching.headers):
            return {"source": self.info.path, "options": self._options | {"fetching": None}}
        return {"source": self._source, "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        VideoReader.__init__(self, state["source"], **state["options"])

    def decode_all(self) -> Iterator[tuple[int, bool]]:
        """Decodes the whole file; for each frame that comes out its number, and whether it is damaged."""
        engine = PyAVEngine(self.index.layout, self._threads)
        try:
            yield from ((number, bool(frame.is_corrupt)) for number, frame in engine.all_frames())
        finally:
            engine.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError(f"this reader of {shown(self._source)} is closed; open a new one")
        if not self._held.is_held:
            self._wake()

    def _wake(self) -> None:
        """Hold the file again. While it was at rest, the cache may have removed it, and fetched it anew."""
        with self._fetcher.lock:
            if self._is_closed or self._held.is_held:  # by another thread, meanwhile
                return self._check_open()
            held = HeldSource(self._source, self._options["fetching"])
            if is_url(os.fsdecode(self._source)) and FileMark.of(held.path) != self.index.layout.mark:
                VideoReader.__init__(self, self._source, **self._options)
            else:
                self._held = held

    def _make_fetcher(self, cache_bytes: int) -> Fetcher:
        if self.index.engine == "pyav":
            return Fetcher(self.index.layout, self._geometry, self._threads, cache_bytes, PyAVEngine)
        if self._geometry.size != (self.info.width, self.info.height):
            raise ValueError("engine='decord' would not be exact with width= or height=; leave engine out")
        return Fetcher(self.index.layout, self._geometry, self._threads, cache_bytes, DecordEngine)

    def _read(self, numbers: NDArray[np.int64]) -> Frames:
        with self._fetcher.lock:  # or another thread would send it to rest in between
            self._check_open()
            return self._fetcher.read(numbers)

    def _batches(self, parts: list[NDArray[np.int64]]) -> Iterator[tuple[NDArray[np.int64], Frames]]:
        numbers = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        pixels = stream(self.index.layout, self._geometry, self._threads, numbers)
        memory = Recycler()
        with closing(pixels):
            for part in parts:
                frames = memory.take((len(part), *self.shape[1:]))
                for row in frames:
                    row[:] = next(pixels)
                yield part, memory.hand_over(frames)
                del frames


def _one_of(value: Any, allowed: tuple[str, ...], name: str) -> Any:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
    return value
