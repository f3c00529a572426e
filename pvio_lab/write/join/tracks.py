"""The streams of a joined file: each gives packets their times in the whole, and is verified in the end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...errors import EncodeError, OpenError
from ...read import NO_TIME, Matrix, Packets, open_container, pick_stream, read_streams
from .compatibility import Clip
from .frame_times import PacketCheck, Refusal

# Every packet of these decodes to the same number of samples, even the last one, which is shorter.
_EVEN = {"aac", "mp1", "mp2", "mp3", "ac3", "eac3", "dts", "opus"}
# A container may change the times of sound by so many seconds.
_SOUND_SLACK = 0.002


@dataclass(frozen=True)
class Interval:
    """The time of a clip in the whole, in seconds."""

    begin: Fraction
    end: Fraction
    is_first: bool
    is_last: bool


def conversion(source: Fraction, target: Fraction, delay: Fraction | int = 0) -> Callable[[int], int]:
    """Return a function from ticks of a clip to ticks of the whole: exact, then rounded to the nearest.

    >>> conversion(Fraction(1, 30), Fraction(1, 1000), Fraction(1, 2))(2)
    567

    Args:
        source: Seconds in a tick of the clip.
        target: Seconds in a tick of the whole.
        delay: Seconds by which everything is later.
    """
    scale, shift = source / target, delay / target
    whole = math.lcm(scale.denominator, shift.denominator)
    a, b, c = 2 * int(scale * whole), 2 * int(shift * whole) + whole, 2 * whole
    return lambda ticks: (ticks * a + b) // c


class OutputTrack(ABC):
    """A stream of the output, whose header is written, and of the clip that is being written."""

    def __init__(self, output: OutputContainer, stream: Stream, source: Stream):
        self._output, self._stream = output, stream
        self.codec = source.codec_context.codec.canonical_name
        self.index, self.source = stream.index, source.index
        self.tick = stream.time_base or Fraction(1)
        self.times = array("q")  # of each packet, in ticks
        self._last = -(2**62)

    def begin(self, clip: Clip, source: Stream, interval: Interval) -> None:
        """Prepare for the packets of this stream of this clip."""
        self._path, self._interval = clip.path, interval
        self._source_tick = source.time_base or Fraction(1)
        self._place = conversion(self._source_tick, self.tick, interval.begin - clip.start)
        self._length = conversion(self._source_tick, self.tick)
        self._first_tick, self._end_tick = self._ticks(interval.begin), self._ticks(interval.end)

    @abstractmethod
    def take(self, packet: Packet[Any]) -> None:
        """Write a packet of the clip, or drop it."""

    def end(self) -> None:
        """Finish the clip, after its last packet."""
        return

    def differences(self, found: Packets, tick: Fraction, start: float) -> Iterator[str]:
        """Yield what is wrong with the packets found in the written file, which begins at `start` seconds."""
        pts = self._times_in(found)
        if len(pts) != len(self.times):
            yield f"has {len(pts)} packets, not {len(self.times)}"
        elif (pts == NO_TIME).any():
            yield f"has {(pts == NO_TIME).sum()} packets without a time"
        else:
            late = pts * float(tick) - start - np.array(self.times) * float(self.tick)
            if (np.abs(late) > self._slack(tick)).any():
                row = int(np.abs(late).argmax())
                seconds = pts[row] * float(tick) - start
                yield f"has packet {row} at {seconds:.6f} s, which is {late[row]:+.6f} s off"

    def _times_in(self, found: Packets) -> NDArray[np.int64]:
        return found.pts

    def _slack(self, tick: Fraction) -> float:
        return float(tick) + _SOUND_SLACK

    def _ticks(self, seconds: Fraction) -> int:
        return math.floor(seconds / self.tick + Fraction(1, 2))

    def _write(self, packet: Packet[Any], pts: int, dts: int, duration: int) -> None:
        dts = max(dts, self._last + 1)
        if dts > pts:
            raise EncodeError(
                f"the ticks of the output, {self.tick} s, are too coarse to tell the frames of {self._path} "
                f"apart; choose another container, such as .mp4"
            )
        self._last = dts
        packet.stream = self._stream
        packet.time_base = self.tick
        packet.pts, packet.dts, packet.duration = pts, dts, duration
        self.times.append(pts)
        self._output.mux_one(packet)


class VideoTrack(OutputTrack):
    """A track of pictures: each packet counts. Where clips differ in it, keyframes say how they are coded."""

    def __init__(self, output: OutputContainer, stream: Stream, source: Stream, repeats_sets: bool = False):
        super().__init__(output, stream, source)
        self._repeats_sets = repeats_sets

    def begin(self, clip: Clip, source: Stream, interval: Interval) -> None:
        """Prepare for the packets of this stream of this clip."""
        super().begin(clip, source, interval)
        frames = clip.frames[source.index]
        self._sets = clip.parameter_sets.get(source.index) if self._repeats_sets else None
        self._rows = iter(zip(frames.pts.tolist(), frames.dts.tolist(), frames.size.tolist(), strict=True))

    def take(self, packet: Packet[Any]) -> None:
        """Write a packet, if it is the one that was there before."""
        pts, dts, size = next(self._rows, (None, 0, 0))
        if pts is None or pts != packet.pts or size != packet.size:
            raise EncodeError(f"{self._path} has changed while it was read")
        duration = self._length(packet.duration or 0)
        if self._sets and packet.is_keyframe:
            packet = Packet(self._sets.before(bytes(packet)))
            packet.is_keyframe = True
        self._write(packet, self._place(pts), self._place(dts), duration)

    def end(self) -> None:
        """Fail if packets are missing."""
        if next(self._rows, None) is not None:
            raise EncodeError(f"{self._path} has changed while it was read")

    def differences(self, found: Packets, tick: Fraction, start: float) -> Iterator[str]:
        """Yield what is wrong with the stream in the written file, in words."""
        if found.is_discarded.any():
            yield f"has {found.is_discarded.sum()} frames that an edit list hides"
        yield from super().differences(found, tick, start)

    def _slack(self, tick: Fraction) -> float:
        return float(max(self.tick, tick)) / 2


class SoundTrack(OutputTrack):
    """A track of sound, anchored anew to the pictures of each clip; what would overlap at a joint is dropped.

    Even decoders that only count samples stay with the pictures: a packet at a joint is kept or dropped so
    that all samples up to there fill the time up to there, to half a packet. Only a container that `has_lead`
    has a place for sound before time 0.
    """

    def __init__(self, output: OutputContainer, stream: Stream, source: AudioStream, has_lead: bool):
        super().__init__(output, stream, source)
        context = source.codec_context
        self._has_lead = has_lead
        self._may_be_cut = output.format.name in ("matroska", "webm")
        self._sample = Fraction(1, context.sample_rate or 48000)
        self._usual = context.frame_size if self.codec in _EVEN else 0
        self._reach: int | None = None  # how far all samples so far would reach, without gaps and overlaps

    def begin(self, clip: Clip, source: Stream, interval: Interval) -> None:
        """Prepare for the packets of this stream of this clip."""
        super().begin(clip, source, interval)
        self._place_sample = conversion(self._source_tick, self._sample, interval.begin - clip.start)
        self._num_samples = conversion(self._source_tick, self._sample)
        self._first_sample, self._end_sample = (
            math.floor(seconds / self._sample) for seconds in (interval.begin, interval.end)
        )
        self._next: int | None = None
        self._is_joining = not interval.is_first

    def take(self, packet: Packet[Any]) -> None:
        """Write a packet, if it has its place in the clip's time."""
        time = packet.pts if packet.pts is not None else packet.dts
        time = self._next if time is None else time
        if time is None:
            raise EncodeError(f"the sound of {self._path} has no times")
        self._next = time + (packet.duration or 0)
        samples = self._samples_in(packet)
        first, begin = self._place_sample(time), self._place(time)
        reach = first if self._reach is None or first - self._reach > samples else self._reach
        if not self._has_room(first, reach, samples):
            return
        self._is_joining = False
        self._reach = reach + samples - (_unheard_samples(packet) if self._may_be_cut else 0)
        begin = max(begin, self._last + 1)
        duration = self._length(packet.duration or 0)
        if not self._interval.is_last:
            duration = max(min(duration, self._end_tick - begin), 1)
        self._write(packet, begin, begin, duration)

    def _samples_in(self, packet: Packet[Any]) -> int:
        """Return how many come out of a decoder, which may be more than are to be heard."""
        own = self._num_samples(packet.duration or 0)
        if self.codec not in _EVEN or own > 1.5 * self._usual > 0:
            return own
        self._usual = self._usual or own
        return self._usual

    def _has_room(self, first: int, reach: int, samples: int) -> bool:
        """Return whether to keep a packet, by its first sample, and by the one that counting leads to."""
        half = samples // 2
        if self._interval.is_first and first < 0 and not self._has_lead:
            return False
        if not self._interval.is_last and (first >= self._end_sample or reach + half > self._end_sample):
            return False
        return not self._is_joining or first + half >= max(reach, self._first_sample)


