"""Frames from the beginning of a video that is not there as a whole: exact, or not at all."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import OpenError
from ..read.convert import Converter, Turn, displayed_size
from ..read.demux import open_options, pick_stream
from ..read.facts import stream_facts
from ..read.limits import codec_options
from ..read.order import is_known
from ..read.times import ROUNDING_SECONDS
from .front import Front, NotStreamable, check_streamable
from .policies import Policy
from .preprocess import Pixels

# Containers that tell when each frame is shown.
_CONTAINERS = {"mov", "matroska"}


class Beginning(NamedTuple):
    """A video of which only the beginning is read."""

    fps: float | None
    """Frames a second, as the header has it."""
    duration_seconds: float | None
    """As the header has it; None where it does not tell."""
    frames: Iterator[tuple[int, float, Pixels]]
    """Number, seconds and pixels of each frame that a policy takes; the next one may overwrite them."""


class Timed(NamedTuple):
    """A decoded frame."""

    number: int
    seconds: float
    frame: VideoFrame


def needs_beginning_only(policy: Policy) -> bool:
    """True where the frames that come first are all that can be asked for."""
    return policy.num_first is not None or policy.last_seconds is not None


def open_beginning(front: Front, name: str, policy: Policy, threads: int) -> Beginning:
    """Opens a video that is read from the front.

    Args:
        front: The file.
        name: What it is called in errors.
        policy: Which frames to take, one that needs the beginning only.
        threads: How many threads decode.

    Raises:
        NotStreamable: The frames would not be exact, or would take the whole file; so does `frames`.
    """
    check_streamable(front)
    try:
        container: InputContainer = av.open(front, "r", **open_options("none"))
        stream = pick_stream(container, name)
    except (av.error.FFmpegError, ValueError, OpenError) as error:
        raise NotStreamable(f"it does not open from the front: {error}") from error
    facts = stream_facts(container, stream)
    if not (facts.containers & _CONTAINERS and is_known(facts)):
        raise NotStreamable(f"{facts.codec} in {facts.container} is not always one frame a packet")
    seconds = None if container.duration is None else container.duration / 1_000_000
    if policy.last_seconds is not None and (seconds is None or seconds <= policy.last_seconds):
        raise NotStreamable("all of it is needed")
    fps = next(iter(facts.rates), None)
    return Beginning(fps, seconds, _taken(container, stream, policy, threads, facts.promised_frames))


def _taken(
    container: InputContainer, stream: VideoStream, policy: Policy, threads: int, promised: int
) -> Iterator[tuple[int, float, Pixels]]:
    frames = _decoded(container, stream, threads, promised)
    chosen = islice(frames, policy.num_first) if policy.num_first else on_timeline(frames, policy)
    converter = None
    with closing(frames):
        for number, seconds, frame in chosen:
            converter = converter or Converter(displayed_size(frame), Turn.of(frame))
            yield number, seconds, converter.convert(frame)


def on_timeline(frames: Iterator[Timed], policy: Policy) -> Iterator[Timed]:
    """The frame on screen at each tick; known when the next one comes."""
    assert policy.max_frames is not None
    shown = next(frames)
    ticks = iter((shown.seconds + np.arange(policy.max_frames) / policy.value).tolist())
    tick = next(ticks)
    for later in frames:
        while tick < later.seconds and not _is_rounded_down(shown.seconds, tick, later.seconds):
            yield shown
            try:
                tick = next(ticks)
            except StopIteration:
                return
        shown = later
    raise NotStreamable("it is shorter than its header says")


def _is_rounded_down(shown: float, tick: float, later: float) -> bool:
    """As in `read.times.frames_at`: the time of the later frame was meant."""
    return later - tick <= ROUNDING_SECONDS and later - tick < tick - shown


def _decoded(container: InputContainer, stream: VideoStream, threads: int, promised: int) -> Generator[Timed]:
    """The frames in order; NotStreamable at the first doubt about one."""
    context, base = stream.codec_context, float(stream.time_base or 1)
    context.thread_count, context.thread_type = threads, "AUTO" if threads > 1 else "SLICE"
    context.flags |= Flags.unaligned  # as when all of the file is there: else a crop at the left is rounded
    context.options = {"err_detect": "explode", **codec_options()}
    number, last = 0, -math.inf
    try:
        for packet in _sound_packets(container, stream):
            for frame in context.decode(packet):
                if frame.pts is None or frame.pts <= last or frame.is_corrupt:
                    raise NotStreamable("the times of its frames are in doubt, or one is damaged")
                yield Timed(number, frame.pts * base, frame)
                number, last = number + 1, frame.pts
    except av.error.FFmpegError as error:
        raise NotStreamable(f"it is damaged: {error}") from error
    finally:
        container.close()
    if number != promised:
        raise NotStreamable("it does not have as many frames as its header says")


def _sound_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    for number, packet in enumerate(container.demux(stream)):
        if packet.is_corrupt or (number == 0 and not packet.is_keyframe):
            raise NotStreamable("it does not begin with a keyframe, or parts are missing")
        yield packet
