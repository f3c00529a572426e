"""Readers of the videos that were read lately, kept from call to call."""

from __future__ import annotations

from os import PathLike
from typing import Generic, TypeVar

from .pool import ReaderPool, bytes_at_rest
from .reader import VideoReader
from .sources.fetching import Fetching

Kind = TypeVar("Kind", bound=VideoReader)
_Key = tuple[str | PathLike[str], Fetching | None]

# The memory that indexes may take: about 900 videos of 10 seconds, or 30 of 10 minutes.
_MAX_BYTES = 96 * 2**20
# An open decoder takes up to 40 MB for 1920x1080; opening it again costs little against decoding.
_MAX_AWAKE, _IDLE_SECONDS = 8, 10.0


class RecentReaders(Generic[Kind]):
    """Readers of the videos read lately, so that calls which follow each other open and index a file once.

    Decoders and files stay open for a few of them, until they were idle for ten seconds; the others keep
    their index. A file that was replaced is opened anew.

    >>> readers = RecentReaders(VideoReader)
    >>> readers.get("data_samples/gop2.mp4") is readers.get("data_samples/gop2.mp4")
    True
    >>> readers.close()

    Args:
        kind: The class of the readers.
        max_bytes: About how much memory their indexes may take.
        idle_seconds: How long a decoder stays open without being used.
    """

    def __init__(self, kind: type[Kind], max_bytes: int = _MAX_BYTES, idle_seconds: float = _IDLE_SECONDS):
        def open_reader(key: _Key) -> Kind:
            return kind(key[0], cache_bytes=0, fetching=key[1])

        self._pool = ReaderPool(open_reader, max_bytes, bytes_at_rest, _MAX_AWAKE, idle_seconds)

    def __len__(self) -> int:
        return len(self._pool)

    def get(self, source: str | PathLike[str], fetching: Fetching | None = None) -> Kind:
        """Return the reader of a video, which others may use at the same time: do not close it.

        Raises:
            FileNotFoundError: There is no such file.
            OpenError: It is not a video.
            SourceError: The URL cannot be fetched.
        """
        key = source, fetching
        reader = self._pool.get(key)
        if not reader.is_current():
            self._pool.drop(key, reader)
            reader = self._pool.get(key)
        self._pool.touch(reader)
        return reader

    def close(self) -> None:
        """Keep no reader any longer, and close the files of those that no thread uses just now."""
        for reader in self._pool.drop_all():
            reader.rest()
