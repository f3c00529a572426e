"""A path becomes an index, the facts, and an engine that stands behind the first frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ...errors import DecodeError, OpenError, printable
from ..info import Stream, stream_facts
from .bitstream import PLAIN, look_for
from .container import Packets, open_container, pick_stream, read_packets
from .decoder import Decoder, FileMark
from .index import FrameIndex, Layout, frame_times
from .limits import MAX_PIXELS_VARIABLE, max_pixels
from .order import Order, decode_order, find_order
from .pyav import PyAVEngine
from .rgb import display_matrix

EngineName = Literal["auto", "decord", "pyav"]

# Where decord was found to seek exactly, if nothing else speaks against it.
_DECORD_CONTAINERS = {"mov", "matroska"}
_DECORD_CODECS = set("h264 vp8 mpeg4 ffv1 mjpeg png prores dnxhd huffyuv ffvhuff utvideo".split())
_BY_NUMBER = "each frame carries the number of its packet"


@dataclass(frozen=True)
class Opened:
    """A video file that was opened and understood."""

    index: FrameIndex
    engine: PyAVEngine
    """Owns the container, and stands behind the first frame."""
    first: VideoFrame
    """The first frame that can be decoded."""
    first_number: int
    """Which one that is."""


def open_file(path: str, threads: int, engine: EngineName = "auto") -> Opened:
    """Reads the packets of a file once, and decodes its first frame.

    Raises:
        OpenError: It is no video, or nothing in it can be decoded.
        ValueError: decord was asked for, and would not be exact.
    """
    container = open_container(path)
    try:
        return _understand(FileMark.of(path), container, threads, engine)
    except BaseException:
        container.close()
        raise


def _understand(mark: FileMark, container: InputContainer, threads: int, engine: EngineName) -> Opened:
    stream = pick_stream(container, mark.path)
    facts = stream_facts(container, stream)
    packets = read_packets(container, stream, look_for(facts.codec, facts.extradata))
    if not len(packets):
        reason = f": {packets.trouble}" if packets.trouble else ""
        raise OpenError(f"there are no frames in {printable(mark.path)}{reason}")
    nothing = OpenError(f"no frame of {printable(mark.path)} can be decoded{_size_hint(stream)}")
    order = learn_order(mark, packets, facts, threads)
    if not order.packet_of.size:
        raise nothing
    layout = Layout.of(mark, facts, packets, order)
    decoding = PyAVEngine(layout, threads, container)
    try:
        found = _first_frame(decoding)
        if found is None:
            raise nothing
        first_number, first = found
        index = _make_index(layout, engine, _decord_refusal(layout, first))
    except BaseException:
        decoding.close()
        raise
    return Opened(index, decoding, first, first_number)


def _make_index(layout: Layout, engine: EngineName, refusal: str | None) -> FrameIndex:
    name, reason = _choose(engine, refusal, layout)
    packets, order = layout.packets, layout.order
    pts, durations = frame_times(packets, order, layout.stream)
    return FrameIndex(
        path=layout.mark.path,
        pts_seconds=pts,
        duration_seconds=durations,
        keyframes=layout.keyframes,
        frame_bytes=packets.size[order.packet_of],
        frame_types=layout.frame_types(),
        engine=name,
        reason=reason,
        decord_refusal=refusal,
        layout=layout,
    )


def learn_order(mark: FileMark, packets: Packets, facts: Stream, threads: int) -> Order:
    """Which packets become frames, in which order; decodes only where the packets leave it open."""

    def careful() -> Decoder:
        return Decoder(mark, facts, packets, 1, is_tolerant=True)

    def decode(first: int, last: int) -> list[int]:
        decoder = Decoder(mark, facts, packets, threads)
        try:
            return decode_order(decoder, careful, first, last)
        finally:
            decoder.close()

    return find_order(packets, facts, decode)


def _size_hint(stream: VideoStream) -> str:
    """Name a likely reason: the decoder has refused a picture that is too large, and with it its size."""
    if stream.codec_context.width:
        return ""
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


def _decord_refusal(layout: Layout, first: VideoFrame) -> str | None:
    """Why decord would return wrong frames, or none; None if it is exact."""
    packets, facts, order = layout.packets, layout.stream, layout.order
    checks = (
        (not facts.containers & _DECORD_CONTAINERS, f"it does not seek exactly in {facts.container}"),
        (facts.codec not in _DECORD_CODECS, f"it fails on some {facts.codec} streams"),
        (order.why, order.why),
        (facts.num_videos > 1, "the file has more than one video stream, and it may take another"),
        (not facts.has_duration, "the file does not say how long it is"),
        (packets.is_discarded.any(), "an edit list hides frames, which it counts"),
        (not packets.is_key[0], "the file does not begin with a keyframe"),
        (packets.pts.min() != 0, "the first frame is not at time 0, and it seeks to the wrong place"),
        ((packets.notes != PLAIN).any(), "some packets show no frame, or no start"),
        (_has_leading(layout), "frames before a keyframe are stored after it (open groups)"),
        (packets.trouble or packets.is_corrupt.any(), "the file is damaged"),
        (_table_lies(packets, facts), "the container's table of keyframes is wrong"),
        (display_matrix(first), "the picture has to be turned"),
        (first.interlaced_frame, "the picture is interlaced"),
        (
            first.width < 1 or 192 * -(-first.width // 64) // first.width != 3,
            "of this width it gives garbled pictures",
        ),
    )
    return next((str(words) for is_so, words in checks if is_so), None)


def _has_leading(layout: Layout) -> bool:
    last_start = layout.starts[np.searchsorted(layout.starts, layout.order.packet_of, side="right") - 1]
    return bool((last_start != layout.entry).any())


def _table_lies(packets: Packets, facts: Stream) -> bool:
    table = facts.keyframe_table
    return "mov" in facts.containers and len(table) == len(packets) and list(table) != packets.is_key.tolist()
