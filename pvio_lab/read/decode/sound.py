"""Sound, decoded: runs of samples, each with the time at which it begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from ...errors import DecodeError, OpenError, printable

Samples = NDArray[np.float32]

# Where the times of a stream leave more than this out, something is missing; less is rounding.
_GAP_SECONDS = 0.1


def pick_sound(container: InputContainer, path: str, number: int | None) -> AudioStream:
    """Return a stream of sound by its number, or the one that the ffmpeg program picks.

    Raises:
        OpenError: There is none, or it has a codec that is not known.
        IndexError: There are not as many.
    """
    streams = [stream for stream in container.streams.audio if isinstance(stream, AudioStream)]
    if not streams:
        raise OpenError(f"there is no sound in {printable(path)}")
    if number is not None and not 0 <= number < len(streams):
        raise IndexError(f"stream={number} is out of range: {printable(path)} has {len(streams)} with sound")
    stream = max(streams, key=_score) if number is None else streams[number]
    if stream.codec_context is None:
        raise OpenError(f"the sound in {printable(path)} has a codec that is not known here")
    return stream


def _score(stream: AudioStream) -> tuple[bool, int]:
    channels = stream.codec_context.channels if stream.codec_context else 0
    return bool(stream.disposition & Disposition.default), channels


class SoundFrames:
    """The decoded frames of a stream of sound, one after the other.

    What encoders add before the first sample, and what edit lists cut off, is left out by FFmpeg. Packets
    that are damaged are passed over, as the ffmpeg program does.

    Args:
        container: An open container, at its beginning.
        stream: A stream in it.
        trim: Cut the last frame where the container says that it is shorter: encoders fill it up. Newer
            versions of FFmpeg do so themselves.

    Attributes:
        head: The next frame; None at the end.
        num_damaged: Number of packets so far that could not be decoded.
    """

    def __init__(self, container: InputContainer, stream: AudioStream, *, trim: bool):
        self.num_damaged, self._name = 0, printable(container.name.removeprefix("file:"))
        self._trim = trim and "mov" in container.format.name
        self._frames = self._decoded(container, stream)
        self.head = next(self._frames, None)

    def runs(self, rate: int, layout: str) -> Iterator[tuple[float | None, Iterator[Samples]]]:
        """Yield runs without gaps: when each begins, if that is known, and its samples piece by piece.

        A run has to be used up before the next one is asked for.
        """
        while self.head is not None:
            yield _time_of(self.head), self._run(self.head, rate, layout)

    def _run(self, first: AudioFrame, rate: int, layout: str) -> Iterator[Samples]:
        resampler = AudioResampler(format="fltp", layout=layout, rate=rate)
        kind, expected = _kind(first), _time_of(first)
        while self.head is not None and _kind(self.head) == kind:
            frame, time = self.head, _time_of(self.head)
            if time is not None and expected is not None and time - expected > _GAP_SECONDS:
                break
            expected = time if expected is None else expected
            expected = None if expected is None else expected + frame.samples / frame.sample_rate
            self.head = next(self._frames, None)
            if self.head is None and self._trim:
                frame = _trimmed(frame)
            frame.pts = None
            yield from self._converted(resampler, frame)
        yield from self._converted(resampler, None)

    def _converted(self, resampler: AudioResampler, frame: AudioFrame | None) -> list[Samples]:
        try:
            return [np.asarray(each.to_ndarray(), np.float32) for each in resampler.resample(frame)]
        except (av.error.FFmpegError, ValueError) as error:
            words = getattr(error, "strerror", None) or error
            raise DecodeError(f"the sound in {self._name} cannot be converted: {words}") from error

    def _decoded(self, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
        try:
            for packet in container.demux(stream):
                try:
                    yield from packet.decode()
                except av.error.FFmpegError:
                    self.num_damaged += 1
        except (av.error.FFmpegError, IndexError):  # it is cut short, or a stream has appeared halfway
            self.num_damaged += 1


def _trimmed(frame: AudioFrame) -> AudioFrame:
    """Return a frame with as many samples as its duration says, or itself."""
    samples = round((frame.duration or 0) * (frame.time_base or 1) * frame.sample_rate)
    if not 0 < samples < frame.samples:
        return frame
    width = 1 if frame.format.is_planar else frame.layout.nb_channels
    values: Any = np.ascontiguousarray(frame.to_ndarray()[:, : samples * width])
    trimmed = AudioFrame.from_ndarray(values, frame.format.name, frame.layout.name)
    trimmed.sample_rate = frame.sample_rate
    return trimmed


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _time_of(frame: AudioFrame) -> float | None:
    return None if frame.pts is None else float(frame.pts * (frame.time_base or 1))
