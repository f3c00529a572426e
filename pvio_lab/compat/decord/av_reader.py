"""decord's `AVReader`: frames with their sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray as Array

from .audio_reader import AudioReader
from .base import LocalSource, checked_index, checked_indices
from .ndarray import CPU, DECORDContext
from .video_reader import VideoReader


class AVReader:
    """Frames by number, each with the samples that are heard while it is shown: `(samples, frame)`.

    >>> av = AVReader("data_samples/with_sound.mp4", sample_rate=48000)
    >>> samples, frame = av[10]
    >>> samples.shape, frame.shape
    ((1, 1600), (240, 320, 3))
    >>> samples, frames = av[10:13]
    >>> [each.shape for each in samples], frames.shape
    ([(1, 1600), (1, 1600), (1, 1600)], (3, 240, 320, 3))

    A sample belongs to the frame that is shown when it is heard, exactly, also where the video begins later
    than the sound, which decord overlooks. Where the sound is over, there are fewer samples, or none.

    Args:
        uri: A path, a URL, a file object or bytes, as for `VideoReader`.
        ctx: The device, which must be `cpu()`.
        sample_rate: Samples a second, or -1 for those of the file.
        mono: Mix all channels into one.
        width: See `VideoReader`.
        height: See `VideoReader`.
        num_threads: See `VideoReader`.
        fault_tol: See `VideoReader`.
        warn: See `VideoReader`.

    Raises:
        DECORDError: It cannot be opened, or it has no sound.
    """

    def __init__(
        self,
        uri: Any,
        ctx: DECORDContext = CPU,
        sample_rate: int = 44100,
        mono: bool = True,
        width: int = -1,
        height: int = -1,
        num_threads: int = 0,
        fault_tol: float = -1,
        *,
        warn: bool = False,
    ):
        self._source = LocalSource(uri)
        uri = self._source.uri
        # Other people's code reads these two, by the names that they have in decord.
        self.__audio_reader = AudioReader(uri, ctx, sample_rate, mono)
        self.__padding = self.__audio_reader.add_padding()
        self.__video_reader = VideoReader(uri, ctx, width, height, num_threads, fault_tol, warn=warn)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.__video_reader)

    def __getitem__(self, idx: int | slice) -> tuple[Any, Any]:
        """Return the samples of a frame, and the frame; or a list of samples and the frames of a slice."""
        if isinstance(idx, slice):
            return self.get_batch(range(len(self))[idx])
        number = checked_index(idx, len(self))
        return self.__sound(np.array([number]))[0], self.__video_reader[number]

    def get_batch(self, indices: Any) -> tuple[list[Any], Any]:
        """Return a list with the samples of each frame, and any frames as one array."""
        numbers = checked_indices(indices, len(self))
        return self.__sound(numbers), self.__video_reader.get_batch(numbers)

    def __sound(self, numbers: Array[np.int64]) -> list[Any]:
        """Return the samples of each frame; those of one frame end where those of the next one begin."""
        begin, stay = self.__video_reader._reader.times
        edges = self.__audio_reader._sound.sample_numbers([*begin, begin[-1] + stay[-1]]) + self.__padding
        edges = np.maximum(edges, 0)
        return [self.__audio_reader[edges[number] : edges[number + 1]] for number in numbers]
