"""The bytes of a source that is elsewhere, whatever its transport; a broken connection is taken up again."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .deadline import Deadline
from .http import Answer, open_web
from .options import Fetching
from .other import open_anywhere, open_data
from .retries import FetchError, Tries
from .urls import shown

Opener = Callable[[str, int, Fetching, Deadline, "str | None"], Answer]

_OPENERS: Mapping[str, Opener] = {"http": open_web, "https": open_web, "data": open_data}
_PIECE_BYTES = 2**20


class Body(io.RawIOBase):
    """Reads a source from the front, or from anywhere if the server can begin there.

    When the connection breaks, it is opened again at the byte where it broke; a server that always begins at
    the front is read up to there.

    Args:
        source: A URL.
        fetching: Limits, and how often to try.
        known_version: What an earlier answer had; see `is_known`.
        deadline: When all of it has to be done, if what was done before counts, too.

    Raises:
        ImportError: A package for this kind of URL is missing.
        SourceError: It cannot be opened; or, while reading, the tries are used up.
    """

    def __init__(
        self,
        source: str,
        fetching: Fetching,
        known_version: str | None = None,
        deadline: Deadline | None = None,
    ):
        super().__init__()
        self._source, self._fetching, self._known_version = source, fetching, known_version
        self._deadline = deadline or Deadline(fetching.max_seconds)
        self._tries, self._position = Tries(source, fetching, self._deadline), 0
        self._open = _opener_of(source)
        self._answer: Answer | None = None
        self._first: Answer | None = None
        self.num_read = 0
        first = self._first = self._tries.run(self._opened)
        self.num_bytes, self.version, self._has_ranges = first.num_bytes, first.version, first.has_ranges
        self.is_known = first.is_known

    @property
    def attempts(self) -> int:
        """How often it was tried so far."""
        return self._tries.attempts

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """Whether the server can begin anywhere."""
        return self._has_ranges and self.num_bytes is not None

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes somewhere else; the server is asked when something is read there."""
        if not self.seekable():
            raise io.UnsupportedOperation(f"{shown(self._source)} can only be read from the front")
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.num_bytes or 0}[whence]
        if start + offset != self._position:
            self._position = max(start + offset, 0)
            self._hang_up()
        return self._position

    def readinto(self, buffer: Any) -> int:
        """At most so many bytes as there is room for; 0 at the end."""
        view = memoryview(buffer).cast("B")
        piece = self._next(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def pieces(self) -> Iterator[bytes]:
        """The rest, as it comes; without the copy that `read` makes."""
        while piece := self._next(_PIECE_BYTES):
            yield piece

    def close(self) -> None:
        """Hangs up."""
        self._hang_up()
        super().close()

    def _next(self, size: int) -> bytes:
        if self.num_bytes is not None and self._position >= self.num_bytes:
            return b""
        return self._tries.run(lambda: self._piece(size))

    def _piece(self, size: int) -> bytes:
        answer = self._answer or self._opened()
        try:
            piece = answer.stream.read(size)
            if not piece and self.num_bytes is not None and self._position < self.num_bytes:
                raise FetchError(
                    f"it ended after {self._position} of {self.num_bytes} bytes", is_temporary=True
                )
        except BaseException:
            self._hang_up()
            raise
        self._count(len(piece))
        self._position += len(piece)
        return piece

    def _opened(self) -> Answer:
        known = None if self._first else self._known_version
        answer = self._open(self._source, self._position, self._fetching, self._deadline, known)
        try:
            self._check(answer)
            self._skip(answer, self._position - answer.start)
        except BaseException:
            answer.stream.close()
            raise
        self._answer = answer
        return answer

    def _check(self, answer: Answer) -> None:
        _check_size(answer.num_bytes or 0, self._fetching)
        if self._first and (answer.num_bytes, answer.version) != (self._first.num_bytes, self._first.version):
            raise FetchError("it has changed while it was read", is_temporary=True)
        if answer.start > self._position:
            raise FetchError(f"the server sent what comes after byte {answer.start}")

    def _skip(self, answer: Answer, count: int) -> None:
        while count > 0:
            piece = answer.stream.read(min(count, _PIECE_BYTES))
            if not piece:
                raise FetchError("it ended where it had gone on before", is_temporary=True)
            self.num_read += len(piece)
            count -= len(piece)

    def _count(self, size: int) -> None:
        self.num_read += size
        _check_size(self._position + size, self._fetching)

    def _hang_up(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.stream.close()


def _check_size(size: int, fetching: Fetching) -> None:
    if fetching.max_bytes is not None and size > fetching.max_bytes:
        raise FetchError(f"it has more than max_bytes={fetching.max_bytes} bytes")


def _opener_of(source: str) -> Opener:
    return _OPENERS.get(source.partition(":")[0].lower(), open_anywhere)
