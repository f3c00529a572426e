"""`VideoReader`: frame-exact random access to one video file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from os import PathLike
from typing import Any, get_args

import numpy as np

from ..base import checked_size, not_negative_integer, num_cpus, one_of
from .decode import BatchMemory, EngineName, FrameIndex, HeaderCheck, open_file
from .frames import Batches, FrameReader, Frames, Numbers, scaled_size
from .info import VideoInfo
from .sources.fetching import Fetching, HeldSource
from .sources.urls import has_secrets, is_url, shown
from .times import Times


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

    Frames are RGB, `uint8`, rotated as displayed. A reader may be shared by threads, pickled, and used after
    a fork. It never decodes ahead: between calls it holds its cache and nothing else grows.

    Args:
        source: A video file, or its URL.
        width: The width of the frames; when left out, the video's own, or the one that fits `height`.
        height: The height of the frames; when left out, the video's own, or the one that fits `width`.
        num_threads: How many threads decode; one for each processor this process may use when left out.
        cache_bytes: How much memory recently decoded frames may take.
        engine: The engine for random access: "decord", "pyav", or "auto" for the fastest that is exact.
            Passes in order (`batches`, iteration) always use PyAV, which does not work ahead.
        fetching: How a URL is fetched, what may be opened, and where downloads are kept; see `Fetching`. The
            reader keeps its own from being removed there until it is closed.

    Raises:
        FileNotFoundError: There is no such file.
        OpenError: It is not a video.
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
            "width": checked_size(width, "width"),
            "height": checked_size(height, "height"),
            "num_threads": checked_size(num_threads, "num_threads"),
            "cache_bytes": not_negative_integer(cache_bytes, "cache_bytes"),
            "engine": one_of(engine, get_args(EngineName), "engine"),
            "fetching": fetching,
        }
        self._is_closed = False
        self._open(HeldSource(source, fetching))

    def _open(self, held: HeldSource) -> None:
        options = self._options
        file = open_file(held.path, options["num_threads"] or num_cpus(), options["engine"])
        try:
            size = scaled_size((file.info.width, file.info.height), options["width"], options["height"])
            access = file.random_access(size, options["cache_bytes"])
        except BaseException:
            file.close()
            raise
        # Without a hold, the reader is at rest: a cache may remove the file.
        self._held: HeldSource | None = held
        self._file, self._access, self._size = file, access, size
        self._shape = file.info.num_frames, size[1], size[0], 3

    @property
    def source(self) -> str | PathLike[str]:
        """The path or URL that was opened, as it was given."""
        return self._source

    @property
    def _name(self) -> str:
        return shown(self._source)

    @property
    def info(self) -> VideoInfo:
        """The facts of the video."""
        return self._file.info

    @property
    def index(self) -> FrameIndex:
        """The index: when each frame is shown, and how it is reached."""
        return self._file.index

    @property
    def times(self) -> Times:
        """The times at which frames appear, and for which they stay on screen."""
        return Times(self.index.pts_seconds, self.index.duration_seconds)

    @property
    def num_decoded(self) -> int:
        """Number of frames decoded so far to get those asked for at random."""
        return self._access.num_decoded

    @property
    def convert_seconds(self) -> float:
        """Time spent so far to convert frames asked for at random to RGB, added up over threads."""
        return self.spent_seconds["convert"]

    @property
    def spent_seconds(self) -> dict[str, float]:
        """Seconds spent to "seek", "convert" and "copy" frames asked for at random, added up over threads."""
        return self._access.seconds

    def __repr__(self) -> str:
        count, height, width, _ = self.shape
        facts = f"{count} frames, {width}x{height}, {self.fps:.6g} frames/s, {self.info.codec}"
        return f"VideoReader({self._name!r}: {facts}, by {self.index.engine})"

    def rest(self) -> None:
        """Free threads and the file until the next read, unless another thread reads just now.

        A cache may remove a download meanwhile; then the next read fetches it again.
        """
        if self._access.lock.acquire(blocking=False):
            try:
                self._access.rest()
                self._release()
            finally:
                self._access.lock.release()

    def close(self) -> None:
        """Free memory, threads and the file. The facts and the index stay."""
        with self._access.lock:
            self._is_closed = True
            self._access.close()
            self._release()

    def is_current(self) -> bool:
        """Return whether its source still is the file that was opened, and not a newer one of that name.

        Raises:
            FileNotFoundError: The file is not there any more.
            SourceError: The URL cannot be fetched again.
        """
        with HeldSource(self._source, self._options["fetching"]) as held:
            return self._file.is_same(held.path)

    def decode_all(self) -> Iterator[tuple[int, bool]]:
        """Decode the whole file; yield the number of each frame that comes out, and whether it is damaged."""
        return self._file.decode_all()

    def check_header(self) -> HeaderCheck:
        """Compare the promises of the file's header with the packets that are there."""
        return self._file.check_header()

    def __getstate__(self) -> dict[str, Any]:
        # A pickle may go anywhere, so it holds no secrets: where it is loaded, the download is found here.
        fetching = self._options["fetching"]
        if has_secrets(self._source) or (fetching is not None and fetching.headers):
            return {"source": self.info.path, "options": self._options | {"fetching": None}}
        return {"source": self._source, "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._source, self._options, self._is_closed = state["source"], state["options"], False
        self._open(HeldSource(self._source, self._options["fetching"]))

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()

    def _check_open(self) -> None:
        if self._held is None and not self._is_closed:
            self._wake()
        if self._is_closed:
            raise ValueError(f"this reader of {self._name} is closed; open a new one")

    def _wake(self) -> None:
        """Hold the file again. While it was at rest, the cache may have removed it, and fetched it anew."""
        with self._access.lock:
            if self._held is None and not self._is_closed:  # else another thread was here first
                held = HeldSource(self._source, self._options["fetching"])
                if is_url(os.fsdecode(self._source)) and not self._file.is_same(held.path):
                    self._open(held)
                self._held = held

    def _read(self, numbers: Numbers) -> Frames:
        with self._access.lock:  # or another thread would send it to rest in between
            self._check_open()
            return self._access.read(numbers)

    def _stream(self, numbers: Numbers, size: tuple[int, int] | None) -> Iterator[Frames]:
        self._check_open()
        return (np.ascontiguousarray(frame) for frame in self._file.stream(numbers, size or self._size))

    def _batches(self, parts: list[Numbers], *, is_ascending: bool) -> Batches:
        self._check_open()
        return self._pass(parts) if is_ascending else super()._batches(parts, is_ascending=False)

    def _pass(self, parts: list[Numbers]) -> Batches:
        numbers = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        memory = BatchMemory(frees_idle=True)
        with closing(self._file.stream(numbers, self._size)) as pixels:
            for part in parts:
                frames = memory.take((len(part), *self.shape[1:]), np.uint8)
                for row in frames:
                    row[:] = next(pixels)
                memory.hand_over(frames)
                yield part, frames
                del frames
