"""decord, and the rules for using it: where it is exact, and how it has to be handled to be so."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...base import abandon, survive_forks
from ...errors import DecodeError, OpenError, printable
from .bitstream import PLAIN
from .order import Layout
from .rgb import Picture

EngineName = Literal["auto", "decord", "pyav"]

_BY_NUMBER = "each frame carries the number of its packet"
# Where decord was found to seek exactly, if nothing else speaks against it.
_CONTAINERS = {"mov", "matroska"}
_CODECS = set("h264 vp8 mpeg4 ffv1 mjpeg png prores dnxhd huffyuv ffvhuff utvideo".split())


def choose_engine(
    asked: EngineName, layout: Layout, picture: Picture
) -> tuple[Literal["decord", "pyav"], str, str | None]:
    """Return the engine for random access, the reason for it, and the reason against decord if there is one.

    Raises:
        ValueError: decord was asked for, and would not be exact.
    """
    why, refusal = layout.order.why, _refusal(layout, picture)
    learnt = f"; the order was learnt by decoding, because {why}" if why else ""
    engine: Literal["decord", "pyav"] = "pyav"
    if asked == "decord":
        if refusal:
            raise ValueError(
                f"engine='decord' would not be exact for {printable(layout.mark.path)}: {refusal}; "
                "leave engine out"
            )
        engine = asked
        reason = "asked for; exact while the file is intact, as it only seeks to keyframes and reads on."
    elif asked == "pyav":
        reason = f"asked for; it is exact, as {_BY_NUMBER}{learnt}."
    elif refusal:
        reason = f"it is exact, as {_BY_NUMBER}; decord would be wrong: {refusal}{learnt}."
    else:
        reason = f"it is exact, as {_BY_NUMBER}; decord would be, too, but is no faster and overlooks damage."
    return engine, reason, refusal


def _refusal(layout: Layout, picture: Picture) -> str | None:
    """Return why decord would return wrong frames or none; None if it is exact."""
    packets, facts, order, width = layout.packets, layout.stream, layout.order, picture.width
    checks = (
        (
            _CONTAINERS.isdisjoint(facts.containers),
            f"it does not seek exactly in {','.join(facts.containers)}",
        ),
        (facts.codec not in _CODECS, f"it fails on some {facts.codec} streams"),
        (order.why, order.why),
        (facts.num_videos > 1, "the file has more than one video stream, and it may take another"),
        (facts.promised_seconds is None, "the file does not say how long it is"),
        (packets.is_discarded.any(), "an edit list hides frames, which it counts"),
        (not packets.is_key[0], "the file does not begin with a keyframe"),
        (packets.pts.min() != 0, "the first frame is not at time 0, and it seeks to the wrong place"),
        ((packets.notes != PLAIN).any(), "some packets show no frame, or no start"),
        (_has_leading_frames(layout), "frames before a keyframe are stored after it (open groups)"),
        (packets.trouble or packets.is_corrupt.any(), "the file is damaged"),
        (_is_table_wrong(layout), "the container's table of keyframes is wrong"),
        (picture.matrix, "the picture has to be rotated"),
        (picture.is_interlaced, "the picture is interlaced"),
        (width < 1 or 192 * -(-width // 64) // width != 3, "its pictures of this width are garbled"),
    )
    return next((str(reason) for is_so, reason in checks if is_so), None)


def _has_leading_frames(layout: Layout) -> bool:
    starts = layout.starts
    last_start = starts[np.searchsorted(starts, layout.order.packet_of, side="right") - 1]
    return bool((last_start != layout.entry).any())


def _is_table_wrong(layout: Layout) -> bool:
    table, is_key = layout.stream.keyframe_table, layout.packets.is_key
    return "mov" in layout.stream.containers and len(table) == is_key.size and list(table) != is_key.tolist()


class DecordEngine:
    """An engine that seeks to a keyframe, takes the frames after it one by one, and empties decord's queue.

    Only so is decord exact in long files, and only so does it stop decoding ahead.

    Args:
        layout: How the frames of the file are reached.
        threads: How many threads decode.
    """

    def __init__(self, layout: Layout, threads: int):
        self._layout, self._threads = layout, threads
        self._reader: Any = None
        self.decoded, self.seek_seconds = 0, 0.0
        survive_forks(self)

    def frames(
        self, numbers: Sequence[int], needed: Container[int] | None = None, *, stops: bool = False
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """See `PyAVEngine`; decord has to decode them all."""
        layout = self._layout
        begins = layout.number_of[layout.entry[list(numbers)]]
        last_of = dict(zip(begins.tolist(), numbers, strict=True))  # the last one stays
        for begin in sorted(last_of):
            yield from self._run(begin, last_of[begin])

    def reset(self) -> None:
        """See `PyAVEngine`."""
        self._reader = None

    def close(self) -> None:
        """See `PyAVEngine`."""
        self._reader = None

    def after_fork(self) -> None:
        """Forget the reader of the parent: the child opens the file anew."""
        abandon(self._reader)
        self._reader = None

    def _run(self, begin: int, last: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        reader = self._opened()
        self._seek(reader, begin)
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
            self._seek(reader, begin)

    def _seek(self, reader: Any, begin: int) -> None:
        start = time.perf_counter()
        reader.seek(begin)
        self.seek_seconds += time.perf_counter() - start

    def _opened(self) -> Any:
        if self._reader is None:
            # decord reads this when it is loaded: else it gives up waiting for a frame on a busy machine.
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
    """Return the next frame; where decord gives up, because its own threads are late, from `begin` again."""
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
