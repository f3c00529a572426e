"""decord's `AudioReader`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import read_audio
from .base import LocalSource, checked_index, checked_indices, opening
from .bridge import bridge_out
from .ndarray import CPU, DECORDContext, NDArray, check_device


class AudioReader:
    """Samples of the sound of a file by number, all of them decoded at the beginning.

    >>> ar = AudioReader("data_samples/with_sound.mp4", sample_rate=16000)
    >>> ar.shape, ar[:160].shape, ar[0].shape
    ((1, 48298), (1, 160), (1,))

    Right here, and wrong in decord: `duration` has fractions of a second, also after `add_padding`; `shape`
    then counts the silence; `sample_rate` is the one that there is, even if none was asked for.

    Args:
        uri: A path, a URL, a file object or bytes, as for `VideoReader`.
        ctx: The device, which must be `cpu()`.
        sample_rate: Samples a second, if it is not -1.
        mono: Mix all channels into one.

    Raises:
        DECORDError: It cannot be opened, or it has no sound.
    """

    def __init__(self, uri: Any, ctx: DECORDContext = CPU, sample_rate: int = -1, mono: bool = True):
        check_device(ctx)
        source = LocalSource(uri)
        with opening(uri):
            rate = None if sample_rate == -1 else sample_rate
            self._sound = read_audio(source.uri, sample_rate=rate, mono=bool(mono), stream=0, trim=False)
        self._array, self.sample_rate = self._sound.samples, self._sound.sample_rate

    @property
    def shape(self) -> tuple[int, int]:
        """Number of channels, and of samples in each."""
        channels, samples = self._array.shape
        return channels, samples

    def __len__(self) -> int:
        """Return the number of channels."""
        return self.shape[0]

    def __getitem__(self, idx: int | slice) -> Any:
        """Return one sample of each channel, or those of a slice."""
        key = idx if isinstance(idx, slice) else checked_index(idx, self.shape[1])
        return bridge_out(NDArray(self._array[:, key].copy()))

    def get_batch(self, indices: Any) -> Any:
        """Return any samples of each channel, in this order."""
        return bridge_out(NDArray(self._array[:, checked_indices(list(indices), self.shape[1])]))

    def duration(self) -> float:
        """Return how long the sound is, in seconds."""
        return self.shape[1] / self.sample_rate

    def add_padding(self) -> int:
        """Put silence before the sound, so that it begins at time 0; return how many samples of it."""
        count = max(math.ceil(self._sound.start_seconds * self.sample_rate), 0)
        self._array = np.pad(self._sound.samples, ((0, 0), (count, 0)))
        return count

    def get_info(self) -> None:
        """Print a few facts."""
        channels, samples = self.shape
        print(
            f"{channels} channels of {samples} samples, {self.sample_rate} a second: "
            f"{self.duration():.6f} s, from {self._sound.start_seconds:.6f} s on"
        )
