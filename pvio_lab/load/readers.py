"""Thousands of videos and few open files: the readers that were used lately."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

from ..base import new_lock, survive_forks
from ..read import Fetching, Frames, ImageSequence, VideoReader, is_directory, open_video, timeline
from .clip_plan import Numbers, Timeline

Reader = VideoReader | ImageSequence

# How much the indexes of one process may take: about 1,000 videos of 10 seconds.
_MAX_BYTES = 96 * 2**20
# What was measured of a reader at rest.
_BYTES_PER_READER, _BYTES_PER_FRAME = 60_000, 150
# Opening a file again costs little against decoding a clip; an open decoder, 40 MB for 1920x1080.
_MAX_AWAKE = 4


class Readers:
    """Opens videos when they are asked for, and keeps the indexes of those used lately.

    Only the last few readers keep files and decoders, which take the memory of many frames each. The others
    keep their index, which spares the pass over the packets when they are asked again.

    Args:
        width: The width of all frames, as for `VideoReader`.
        height: The height of all frames, as for `VideoReader`.
        max_bytes: About how much memory the kept readers may take.
        fetching: How URLs are fetched, and what may be opened.
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
        """A child begins with none: those of the parent may use more threads than it should."""
        self._readers: OrderedDict[tuple[str, int | None], Reader] = OrderedDict()
        self._awake: deque[VideoReader] = deque()
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._readers)

    def get(self, source: str, num_threads: int | None = None) -> Reader:
        """The reader of a video file, its URL, or a directory of images.

        Args:
            source: The video.
            num_threads: How many threads decode; all processors when left out.
        """
        key = source, num_threads
        with self._lock:
            if key in self._readers:
                self._readers.move_to_end(key)
                return self._readers[key]
        reader = self._open(source, num_threads)
        with self._lock:
            if key not in self._readers:
                self._readers[key] = reader
                self.num_bytes += _num_bytes(reader)
            while self.num_bytes > self._max_bytes and len(self._readers) > 1:
                # Not closed here: another thread may be reading, and closes it by letting it go.
                _, oldest = self._readers.popitem(last=False)
                self.num_bytes -= _num_bytes(oldest)
        return reader

    def read(self, reader: Reader, numbers: Numbers) -> Frames:
        """These frames, in the size of all frames."""
        if isinstance(reader, ImageSequence):
            return reader[numbers]
        try:
            return reader[numbers]
        finally:
            self._was_used(reader)

    def close(self) -> None:
        """Gives files, decoders and indexes back; what is asked for again is opened anew."""
        with self._lock:
            readers = list(self._readers.values())
            self._readers.clear()
            self._awake.clear()
            self.num_bytes = 0
        for reader in readers:
            reader.close()

    def _open(self, source: str, num_threads: int | None) -> Reader:
        # Random clips seldom meet a frame again, so that none is kept.
        only_video = {"num_threads": num_threads, "cache_bytes": 0}
        options = {} if is_directory(source, self._fetching) else only_video
        return open_video(source, fetching=self._fetching, **self._size, **options)

    def _was_used(self, reader: VideoReader) -> None:
        with self._lock:
            if reader in self._awake:
                self._awake.remove(reader)
            self._awake.append(reader)
            tired = self._awake.popleft() if len(self._awake) > _MAX_AWAKE else None
        if tired is not None:
            tired.rest()


def timeline_of(reader: Reader) -> Timeline:
    """When the frames of a video are on screen."""
    pts, durations = timeline(reader)
    return Timeline(pts, float(pts[-1] + durations[-1]))


def _num_bytes(reader: Reader) -> int:
    return _BYTES_PER_READER + _BYTES_PER_FRAME * len(reader)
