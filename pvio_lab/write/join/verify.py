"""A joined file is read again, and compared with what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from ...errors import EncodeError, OpenError
from ...read import NO_TIME, Matrix, Packets, open_container, pick_stream, read_streams
from .clip import Clip
from .look import Look, Refusal
from .tracks import Lane, VideoLane

# What a container may do to the times of sound, in seconds.
_SOUND_SLACK = 0.002


def verify(path: Path, lanes: Sequence[Lane], first: Clip) -> None:
    """Reads the packets of the written file, and compares them with what was meant.

    Args:
        path: The file.
        lanes: What was written to each stream; the first is the main one.
        first: The clip that the streams were made after.

    Raises:
        EncodeError: It is not what was meant.
    """
    try:
        container = open_container(str(path))
    except OpenError as error:
        raise EncodeError(f"the joined file cannot be read again: {error}") from error
    with container:
        wrong = list(_all_differences(container, lanes, first))
    if wrong:
        raise EncodeError(
            f"the joined file is not what it was meant to be, and is not kept: {'; '.join(wrong)}. "
            "Another container may hold it, such as .mkv"
        )


def _all_differences(container: InputContainer, lanes: Sequence[Lane], first: Clip) -> Iterator[str]:
    streams = {stream.index: stream for stream in container.streams}
    for lane in lanes:
        context = streams[lane.index].codec_context if lane.index in streams else None
        codec = context.codec.canonical_name if context else "nothing that is known"
        if codec != lane.codec:
            yield f"stream {lane.index} is {codec}, not {lane.codec}"
            return
    main = lanes[0].index
    if pick_stream(container, "the joined file").index != main:
        yield f"another video stream than number {main} became the main one"
    videos = {stream.index: stream for stream in container.streams if isinstance(stream, VideoStream)}
    looks = {lane.index: Look(videos[lane.index]) for lane in lanes if lane.index in videos}
    found = read_streams(container, {lane.index: looks.get(lane.index) for lane in lanes})
    keeps_zero = {"mov", "matroska"} & set(container.format.name.split(","))
    start = 0.0
    if not keeps_zero and len(found[main]):
        start = found[main].pts.min() * float(streams[main].time_base or 1)
    for lane in lanes:
        tick = streams[lane.index].time_base or Fraction(1)
        differences = [*_differences(lane, found[lane.index], tick, start)]
        if lane.index in looks and not differences:
            differences += _turns(looks[lane.index], first.matrices[lane.source])
        yield from (f"stream {lane.index} {words}" for words in differences)


def _turns(look: Look, wanted: Matrix | None) -> Iterator[str]:
    """The first frame is decoded, as the container may have lost what a decoder needs, or the rotation."""
    try:
        matrix = look.matrix()
    except Refusal as refusal:
        yield str(refusal)
        return
    if matrix != wanted:
        yield f"has the display matrix {matrix}, not {wanted}: this container cannot hold a rotation"


def _differences(lane: Lane, found: Packets, tick: Fraction, start: float) -> Iterator[str]:
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
