"""`read_audio`: the sound of a video, on the clock of its frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import positive_integer
from ..errors import DecodeError, printable
from .decode import SoundFrames, open_container, pick_sound
from .sources.fetching import Fetching, HeldSource
from .sources.urls import shown

Samples = NDArray[np.float32]

# A time computed from a number of frames may be wrong by this part of a sample.
_ROUNDING_SAMPLES = 1e-4
# The times of a file of a few bytes can leave out any time.
_MOST_SILENCE_SECONDS = 3600


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound: sample n of each channel is heard `start_seconds + n / sample_rate` seconds into the video."""

    samples: Samples = field(repr=False)
    """Samples between -1 and 1, `(channels, n)`, float32."""
    sample_rate: int
    """Samples a second."""
    start_seconds: float
    """The time of the first sample, on the clock of `reader.index.pts_seconds`."""
    num_damaged: int
    """Number of packets that could not be decoded; there is silence in their place if their times say so."""

    @property
    def duration_seconds(self) -> float:
        """Time from the first sample to the end of the last one."""
        return float(self.samples.shape[1] / self.sample_rate)

    def sample_numbers(self, seconds: ArrayLike) -> NDArray[np.int64]:
        """Return the numbers of the first samples at or after these times, which may be out of range.

        >>> Audio(np.zeros((1, 100), np.float32), 50, 0.5, 0).sample_numbers([0.5, 1, 1.01, 0])
        array([  0,  25,  26, -25])
        """
        exact = (np.asarray(seconds, np.float64) - self.start_seconds) * self.sample_rate
        return np.ceil(exact - _ROUNDING_SAMPLES).astype(np.int64)

    def between(self, start_seconds: float, stop_seconds: float) -> Samples:
        """Return the samples heard from a time until another, without a copy.

        >>> sound = read_audio("data_samples/with_sound.mp4")
        >>> sound.between(0.5, 0.6).shape
        (2, 4410)
        """
        first, last = np.clip(self.sample_numbers([start_seconds, stop_seconds]), 0, self.samples.shape[1])
        return self.samples[:, first:last]


def read_audio(
    source: str | PathLike[str],
    *,
    sample_rate: int | None = None,
    mono: bool = False,
    stream: int | None = None,
    trim: bool = True,
    fetching: Fetching | None = None,
) -> Audio:
    """Return the sound of a video, or of a file with sound only: what the ffmpeg program puts out.

    >>> sound = read_audio("data_samples/with_sound.mp4", sample_rate=16000, mono=True)
    >>> sound.samples.shape[0], sound.sample_rate, sound.start_seconds
    (1, 16000, 0.0)

    What an encoder has put before the first sample is left out, and edit lists are followed. Where the times
    of the file leave out more than a tenth of a second, there is silence, so that the rest stays in time.

    Args:
        source: A file, or its URL.
        sample_rate: Samples a second; as in the file when left out.
        mono: Mix all channels into one.
        stream: Which one of several sounds, numbered from 0; the one that ffmpeg picks when left out.
        trim: Cut off what an encoder has put behind the last sample, where an mp4 or mov file says how much.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Raises:
        DecodeError: Nothing of it can be decoded, or its times leave out more than an hour.
        FileNotFoundError: There is no such file.
        OpenError: It is not a media file, or there is no sound in it.
        SourceError: The URL cannot be fetched.
    """
    if sample_rate is not None:
        positive_integer(sample_rate, "sample_rate")
    with HeldSource(source, fetching) as local, open_container(local.path) as container:
        frames = SoundFrames(container, pick_sound(container, local.path, stream), trim=trim)
        if frames.head is None:
            raise DecodeError(f"nothing of the sound in {printable(shown(source))} can be decoded")
        rate, layout = sample_rate or frames.head.sample_rate, frames.head.layout
        runs = _Runs(rate, shown(source))
        found = frames.runs(rate, "mono" if mono else layout.name)
        # A few samples may be too few for one at a lower rate.
        pieces = [np.empty((1 if mono else layout.nb_channels, 0), np.float32)]
        pieces += [piece for begin, run in found for piece in runs.placed(begin, run)]
    return Audio(np.concatenate(pieces, axis=1), rate, runs.start_seconds, frames.num_damaged)


class _Runs:
    """Runs of sound, each put at its time."""

    def __init__(self, rate: int, name: str):
        self._rate, self._name = rate, name
        self._start: float | None = None
        self._count = self._silence = 0

    @property
    def start_seconds(self) -> float:
        return self._start or 0.0

    def placed(self, begin: float | None, pieces: Iterator[Samples]) -> Iterator[Samples]:
        """Yield the pieces of a run, after silence up to its time."""
        gap = 0
        if self._start is None:
            self._start = begin
        elif begin is not None:
            gap = math.floor((begin - self._start) * self._rate + 0.5) - self._count
        for number, piece in enumerate(pieces):
            if number == 0 and gap > 0:
                yield self._silent(piece.shape[0], gap)
            self._count += piece.shape[1]
            yield piece

    def _silent(self, channels: int, count: int) -> Samples:
        self._silence += count
        if self._silence > _MOST_SILENCE_SECONDS * self._rate:
            raise DecodeError(
                f"the times of the sound in {printable(self._name)} leave out more than an hour"
            )
        self._count += count
        return np.zeros((channels, count), np.float32)
