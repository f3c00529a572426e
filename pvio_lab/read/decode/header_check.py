"""What the header of a video file promises, against what the file holds: a file may be cut short."""

from __future__ import annotations

import os
from contextlib import suppress
from os import PathLike
from typing import NamedTuple

import av

from .container import open_container

# Containers that say at their beginning how long they are.
_WITH_LENGTH = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "asf", "flv")
# Sound may be cut in the middle of a packet, and some writers round to whole frames.
_SLACK_SECONDS = 0.5


class Promise(NamedTuple):
    """How long a file says it is."""

    num_frames: int
    """Frames to be shown; 0 where the header has no reliable count."""
    trouble: str | None
    """A sentence, where the file ends before its time."""


def read_promise(path: str | PathLike[str]) -> Promise:
    """Compares the header with one pass over the packets; nothing is decoded."""
    with open_container(os.fsdecode(path)) as container:
        video = container.streams.best("video")
        if not isinstance(video, av.VideoStream) or container.format.name not in _WITH_LENGTH:
            return Promise(0, None)
        hidden, end = _walk(container, video)
        begin, seconds = (container.start_time or 0) / av.time_base, (container.duration or 0) / av.time_base
        count, is_avi = video.frames, container.format.name == "avi"
        if is_avi and video.average_rate:  # in AVI it is no count but a length: gaps are included
            seconds = max(seconds, float(count / video.average_rate))
    return Promise(0 if is_avi else max(count - hidden, 0), _shortfall(seconds, end - begin))


def _walk(container: av.container.InputContainer, video: av.VideoStream) -> tuple[int, float]:
    """How many frames the edit list hides, and when the last packet of any stream ends."""
    hidden, end = 0, 0.0
    with suppress(av.FFmpegError, IndexError):  # what cannot be read does not count
        for packet in container.demux():
            hidden += packet.stream is video and packet.is_discard
            time = packet.dts if packet.pts is None else packet.pts
            if time is not None and packet.time_base:
                end = max(end, float((time + (packet.duration or 0)) * packet.time_base))
    return hidden, end


def _shortfall(promised: float, found: float) -> str | None:
    if promised - found <= _SLACK_SECONDS:
        return None
    return f"the file is cut short: its header promises {promised:.2f} s, and it ends after {found:.2f} s"
