"""decord's `VideoLoader`: batches of frames from many videos."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import VideoReader as ExactReader
from ...read import ReaderPool
from .base import DECORDError, LocalSource, decord_errors, opening, tell_once
from .bridge import bridge_out
from .ndarray import DECORDContext, NDArray, check_device
from .video_reader import open_reader

# More videos than this are not kept open.
_MAX_OPEN = 32
# A batch by the number of its video and that of its first frame.
Batch = tuple[int, int]


class VideoLoader:
    """Batches of frames, each from one video: `(frames, indices)`.

    Each row of the indices has the number of a video, and that of a frame.

    >>> from pvio_lab.compat.decord import cpu
    >>> videos = ["data_samples/gop2.mp4", "data_samples/shapes.mp4"]
    >>> loader = VideoLoader(videos, cpu(0), (8, 120, 160, 3), interval=1, skip=10, shuffle=0)
    >>> frames, indices = next(loader)
    >>> frames.shape, indices.asnumpy()[:3].tolist(), len(loader)
    ((8, 120, 160, 3), [[0, 0], [0, 2], [0, 4]], 14)

    As in decord, an iteration goes on where the one before has stopped, until `reset`; and the last frame or
    two of a video are in no batch.

    Args:
        uris: The videos: a list of paths or URLs.
        ctx: The device, which must be `cpu()`, or a list of devices.
        shape: The number of frames in a batch, their height, their width, and 3. A height or width that is
            not more than 0 is the video's own.
        interval: How many frames are left out between two of a batch.
        skip: How many frames are left out between two batches.
        shuffle: 0 for the order of the files; 1 for turns between the videos at random, each of them in
            order; 2 for all at random; 3 for the order of the files, each at random, which decord describes
            but does not have. What is random follows `random.seed`, and is new after each `reset`.
        prefetch: Not used.
        warn: Warn, once a file, where decord itself may return other frames. It is logged in any case.

    Raises:
        DECORDError: A video cannot be opened, or `shuffle` is something else.
    """

    def __init__(
        self,
        uris: Sequence[Any],
        ctx: DECORDContext | Sequence[DECORDContext],
        shape: Sequence[int],
        interval: int,
        skip: int,
        shuffle: int,
        prefetch: int = 0,
        *,
        warn: bool = False,
    ):
        assert isinstance(uris, list | tuple), f"{uris=} must be a list of videos"
        assert uris, f"{uris=} must not be empty"
        for each in [ctx] if isinstance(ctx, DECORDContext) else ctx:
            check_device(each)
        assert isinstance(shape, list | tuple), f"{shape=} must be a list of four numbers"
        assert len(shape) == 4, f"{shape=} must have four numbers: frames, height, width, 3"
        if shuffle not in range(4) or shape[0] < 1:
            raise DECORDError(f"{shuffle=} must be 0, 1, 2 or 3, and shape[0]={shape[0]} 1 or more")
        self._sources = [LocalSource(uri.strip() if isinstance(uri, str) else uri) for uri in uris]
        self._shape, self._warn = tuple(shape), warn
        self._readers: ReaderPool[int, ExactReader] = ReaderPool(self._open, limit=_MAX_OPEN)
        self._step, self._shuffle = max(interval, 0) + 1, shuffle
        lengths = [len(self._readers.get(video)) for video in range(len(uris))]
        self._starts = [self._batch_starts(length, max(skip, 0)) for length in lengths]
        self.reset()

    def __len__(self) -> int:
        """Return the number of batches from one `reset` to the next."""
        return sum(map(len, self._starts))

    def __iter__(self) -> VideoLoader:
        return self

    def __next__(self) -> tuple[Any, Any]:
        if self._place >= len(self._order):
            raise StopIteration
        video, first = self._order[self._place]
        self._place += 1
        numbers = first + self._step * np.arange(self._shape[0])
        reader = self._readers.get(video)
        if reader.index.decord_refusal is not None:
            tell_once(reader.info.path, first, reader.index.decord_refusal, warn=self._warn)
        with decord_errors():
            frames = reader.read(numbers)
        self._readers.touch(reader)
        indices = np.stack([np.full_like(numbers, video), numbers], axis=1)
        return bridge_out(NDArray(frames)), bridge_out(NDArray(indices))

    next = __next__

    def reset(self) -> None:
        """Begin again, in a new order if it is random."""
        self._place = 0
        batches = [[(video, start) for start in starts] for video, starts in enumerate(self._starts)]
        self._order = _ordered(batches, self._shuffle)

    def _open(self, video: int) -> ExactReader:
        _, height, width, _ = self._shape
        source = self._sources[video].uri
        with opening(source):
            return open_reader(source, width, height, cache_bytes=0)

    def _batch_starts(self, length: int, skip: int) -> range:
        """Return the first frames of the batches of a video of this length, as decord counts them."""
        span = (self._shape[0] - 1) * self._step + 1
        end = length - 1 + skip if self._shuffle == 1 else length - 1 - span
        if self._shuffle == 1:
            return range(0, end // (span + skip) * (span + skip), span + skip)
        return range(0, max(end, 0), span + skip)


def _ordered(batches: list[list[Batch]], shuffle: int) -> list[Batch]:
    """Return all batches in the order in which they are read.

    >>> _ordered([[(0, 0), (0, 8)], [(1, 0)]], 0)
    [(0, 0), (0, 8), (1, 0)]
    """
    if shuffle == 3:
        batches = [random.sample(each, len(each)) for each in batches]
    flat = [batch for each in batches for batch in each]
    if shuffle == 2:
        random.shuffle(flat)
    if shuffle == 1:
        turns = random.sample([video for video, _ in flat], len(flat))
        left = [iter(each) for each in batches]
        return [next(left[video]) for video in turns]
    return flat