class SubtitleTrack(OutputTrack):
    """A track of subtitles, within the time of their clip."""

    def take(self, packet: Packet[Any]) -> None:
        """Write a packet, shortened where it goes beyond the clip."""
        if packet.pts is None or (self.codec == "mov_text" and packet.size <= 2):
            return  # an empty text, which the output gets where there is a gap
        begin = self._place(packet.pts)
        end = begin + self._length(packet.duration or 0)
        if not self._interval.is_last:
            end = min(end, self._end_tick)
        begin = max(begin, self._first_tick)
        if end < begin or (not self._interval.is_last and begin >= self._end_tick):
            return
        begin = max(begin, self._last + 1)
        self._write(packet, begin, begin, max(end - begin, 0))

    def _times_in(self, found: Packets) -> NDArray[np.int64]:
        return found.pts[found.size > 2] if self.codec == "mov_text" else found.pts


def _unheard_samples(packet: Packet[Any]) -> int:
    """Return how many samples at the end of a packet are not to be heard."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[4:8], "little")


def verify(path: Path, tracks: Sequence[OutputTrack], first: Clip) -> None:
    """Read the packets of the written file, and raise EncodeError if they are not what was meant.

    Args:
        path: The file.
        tracks: Its streams, which know what was written to them; the first is the main one.
        first: The clip that the streams were made after.
    """
    try:
        container = open_container(str(path))
    except OpenError as error:
        raise EncodeError(f"the joined file cannot be read again: {error}") from error
    with container:
        wrong = list(_all_differences(container, tracks, first))
    if wrong:
        raise EncodeError(
            f"the joined file is not what it was meant to be, and is not kept: {'; '.join(wrong)}. "
            "Another container may hold it, such as .mkv"
        )


def _all_differences(container: InputContainer, tracks: Sequence[OutputTrack], first: Clip) -> Iterator[str]:
    streams = {stream.index: stream for stream in container.streams}
    for track in tracks:
        context = streams[track.index].codec_context if track.index in streams else None
        codec = context.codec.canonical_name if context else "nothing that is known"
        if codec != track.codec:
            yield f"stream {track.index} is {codec}, not {track.codec}"
            return
    main = tracks[0].index
    if pick_stream(container, "the joined file").index != main:
        yield f"another video stream than number {main} became the main one"
    checks = {
        track.index: PacketCheck(stream)
        for track in tracks
        if isinstance(stream := streams[track.index], VideoStream)
    }
    found = read_streams(container, {track.index: checks.get(track.index) for track in tracks})
    keeps_zero = {"mov", "matroska"} & set(container.format.name.split(","))
    start = 0.0
    if not keeps_zero and len(found[main]):
        start = found[main].pts.min() * float(streams[main].time_base or 1)
    for track in tracks:
        tick = streams[track.index].time_base or Fraction(1)
        differences = [*track.differences(found[track.index], tick, start)]
        if track.index in checks and not differences:
            differences += _lost_rotation(checks[track.index], first.matrices[track.source])
        yield from (f"stream {track.index} {each}" for each in differences)


def _lost_rotation(check: PacketCheck, wanted: Matrix | None) -> Iterator[str]:
    """Decode the first frame: the container may have lost what a decoder needs, or the rotation."""
    try:
        matrix = check.matrix()
    except Refusal as refusal:
        yield str(refusal)
        return
    if matrix != wanted:
        yield f"has the display matrix {matrix}, not {wanted}: this container cannot hold a rotation"
