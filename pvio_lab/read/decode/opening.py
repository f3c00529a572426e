"""A path becomes an open file: understood, with its facts and its index, and ways to its frames.

A file that still arrives can be opened as well, for its first frames, where these are sure to be exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...errors import DecodeError, OpenError, printable
from ..info import VideoInfo
from .container import MAX_PIXELS_VARIABLE, max_pixels, open_container, open_options
from .decoder import FileMark, prepare
from .decord import DecordEngine, decord_refusal
from .index import FrameIndex, Layout, Numbers, make_index
from .order import is_known
from .packets import HeaderCheck, check_header, pick_stream, read_video, stream_facts
from .pyav import Engine, PyAVEngine
from .random_access import FrameDecoder, Frames, RandomAccess
from .rgb import Converter, Turn, displayed_size

Seconds = NDArray[np.float64]
EngineName = Literal["auto", "decord", "pyav"]

_BY_NUMBER = "each frame carries the number of its packet"
# Containers that say when each frame is shown.
_TIMED = {"mov", "matroska"}
# The last frames of a file that was cut have gaps between them.
_CUT_FRAMES = 16


def open_file(path: str, threads: int, engine: EngineName = "auto") -> OpenFile:
    """Read the packets of a local file once, and decode its first frame.

    Args:
        path: A video file.
        threads: How many threads decode.
        engine: The engine for random access; see `VideoReader`.

    Raises:
        FileNotFoundError: There is no such file.
        OpenError: It is not a video, or nothing in it can be decoded.
        ValueError: decord was asked for, and would not be exact.
    """
    container = open_container(path)
    try:
        layout = Layout.of(FileMark.of(path), *read_video(container, path), threads)
    except BaseException:
        container.close()
        raise
    decoding = PyAVEngine(layout, threads, container)
    try:
        found = _first_frame(decoding) if layout.order.packet_of.size else None
        if found is None:
            hint = "" if layout.stream.has_size else _too_large()
            raise OpenError(f"no frame of {printable(path)} can be decoded{hint}")
        return OpenFile(layout, threads, engine, decoding, *found)
    except BaseException:
        decoding.close()
        raise


class OpenFile:
    """A video file that was opened and understood. It keeps the decoder that has decoded the first frame.

    Attributes:
        index: When its frames are shown, and how they are reached.
        info: Its facts.
    """

    def __init__(
        self,
        layout: Layout,
        threads: int,
        engine: EngineName,
        decoding: PyAVEngine,
        first_number: int,
        first: VideoFrame,
    ):
        self._layout, self._threads, self._turn = layout, threads, Turn.of(first)
        refusal = decord_refusal(layout, first)
        self.index = make_index(layout, *_choose(engine, refusal, layout), refusal)
        self.info = _describe(layout, self.index, first)
        self._decoding: PyAVEngine | None = decoding
        self._first: tuple[int, VideoFrame] | None = (first_number, first)

    def random_access(self, size: tuple[int, int], cache_bytes: int) -> RandomAccess:
        """Return access to any frames, in this width and height."""
        first = self._first
        if self.index.engine == "decord":
            first = None
            if size != (self.info.width, self.info.height):
                raise ValueError(
                    "engine='decord' would not be exact with width= or height=; leave engine out"
                )
        access = RandomAccess(self._layout, size, partial(self.decoder, size), self._threads, cache_bytes)
        if first is not None:
            access.cache.put(*first)
        return access

    def decoder(self, size: tuple[int, int], threads: int) -> FrameDecoder:
        """Return a decoder of frames in this width and height; the first one goes on from the first frame."""
        opened, self._decoding, self._first = self._decoding, None, None
        engine: Engine | None = opened
        if opened is not None and (self.index.engine != "pyav" or threads != self._threads):
            opened.close()
            engine = None
        make_engine = PyAVEngine if self.index.engine == "pyav" else DecordEngine
        return FrameDecoder(engine or make_engine(self._layout, threads), Converter(size, self._turn))

    def stream(self, numbers: Numbers, size: tuple[int, int]) -> Generator[Frames]:
        """Yield frames in ascending order, each decoded when it is asked for, by a decoder of their own."""
        # A few threads more than processors, which are busy even while this thread converts.
        threads = self._threads + 2 if self._threads > 1 else 1
        decoder = FrameDecoder(PyAVEngine(self._layout, threads), Converter(size, self._turn))
        asked = numbers.tolist()
        try:
            yield from decoder.frames(asked, frozenset(asked))
        finally:
            decoder.close()

    def decode_all(self) -> Iterator[tuple[int, bool]]:
        """Decode the whole file; yield the number of each frame that comes out, and whether it is damaged."""
        engine = PyAVEngine(self._layout, self._threads)
        try:
            yield from ((number, bool(frame.is_corrupt)) for number, frame in engine.all_frames())
        finally:
            engine.close()

    def check_header(self) -> HeaderCheck:
        """Compare the promises of the header with the packets that are there."""
        return check_header(self._layout.mark.absolute, self._layout.stream, self._layout.packets)

    def is_same(self, path: str) -> bool:
        """Return whether another path leads to this very file."""
        return FileMark.of(path) == self._layout.mark

    def close(self) -> None:
        """Close the decoder of the first frame, unless it is in use elsewhere."""
        engine, self._decoding, self._first = self._decoding, None, None
        if engine is not None:
            engine.close()


def _too_large() -> str:
    """Name a likely reason: the decoder has refused a picture that is too large, and with it its size."""
    return (
        f"; perhaps they have more than {max_pixels()} pixels, the limit that {MAX_PIXELS_VARIABLE} can set"
    )


def _first_frame(engine: PyAVEngine) -> tuple[int, VideoFrame] | None:
    first = engine.peek(0)
    if first is not None:
        return 0, first
    try:
        return next(engine.frames([0]))
    except DecodeError:
        return next(engine.all_frames(), None)


def _choose(engine: EngineName, refusal: str | None, layout: Layout) -> tuple[Literal["decord", "pyav"], str]:
    path = layout.mark.path
    learnt = f"; the order was learnt by decoding, because {layout.order.why}" if layout.order.why else ""
    if engine == "decord":
        if refusal:
            raise ValueError(
                f"engine='decord' would not be exact for {printable(path)}: {refusal}; leave engine out"
            )
        return (
            engine,
            "asked for; exact while the file is intact, as it only seeks to keyframes and reads on.",
        )
    if engine == "pyav":
        return engine, f"asked for; it is exact, as {_BY_NUMBER}{learnt}."
    if refusal:
        return "pyav", f"it is exact, as {_BY_NUMBER}; decord would be wrong: {refusal}{learnt}."
    return (
        "pyav",
        f"it is exact, as {_BY_NUMBER}; decord would be, too, but is no faster and overlooks damage.",
    )


def _describe(layout: Layout, index: FrameIndex, first: VideoFrame) -> VideoInfo:
    facts, pts, durations = layout.stream, index.pts_seconds, index.duration_seconds
    seconds = float(pts[-1] + durations[-1] - pts[0])
    fps, is_variable = _rate(layout, pts, durations)
    width, height = displayed_size(first)
    bits = int(layout.packets.size.sum()) * 8
    return VideoInfo(
        path=layout.mark.path,
        num_frames=pts.size,
        height=height,
        width=width,
        fps=fps,
        duration_seconds=seconds,
        start_seconds=float(pts[0]),
        codec=facts.codec,
        pixel_format=facts.pixel_format or first.format.name,
        container=",".join(facts.containers),
        rotation_degrees=first.rotation % 360,
        is_variable_rate=is_variable,
        bit_rate=round(bits / seconds) if seconds > 0 else 0,
        size_bytes=layout.mark.size,
        audio=facts.audio,
    )


def _rate(layout: Layout, pts: Seconds, durations: Seconds) -> tuple[float, bool]:
    """Return frames a second on average, and whether they vary by more than rounding to ticks explains."""
    facts, packets, count = layout.stream, layout.packets, pts.size
    if packets.trouble or facts.promised_frames > packets.size.size:
        pts = pts[: max(count - _CUT_FRAMES, 2)]
    seconds = float(durations.sum())
    average = count / seconds if seconds > 0 else next(iter(facts.rates), 0.0)
    if len(pts) < 3:
        return _snapped(average, facts.rates, 0.01 * average), False
    if np.ptp(np.diff(pts)) > 1.01 * facts.time_base + 1e-9:
        return average, True
    # Times rounded to ticks cannot distinguish 29.97 from 29.9701; the rates in the header can.
    span = float(pts[-1] - pts[0])
    steady = (len(pts) - 1) / span if span > 0 else average
    return _snapped(steady, facts.rates, steady * 2 * facts.time_base / max(span, 1e-9) + 1e-9), False


def _snapped(rate: float, nominal: tuple[float, ...], room: float) -> float:
    return next((each for each in nominal if abs(each - rate) <= room), rate)


class NotStreamable(Exception):
    """A file that has to be there as a whole; the message says why."""


class FrontFrame(NamedTuple):
    """A frame of a file that is read from the front."""

    number: int
    seconds: float
    pixels: Callable[[], Frames]
    """Returns it in RGB; the next call, for any frame, may overwrite that."""


class FrontFile(NamedTuple):
    """A video that is read from the front."""

    fps: float | None
    """Frames a second, as the header has it."""
    duration_seconds: float | None
    """The duration; None where the header does not say."""
    frames: Generator[FrontFrame]
    """The frames in order; raises `NotStreamable` at the first doubt about one."""


def open_front(file: Any, name: str, threads: int) -> FrontFile:
    """Open a file of which only `read` is used.

    Args:
        file: A readable object, at the beginning of the video.
        name: The name of the video in errors.
        threads: How many threads decode.

    Raises:
        NotStreamable: Its frames could not be told apart without reading all of it.
    """
    try:
        container: InputContainer = av.open(file, "r", **open_options("none"))
        stream = pick_stream(container, name)
    except (av.error.FFmpegError, ValueError, OpenError) as error:
        raise NotStreamable(f"it does not open from the front: {error}") from error
    facts = stream_facts(container, stream)
    if _TIMED.isdisjoint(facts.containers) or not is_known(facts):
        raise NotStreamable(
            f"{facts.codec} in {','.join(facts.containers)} is not always one frame per packet"
        )
    seconds = None if container.duration is None else container.duration / av.time_base
    frames = _front_frames(container, stream, threads, facts.promised_frames)
    return FrontFile(next(iter(facts.rates), None), seconds, frames)


def _front_frames(
    container: InputContainer, stream: VideoStream, threads: int, promised: int
) -> Generator[FrontFrame]:
    context, base = stream.codec_context, float(stream.time_base or 1)
    prepare(context, threads)
    number, last, converter = 0, -math.inf, None
    try:
        for place, packet in enumerate(container.demux(stream)):
            if packet.is_corrupt or (place == 0 and not packet.is_keyframe):
                raise NotStreamable("it does not begin with a keyframe, or parts are missing")
            for frame in context.decode(packet):
                if frame.pts is None or frame.pts <= last or frame.is_corrupt:
                    raise NotStreamable("the times of its frames are in doubt, or one is damaged")
                converter = converter or Converter(displayed_size(frame), Turn.of(frame))
                yield FrontFrame(number, frame.pts * base, partial(converter.convert, frame))
                number, last = number + 1, frame.pts
    except av.error.FFmpegError as error:
        raise NotStreamable(f"it is damaged: {error}") from error
    finally:
        container.close()
    if number != promised:
        raise NotStreamable("it does not have as many frames as its header says")
