"""The front of a file that comes over a network: how far it can be decoded without the rest of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from .spool import Spool

# What comes before the frames in files that are made to be streamed; more than this is no table of frames.
_MOST_HEADER = 64 * 2**20
_MATROSKA = b"\x1a\x45\xdf\xa3"
_PIECE = 2**18


class NotStreamable(Exception):
    """The file has to be there as a whole; it says why."""


class Front:
    """A file that is only read on, as PyAV wants it. What came is kept, should the rest be needed, too.

    Args:
        file: The file, at its beginning.
        spool: Keeps it.
        check: Called before each read; raises where that shall stop.
    """

    def __init__(self, file: BinaryIO, spool: Spool, check: Callable[[], None]):
        self._file, self._spool, self._check = file, spool, check
        self._seen = bytearray()  # what was looked at, and not yet read

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, maybe fewer than asked for; all that are left if `size` is negative."""
        if size < 0:
            rest = b"".join(iter(lambda: self._fetch(_PIECE), b""))
            size = len(self._seen) + len(rest)
            self._seen += rest
        if not self._seen:
            return self._fetch(size)
        piece = bytes(self._seen[:size])
        del self._seen[: len(piece)]
        return piece

    def look(self, begin: int, size: int) -> bytes:
        """Bytes from the beginning of the file, fewer where it ends; before the first `read` only."""
        while len(self._seen) < begin + size:
            piece = self._fetch(begin + size - len(self._seen))
            if not piece:
                break
            self._seen += piece
        return bytes(self._seen[begin : begin + size])

    def fetch_all(self) -> str:
        """Waits for the rest of the file, and tells where all of it is."""
        while self._fetch(_PIECE):
            pass
        return self._spool.path

    def _fetch(self, size: int) -> bytes:
        self._check()
        piece = self._file.read(size)
        self._spool.write(piece)
        return piece


def check_streamable(front: Front) -> None:
    """Looks whether what is needed to decode the first frames comes before them.

    Raises:
        NotStreamable: It does not, or the container is another than mp4 and Matroska.
    """
    if front.look(0, 4) == _MATROSKA:
        return
    place = 0
    while place < _MOST_HEADER:
        header = front.look(place, 8)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if kind == b"moov" and place:
            return
        if size < 8 or kind not in (b"free", b"skip", b"wide", b"uuid", b"ftyp"):
            raise NotStreamable("the table of frames does not come before them")
        place += size
    raise NotStreamable(f"there is no table of frames in the first {_MOST_HEADER} bytes")
