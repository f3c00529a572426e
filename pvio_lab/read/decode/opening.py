"""A path becomes an open file: understood, with its facts and its index, and ways to its frames.

A file that still arrives can be opened as well, for its first frames, where these are sure to be exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, NamedTuple

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ...errors import OpenError, printable
from .container import MAX_PIXELS_VARIABLE, FileMark, max_pixels, open_limited
from .decoder import decode_range, prepare
from .decord import DecordEngine, EngineName, choose_engine
from .index import describe
from .order import Layout, Numbers, is_known, make_layout
from .packets import HeaderCheck, check_header, pick_stream, read_video, stream_facts
from .pyav import PyAVEngine
from .random_access import RandomAccess
from .rgb import Converter, FrameDecoder, Frames, Picture

# Containers that say when each frame is shown.
_TIMED = {"mov", "matroska"}


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
    mark, container = FileMark.open(path)
    try:
        facts, packets = read_video(container, path)
        layout = make_layout(mark, facts, packets, partial(decode_range, mark, facts, packets, threads))
    except BaseException:
        container.close()
        raise
    opened = PyAVEngine(layout, threads, container)
    try:
        first = opened.first_frame()
        if first is None:
            hint = "" if facts.has_size else _too_large()
            raise OpenError(f"no frame of {printable(path)} can be decoded{hint}")
        return OpenFile(layout, threads, engine, opened, first)
    except BaseException:
        opened.close()
        raise


def _too_large() -> str:
    """Name a likely reason: the decoder has refused a picture that is too large, and with it its size."""
    return (
        f"; perhaps they have more than {max_pixels()} pixels, the limit that {MAX_PIXELS_VARIABLE} can set"
    )


class OpenFile:
    """A video file that was opened and understood. It keeps the engine that has decoded the first frame.

    Attributes:
        index: When its frames are shown, and how they are reached.
        info: Its facts.
    """

    def __init__(
        self,
        layout: Layout,
        threads: int,
        engine: EngineName,
        opened: PyAVEngine,
        first: tuple[int, VideoFrame],
    ):
        self._layout, self._threads, self._picture = layout, threads, Picture.of(first[1])
        chosen = choose_engine(engine, layout, self._picture)
        self.index, self.info = describe(layout, self._picture, *chosen)
        self._opened: PyAVEngine | None = opened
        self._first: tuple[int, VideoFrame] | None = first

    def random_access(self, size: tuple[int, int], cache_bytes: int) -> RandomAccess:
        """Return access to any frames, in this width and height."""
        first = self._first
        if self.index.engine == "decord":
            first = None
            if size != (self.info.width, self.info.height):
                raise ValueError(
                    "engine='decord' would not be exact with width= or height=; leave engine out"
                )
        decoder, more = self.decoder(size, self._threads), partial(self.decoder, size)
        return RandomAccess(self._layout, size, decoder, more, self._threads, cache_bytes, first)

    def decoder(self, size: tuple[int, int], threads: int) -> FrameDecoder:
        """Return a decoder of frames in this width and height; the first continues from the first frame."""
        opened, is_decord = self._opened, self.index.engine == "decord"
        if opened is None or is_decord or threads != self._threads:
            self.close()
            opened = None
        self._opened = self._first = None
        engine = opened or (DecordEngine if is_decord else PyAVEngine)(self._layout, threads)
        return FrameDecoder(engine, size, self._picture)

    def stream(self, numbers: Numbers, size: tuple[int, int]) -> Generator[Frames]:
        """Yield frames in ascending order, each decoded when it is asked for, by a decoder of their own."""
        # A few threads more than processors, which are busy even while this thread converts.
        threads = self._threads + 2 if self._threads > 1 else 1
        decoder = FrameDecoder(PyAVEngine(self._layout, threads), size, self._picture)
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
        """Close the engine of the first frame, unless it is in use elsewhere."""
        if self._opened is not None:
            self._opened.close()
        self._opened = self._first = None


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
        container = open_limited(file, "none")
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


def _converter(first: VideoFrame) -> Converter:
    picture = Picture.of(first)
    return Converter(picture.size, picture)


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
                converter = converter or _converter(frame)
                yield FrontFrame(number, frame.pts * base, partial(converter.convert, frame))
                number, last = number + 1, frame.pts
    except av.error.FFmpegError as error:
        raise NotStreamable(f"it is damaged: {error}") from error
    finally:
        container.close()
    if number != promised:
        raise NotStreamable("it does not have as many frames as its header says")
