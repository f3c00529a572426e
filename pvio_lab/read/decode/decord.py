"""decord, and the rules for using it: where it is exact, and how it has to be handled to be so."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...base import abandon, genuine, survive_forks
from ...errors import DecodeError, OpenError, printable
from .bitstream import PLAIN
from .order import Layout
from .pyav import PyAVEngine
from .rgb import Picture

EngineName = Literal["auto", "decord", "pyav"]

_BY_NUMBER = "each frame carries the number of its packet"
# Where decord was found to seek exactly, if nothing else speaks against it.
_CONTAINERS = {"mov", "matroska"}
_CODECS = set("h264 vp8 mpeg4 ffv1 mjpeg png prores dnxhd huffyuv ffvhuff utvideo".split())
# Skipping, decord gives up after 10,000 waits; there are at most two for each packet up to the end.
_MOST_PACKETS = 4_900


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
        reason = "asked for; exact, as it only seeks to keyframes and reads on, and PyAV looks for damage."
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


def load_decord() -> Any:
    """Return decord itself, even if `pvio_lab.compat` has put a stand-in in its place."""
    # decord reads this when it is loaded: else it gives up waiting for a frame on a busy machine.
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", str(2**31 - 1))
    return genuine("decord")


class DecordEngine:
    """An engine that seeks to a keyframe, skips to the frames it needs, and empties decord's queue.

    Only so is decord exact in long files, and only so does it stop decoding ahead. It overlooks most damage,
    so PyAV decodes each frame once, too, to find out whether there is any.

    Args:
        layout: How the frames of the file are reached.
        threads: How many threads decode.
    """

    def __init__(self, layout: Layout, threads: int):
        self._layout, self._threads = layout, threads
        self._reader: Any = None
        self._checker, self._checked = PyAVEngine(layout, threads), set[int]()
        self.decoded, self.seek_seconds = 0, 0.0
        survive_forks(self)

    def frames(
        self, numbers: Sequence[int], needed: Container[int] | None = None, *, stops: bool = False
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """See `PyAVEngine`; decord decodes them all, but converts only those that are needed."""
        layout = self._layout
        begins = layout.number_of[layout.entry[list(numbers)]]
        last_of = dict(zip(begins.tolist(), numbers, strict=True))  # the last one stays
        for begin, last in sorted(last_of.items()):
            group = range(begin, last + 1)
            chosen = [number for number in group if needed is None or number in needed]
            self._check(chosen)
            yield from self._run(begin, chosen)

    def reset(self) -> None:
        """See `PyAVEngine`."""
        self._reader = None
        self._checker.reset()

    def close(self) -> None:
        """See `PyAVEngine`."""
        self._reader = None
        self._checker.close()

    def after_fork(self) -> None:
        """Forget the reader of the parent: the child opens the file anew."""
        abandon(self._reader)
        self._reader = None

    def _check(self, numbers: list[int]) -> None:
        """Raise an error if one of these frames, or one that it needs, is damaged."""
        if not self._checked.issuperset(numbers):
            if not self._checker.is_sound(numbers):
                path = printable(self._layout.mark.path)
                raise DecodeError(
                    f"{path} is damaged at or before frame {numbers[-1]}, which decord overlooks; "
                    "leave engine out"
                )
            self._checked.update(numbers)

    def _run(self, begin: int, numbers: list[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        reader, place = self._opened(), begin
        can_skip = len(self._layout.packets) - self._layout.entry[begin] <= _MOST_PACKETS
        self._seek(reader, begin)
        try:
            for number in numbers:
                frame = _frame(reader, begin, place, number, can_skip=can_skip)
                self.decoded += number + 1 - place
                place = number + 1
                yield number, frame
        except StopIteration:
            raise self._error(number, "it does not come") from None
        except Exception as error:
            if not type(error).__name__.startswith("DECORD"):
                raise
            raise self._error(number, _first_line(error)) from error
        finally:
            self._seek(reader, begin)

    def _error(self, number: int, why: str) -> DecodeError:
        self._reader = None  # its threads have ended
        path = printable(self._layout.mark.path)
        return DecodeError(
            f"decord cannot decode frame {number} of {path}, or one soon after it: {why}; leave engine out"
        )

    def _seek(self, reader: Any, begin: int) -> None:
        start = time.perf_counter()
        reader.seek(begin)
        self.seek_seconds += time.perf_counter() - start

    def _opened(self) -> Any:
        if self._reader is None:
            decord, path = load_decord(), self._layout.mark.path
            try:
                # Without fault_tol, the last frame that came stands in for those that do not.
                self._reader = decord.VideoReader(
                    self._layout.mark.absolute, num_threads=self._threads, fault_tol=0
                )
            except Exception as error:
                raise OpenError(f"decord cannot open {path}: {_first_line(error)}") from error
            if len(self._reader) != len(self._layout.entry):
                found = len(self._reader)
                self._reader = None
                raise OpenError(
                    f"decord finds {found} frames in {path}, but there are {len(self._layout.entry)}"
                )
        return self._reader


def _frame(reader: Any, begin: int, place: int, number: int, *, can_skip: bool) -> NDArray[np.uint8]:
    """Return a frame of a reader that stands at `place`; where its threads are late, begin again."""
    for pause in (0.01, 0.1, 1.0, None):
        try:
            _pass_over(reader, number - place, can_skip=can_skip)
            return np.asarray(reader.next().asnumpy())
        except Exception as error:
            if pause is None or "DECORD_EOF_RETRY_MAX" not in str(error):
                raise
            time.sleep(pause)
            reader.seek(begin)
            place, can_skip = begin, False
    raise AssertionError  # the last round returns or raises


def _pass_over(reader: Any, count: int, *, can_skip: bool) -> None:
    """Decode so many frames and drop them."""
    if can_skip and count:
        reader.skip_frames(count)  # without converting them
    else:
        for _ in range(count):
            reader.next()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
