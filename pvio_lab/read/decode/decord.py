"""decord, with its rules of safe use."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import abandon, survive_forks
from ...errors import DecodeError, OpenError
from .index import Layout


class DecordEngine:
    """Seeks to a keyframe, takes the frames that follow one by one, and drops what decord has queued.

    Only so is decord exact in long files, and only so does it stop decoding ahead.

    Args:
        layout: How the frames of the file are reached.
        threads: How many threads decode.
    """

    def __init__(self, layout: Layout, threads: int):
        self._layout, self._threads = layout, threads
        self._reader: Any = None
        self.decoded = 0
        survive_forks(self)

    def frames(
        self, numbers: Sequence[int], needed: Container[int] | None = None
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """See `Engine`; decord has to decode them all."""
        layout = self._layout
        begins = layout.number_of[layout.entry[list(numbers)]]
        last_of = dict(zip(begins.tolist(), numbers, strict=True))  # the last one stays
        for begin in sorted(last_of):
            yield from self._run(begin, last_of[begin])

    def reset(self) -> None:
        """See `Engine`."""
        self._reader = None

    def close(self) -> None:
        """See `Engine`."""
        self._reader = None

    def after_fork(self) -> None:
        """In the child, the file is opened anew."""
        abandon(self._reader)
        self._reader = None

    def _run(self, begin: int, last: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        reader = self._opened()
        reader.seek(begin)
        try:
            for number in range(begin, last + 1):
                frame = _next(reader, begin, number)
                self.decoded += 1
                yield number, frame
        except StopIteration:
            raise DecodeError(
                f"frame {number} of {self._layout.mark.path} cannot be decoded by decord"
            ) from None
        except Exception as error:
            if type(error).__name__ != "DECORDError":
                raise
            raise DecodeError(f"frame {number} of {self._layout.mark.path}: {_first_line(error)}") from error
        finally:
            reader.seek(begin)

    def _opened(self) -> Any:
        if self._reader is None:
            # Looked at when decord is loaded: else it gives up waiting for a frame on a busy machine.
            os.environ.setdefault("DECORD_EOF_RETRY_MAX", str(2**31 - 1))
            import decord

            path = self._layout.mark.path
            try:
                self._reader = decord.VideoReader(self._layout.mark.absolute, num_threads=self._threads)
            except Exception as error:
                raise OpenError(f"decord cannot open {path}: {_first_line(error)}") from error
            if len(self._reader) != len(self._layout.entry):
                found = len(self._reader)
                self._reader = None
                raise OpenError(
                    f"decord finds {found} frames in {path}, but there are {len(self._layout.entry)}"
                )
        return self._reader


def _next(reader: Any, begin: int, number: int) -> NDArray[np.uint8]:
    """The next frame; where decord gives up, because its own threads are late, from `begin` again."""
    for pause in (0.01, 0.1, 1.0):
        try:
            return np.asarray(reader.next().asnumpy())
        except Exception as error:
            if "DECORD_EOF_RETRY_MAX" not in str(error):
                raise
            time.sleep(pause)
            reader.seek(begin)
            for _ in range(begin, number):
                reader.next()
    return np.asarray(reader.next().asnumpy())


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
