"""A joined file is read again, and compared with what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import EncodeError, OpenError
from ..read.demux import NO_TIME, Packets, open_container, read_streams
from .lanes import Lane, VideoLane

# What a container may do to the times of sound, in seconds.
_SOUND_SLACK = 0.002


def verify(path: Path, lanes: Sequence[Lane]) -> None:
    """Reads the packets of the written file, and compares them with what was meant.

    Args:
        path: The file.
        lanes: What was written to each stream; the first is the main one.
    """
    try:
        container = open_container(str(path))
    except OpenError as error:
        raise EncodeError(f"the joined file cannot be read again: {error}") from error
    with container:
        found = read_streams(container, {stream.index: None for stream in container.streams})
        ticks = {stream.index: stream.time_base or Fraction(1) for stream in container.streams}
        codecs = {
            stream.index: stream.codec_context.codec.canonical_name
            for stream in container.streams
            if stream.codec_context is not None
        }
        keeps_zero = {"mov", "matroska"} & set(container.format.name.split(","))
    start = 0.0
    main = lanes[0].index
    if not keeps_zero and main in found and len(found[main]):
        start = found[main].pts.min() * float(ticks[main])
    wrong = [
        f"stream {lane.index} is {codecs.get(lane.index)}, not {lane.codec}"
        for lane in lanes
        if codecs.get(lane.index) != lane.codec
    ]
    wrong += [
        f"stream {lane.index} {words}"
        for lane in lanes
        for words in _differences(lane, found.get(lane.index), ticks.get(lane.index, Fraction(1)), start)
    ]
    if wrong:
        raise EncodeError(
            f"the joined file is not what it was meant to be, and is not kept: {'; '.join(wrong)}"
        )


def _differences(lane: Lane, found: Packets | None, tick: Fraction, start: float) -> Iterator[str]:
    if found is None:
        yield "is missing"
        return
    is_video = isinstance(lane, VideoLane)
    pts = found.pts[found.size > 2] if lane.codec == "mov_text" else found.pts
    if len(pts) != len(lane.times):
        yield f"has {len(pts)} packets, not {len(lane.times)}"
        return
    if (pts == NO_TIME).any():
        yield f"has {(pts == NO_TIME).sum()} packets without a time"
        return
    if is_video and found.is_discarded.any():
        yield f"has {found.is_discarded.sum()} frames that an edit list hides"
    room = float(max(lane.tick, tick)) / 2 if is_video else float(tick) + _SOUND_SLACK
    late = pts * float(tick) - start - np.array(lane.times) * float(lane.tick)
    if (np.abs(late) > room).any():
        row = int(np.abs(late).argmax())
        yield f"has packet {row} at {pts[row] * float(tick) - start:.6f} s, which is {late[row]:+.6f} s off"
