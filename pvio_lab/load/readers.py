"""The readers that clips come from: thousands of videos, and few open files."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

from ..base import new_lock, survive_forks
from ..read import Fetching, Frames, ImageSequence, VideoReader, is_directory, open_video
from .clip_plan import Numbers

Reader = VideoReader | ImageSequence

# The memory that the indexes of one process may take: about 1,000 videos of 10 seconds.
_MAX_BYTES = 96 * 2**20
# Measured of a reader at rest.
_BYTES_PER_READER, _BYTES_PER_FRAME = 60_000, 150
# Opening a file again costs little against decoding a clip; an open decoder, 40 MB for 1920x1080.
_MAX_AWAKE = 4


class Readers:
    """The readers that were used lately.

    Only the last few keep files and decoders, which take the memory of many frames each. The others keep
    their index, which spares the pass over the packets when they are used again.

    Args:
        width: The width of all frames, as for `VideoReader`.
        height: The height of all frames, as for `VideoReader`.
        max_bytes: About how much memory the kept readers may take.
        fetching: The way in which URLs are fetched, and what may be opened.
    """

    def __init__(
        self,
        width: int | None = None,
        height: int | None = None,
        max_bytes: int = _MAX_BYTES,
        fetching: Fetching | None = None,
    ):
        self._size: dict[str, Any] = {"width": width, "height": height}
        self._max_bytes, self._fetching = max_bytes, fetching
        self._lock = new_lock()
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """Begin with no readers: those of the parent may use more threads than a child should."""
        self._readers: OrderedDict[tuple[str, int | None], Reader] = OrderedDict()
        self._awake: deque[VideoReader] = deque()

    def __len__(self) -> int:
        return len(self._readers)

    def get(self, source: str, num_threads: int | None = None) -> Reader:
        """Return the reader of a video file, its URL, or a directory of images.

        Args:
            source: The video.
            num_threads: The number of threads that decode; all processors when left out.
        """
        key = source, num_threads
        with self._lock:
            if key in self._readers:
                self._readers.move_to_end(key)
                return self._readers[key]
        # Random clips seldom meet a frame again, so none is kept.
        only_video = {"num_threads": num_threads, "cache_bytes": 0}
        options = {} if is_directory(source, self._fetching) else only_video
        reader = open_video(source, fetching=self._fetching, **self._size, **options)
        with self._lock:
            self._readers.setdefault(key, reader)
            num_bytes = sum(
                _BYTES_PER_READER + _BYTES_PER_FRAME * len(each) for each in self._readers.values()
            )
            while num_bytes > self._max_bytes and len(self._readers) > 1:
                # Not closed here: another thread may be reading, and closes it by letting it go.
                _, oldest = self._readers.popitem(last=False)
                num_bytes -= _BYTES_PER_READER + _BYTES_PER_FRAME * len(oldest)
        return reader

    def read(self, reader: Reader, numbers: Numbers) -> Frames:
        """Return these frames, in the size of all frames."""
        try:
            return reader[numbers]
        finally:
            if isinstance(reader, VideoReader):
                self._was_used(reader)

    def close(self) -> None:
        """Close files and decoders, and forget the indexes; a video asked for again is opened anew."""
        with self._lock:
            readers = list(self._readers.values())
            self._readers.clear()
            self._awake.clear()
        for reader in readers:
            reader.close()

    def _was_used(self, reader: VideoReader) -> None:
        with self._lock:
            if reader in self._awake:
                self._awake.remove(reader)
            self._awake.append(reader)
            tired = self._awake.popleft() if len(self._awake) > _MAX_AWAKE else None
        if tired is not None:
            tired.rest()
