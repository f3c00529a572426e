"""Bytes from an HTTP server: every wait has a limit, and so has all that is no content."""

from __future__ import annotations

import http.client
import io
import re
import socket
from collections.abc import Callable
from typing import Any

from .faults import FetchError

# Status lines, headers and what is sent before them; sizes of chunks, for which every byte of content allows
# some more.
_MOST_OVERHEAD, _OVERHEAD_PER_BYTE = 256 * 2**10, 16
_LONGEST_LINE = 2**16
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?", re.DOTALL)


class Wire(io.RawIOBase):
    """The bytes that come over a connection.

    Args:
        connected: The connection.
        wait: Tells how long the next bytes may take; it is asked before each wait.
    """

    def __init__(self, connected: socket.socket, wait: Callable[[], float]):
        super().__init__()
        self._socket, self._wait = connected, wait
        self._file = connected.makefile("rb", buffering=0)
        self._num_bytes = 0
        self.num_content = 0
        """The bytes of it that were content so far; `WebBody` counts them."""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has come, or what comes next."""
        if self._num_bytes > _MOST_OVERHEAD + self.num_content * (1 + _OVERHEAD_PER_BYTE):
            raise FetchError("the server sends headers, or other things that are no content, without end")
        self._socket.settimeout(self._wait())
        count = self._file.readinto(buffer)
        self._num_bytes += count or 0
        return count

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        super().close()


class WebBody:
    """The content of an answer; what has come is read at once, so that a slow server is no silent one."""

    def __init__(self, response: http.client.HTTPResponse):
        wire: Any = response.fp.raw
        self._response, self._wire = response, wire
        self._next = _Chunks(response.fp).read if response.chunked else response.read1

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""
        piece = self._next(size)
        self._wire.num_content += len(piece)
        return piece

    def close(self) -> None:
        """Hang up."""
        self._response.close()


class _Chunks:
    """Content that comes in chunks. What follows the last one is not waited for."""

    def __init__(self, file: io.BufferedReader):
        self._file, self._left = file, 0
        self._is_first, self._is_over = True, False

    def read(self, size: int) -> bytes:
        if not self._left and not self._is_over:
            self._left = self._next_size()
            self._is_first, self._is_over = False, not self._left
        if self._is_over:
            return b""
        piece = self._file.read1(min(size, self._left))
        if not piece:
            raise http.client.IncompleteRead(b"")
        self._left -= len(piece)
        return piece

    def _next_size(self) -> int:
        is_whole = self._is_first or self._line() == b"\r\n"
        found = _CHUNK_SIZE.fullmatch(self._line().rstrip(b"\r\n"))
        if not (is_whole and found):
            raise FetchError(
                "it comes in chunks, and one is not as long as the server says", is_temporary=True
            )
        return int(found[1], 16)

    def _line(self) -> bytes:
        line = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        return line
