"""The readers that clips come from: thousands of videos, and few open files."""

from __future__ import annotations

from ..read import Fetching, Frames, ImageSequence, ReaderPool, VideoReader, open_video
from .clip_plan import Numbers

Reader = VideoReader | ImageSequence

# The memory that the indexes of one process may take: about 1,000 videos of 10 seconds.
_MAX_BYTES = 96 * 2**20
# Measured of a reader at rest.
_BYTES_PER_READER, _BYTES_PER_FRAME = 60_000, 150
# Opening a file again costs little against decoding a clip; an open decoder, 40 MB for 1920x1080.
_MAX_AWAKE = 4


class Readers(ReaderPool[tuple[str, int | None], Reader]):
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
        def open_reader(key: tuple[str, int | None]) -> Reader:
            # Random clips seldom meet a frame again, so that none is kept.
            options = {"num_threads": key[1], "cache_bytes": 0, "width": width, "height": height}
            return open_video(key[0], fetching=fetching, **options)

        super().__init__(open_reader, max_bytes, _num_bytes, _MAX_AWAKE)

    def read(self, reader: Reader, numbers: Numbers) -> Frames:
        """Return these frames, in the size of all frames."""
        try:
            return reader[numbers]
        finally:
            self.touch(reader)


def _num_bytes(reader: Reader) -> int:
    return _BYTES_PER_READER + _BYTES_PER_FRAME * len(reader)
