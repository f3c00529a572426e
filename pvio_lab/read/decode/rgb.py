"""Decoded frames become RGB as the ffmpeg program converts them: rotated, scaled, and with its colours."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Container, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from ...base import abandon, new_lock, survive_forks

if TYPE_CHECKING:
    from .decord import DecordEngine
    from .pyav import PyAVEngine

Frames = NDArray[np.uint8]
Frame = VideoFrame | Frames
"""A decoded frame: in the format of the codec, or already RGB."""
Matrix = tuple[int, ...]
Filter = tuple[str, str]


class Picture(NamedTuple):
    """The facts of a decoded frame: those of the first one hold for all that do not say otherwise."""

    width: int
    """The width that the codec has: before the frame is rotated."""
    size: tuple[int, int]
    """Width and height as it is displayed."""
    pixel_format: str
    """The pixel format, as ffmpeg calls it."""
    is_interlaced: bool
    """It holds two fields."""
    rotation: int
    """The rotation for display in degrees, as PyAV counts them."""
    matrix: Matrix | None
    """The display matrix, which says the same and more; None if the frame is shown as it is."""

    @classmethod
    def of(cls, frame: VideoFrame) -> Picture:
        """Return the facts of this frame."""
        matrix, size = display_matrix(frame), (frame.width, frame.height)
        if any(name == "transpose" for name, _ in _rotation_filters(matrix)):
            size = size[::-1]
        interlaced = bool(frame.interlaced_frame)
        return cls(frame.width, size, frame.format.name, interlaced, frame.rotation, matrix)


class Converter:
    """A converter of the frames of one stream to RGB of one size; each thread has its own.

    ffmpeg's filters reuse the memory of their pictures, which a plain converter leaves to the allocator.

    Args:
        size: Width and height of the result.
        picture: The facts of the first frame.
    """

    def __init__(self, size: tuple[int, int], picture: Picture):
        self._size, self._picture = size, picture
        self._graph: Graph | None = None
        self._graph_key: tuple[object, ...] | None = None
        self.seconds = 0.0  # spent on converting so far
        survive_forks(self)

    def convert(self, frame: Frame) -> Frames:
        """Return the RGB pixels; there may be a gap between rows."""
        if isinstance(frame, np.ndarray):
            return frame
        begin = time.perf_counter()
        rgb = self._filter(frame, self._matrix_of(frame))
        self.seconds += time.perf_counter() - begin
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return rows[: rgb.height, : rgb.width * 3].reshape(rgb.height, rgb.width, 3)

    def _matrix_of(self, frame: VideoFrame) -> Matrix | None:
        """Read side data only if necessary: that keeps frames in memory until they are collected."""
        if frame.rotation in (0, self._picture.rotation):
            return self._picture.matrix
        return display_matrix(frame)

    def rest(self) -> None:
        """Free what is only needed for the next frame."""
        self._graph = self._graph_key = None

    def after_fork(self) -> None:
        """Abandon the graph: another thread may have put a frame into it and not taken it out."""
        abandon(self._graph)
        self.rest()

    def _filter(self, frame: VideoFrame, matrix: Matrix | None) -> VideoFrame:
        key = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, matrix)
        if self._graph is None or key != self._graph_key:
            self._graph, self._graph_key = _make_graph(frame, matrix, self._size), key
        self._graph.push(frame)
        result = self._graph.pull()
        assert isinstance(result, VideoFrame)
        return result


class FrameDecoder:
    """An engine and a converter, for one thread at a time; it continues from where it stands.

    Args:
        engine: Decodes.
        size: Width and height of the frames.
        picture: The facts of the first frame.
    """

    def __init__(self, engine: PyAVEngine | DecordEngine, size: tuple[int, int], picture: Picture):
        self.engine, self.converter = engine, Converter(size, picture)
        self.copy_seconds = 0.0
        # A thread that works for an interrupted call may be just about to end.
        self.lock = new_lock()

    def frames(
        self,
        numbers: Sequence[int],
        needed: Container[int] | None,
        check: Callable[[], None] | None = None,
    ) -> Iterator[Frames]:
        """Yield the pixels of these frames.

        Args:
            numbers: The frames, in ascending order.
            needed: All others may be left out of the decoding; None leaves out none.
            check: Called after each frame that is decoded; raises to stop.

        Raises:
            DecodeError: One of them cannot be decoded; those after it may be asked for.
        """
        wanted = iter(numbers)
        next_one = next(wanted, None)
        for number, frame in self.engine.frames(numbers, needed):
            if check:
                check()
            if number == next_one:
                yield self.converter.convert(frame)
                next_one = next(wanted, None)

    def write(self, frame: Frame, rows: list[int], frames: Frames) -> None:
        """Convert a frame into rows of an array."""
        pixels = self.converter.convert(frame)
        begin = time.perf_counter()
        for row in rows:
            frames[row] = pixels
        self.copy_seconds += time.perf_counter() - begin

    def reset(self) -> None:
        """Make the next read begin anew."""
        with self.lock:
            self.engine.reset()

    def close(self) -> None:
        """Close decoder and file until the next read."""
        with self.lock:
            self.engine.close()
            self.converter.rest()


def display_matrix(frame: VideoFrame) -> Matrix | None:
    """Return how the frame has to be rotated or mirrored for display, if at all."""
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # it carries data of a kind that PyAV has no name for
        return None
    return None if data is None else struct.unpack("=9i", bytes(data)[:36])


def _rotation_filters(matrix: Matrix | None) -> list[Filter]:
    """Return the filters by which the ffmpeg program rotates and mirrors frames with this display matrix."""
    if not matrix:
        return []
    angle = _clockwise_degrees(matrix)
    if angle == 90:
        return [("transpose", "cclock_flip" if matrix[3] > 0 else "clock")]
    if angle == 180:
        return [("hflip", "")] * (matrix[0] < 0) + [("vflip", "")] * (matrix[4] < 0)
    if angle == 270:
        return [("transpose", "clock_flip" if matrix[3] < 0 else "cclock")]
    if angle:
        return [("rotate", f"{angle}*PI/180")]
    return [("vflip", "")] if matrix[4] < 0 else []


def _clockwise_degrees(matrix: Matrix) -> int:
    scale = math.hypot(matrix[1], matrix[4]) or 1, math.hypot(matrix[0], matrix[3]) or 1
    return round(math.degrees(math.atan2(matrix[1] / scale[0], matrix[0] / scale[1]))) % 360


def _make_graph(frame: VideoFrame, matrix: Matrix | None, size: tuple[int, int]) -> Graph:
    graph = Graph()
    graph.threads = 1  # several decoders or converters are at work side by side
    space, color_range = int(frame.colorspace), int(frame.color_range)
    source = (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={Fraction(1, 1000)}"
        f":colorspace={space}:range={color_range}"
    )
    steps = [
        ("buffer", source),
        *_rotation_filters(matrix),
        ("scale", f"flags=bicubic:w={size[0]}:h={size[1]}"),
        ("format", "rgb24"),
        ("buffersink", ""),
    ]
    filters = [graph.add(name, args) if args else graph.add(name) for name, args in steps]
    for before, after in pairwise(filters):
        before.link_to(after)
    graph.configure()
    return graph
