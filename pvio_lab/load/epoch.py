"""The plan of an epoch: its files, opened a little ahead, become pieces that workers decode, and batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ..base import new_rlock
from ..read import (
    FrameDecoder,
    Frames,
    HeldSource,
    ImageSequence,
    OpenFile,
    is_directory,
    open_file,
    recall,
    remember,
    scaled_size,
)
from .batch_plan import Batch, BatchSettings, Part, Piece, Size, by_piece, cut, form_batches
from .dataset import BROKEN, Source, VideoCollectionDataset

Wanted = tuple[int | None, int | None]
"""Width and height that all frames shall have; None for their own."""

# A piece shall be worth handing over: at least about this many pixels are decoded for it.
_LEAST_COST = 8_000_000
# Pieces are shuffled within a window of at most this many files, or this many frames.
_WINDOW_FILES, _WINDOW_FRAMES = 64, 500_000


class Facts(NamedTuple):
    """The facts by which a file is cut into pieces."""

    num_frames: int
    size: Size
    """The size of its frames as they are delivered."""
    pixels: int
    """The number of pixels of a frame in the file."""


class VideoFile:
    """A video file in the plan of one epoch; what it knows goes when nothing refers to it any more.

    Args:
        source: Its path and name.
        wanted: The size of its frames.
        threads: The number of threads of its first decoder.
    """

    def __init__(self, source: Source, wanted: Wanted, threads: int = 1):
        self.path, self.name, self._source = source.path, source.name, source
        self._wanted, self._threads = wanted, threads
        self._lock = new_rlock()
        self._held: HeldSource | None = None  # as long as its index, which is of this very file
        self._file: OpenFile | None = None

    def facts(self) -> Facts:
        """Return its facts; with remembered ones, it is not opened before more is needed."""
        self._held = HeldSource(self._source.path, self._source.fetching)
        info = recall(self._held.path)
        if info is None:
            info = self._opened().info
            remember(self._held.path, info)
        width, height = scaled_size((info.width, info.height), *self._wanted)
        return Facts(info.num_frames, (height, width), info.width * info.height)

    def borders(self) -> Sequence[int]:
        """Return the frames at which decoding can begin."""
        borders: list[int] = self._opened().index.keyframes.tolist()
        return borders

    def decoder(self, size: Size, threads: int) -> FrameDecoder:
        """Return a new decoder for one worker, which needs this file as long as it decodes."""
        with self._lock:
            return self._opened().decoder((size[1], size[0]), threads)

    def close(self) -> None:
        """Close what is kept open for the first decoder."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def __reduce__(self) -> Any:
        return VideoFile, (self._source, self._wanted)

    def _opened(self) -> OpenFile:
        with self._lock:
            if self._file is None:
                self._held = self._held or HeldSource(self._source.path, self._source.fetching)
                self._file = open_file(self._held.path, self._threads)
            return self._file


class ImageFolder:
    """A directory of images in the plan of one epoch; its own decoder, as each can be read by itself."""

    def __init__(self, source: Source, wanted: Wanted):
        self.path, self.name, self._source, self._wanted = source.path, source.name, source, wanted
        self._lock = new_rlock()
        self._images: ImageSequence | None = None

    def facts(self) -> Facts:
        """See `VideoFile`."""
        images = self._opened()
        return Facts(len(images), images.shape[1:3], images.info.height * images.info.width)

    def borders(self) -> Sequence[int]:
        """See `VideoFile`."""
        return range(len(self._opened()))

    def decoder(self, size: Size, threads: int) -> ImageFolder:
        """See `VideoFile`."""
        return self

    def frames(self, numbers: range, needed: range, check: Callable[[], None]) -> Iterator[Frames]:
        """See `FrameDecoder`."""
        images = self._opened()
        for number in numbers:
            check()
            yield images.load(number)

    def close(self) -> None:
        """Do nothing, as no file stays open."""

    def __reduce__(self) -> Any:
        return ImageFolder, (self._source, self._wanted)

    def _opened(self) -> ImageSequence:
        with self._lock:
            if self._images is None:
                width, height = self._wanted
                folder = HeldSource(self.path, self._source.fetching)
                self._images = ImageSequence(folder.path, width=width, height=height)
            return self._images


MediaFile = VideoFile | ImageFolder
FileDecoder = FrameDecoder | ImageFolder


def media_file(dataset: VideoCollectionDataset, number: int, threads: int = 1) -> MediaFile:
    """Return one of the files, a directory of images where that is known or found; it is not opened yet."""
    source, wanted = dataset.sources[number], (dataset.width, dataset.height)
    if dataset.as_image_dirs or is_directory(source.path, source.fetching):
        return ImageFolder(source, wanted)
    return VideoFile(source, wanted, threads)


class Epoch:
    """The plan of one epoch. It is made while it is followed: the next few files may be opened ahead of it.

    Args:
        dataset: The files.
        settings: The settings that decide about the batches.
        number: The number of the epoch: each is shuffled differently.
        start: The number of batches that are left out at the beginning.
        cuts: Cut files into pieces at their keyframes, for more than one worker.
        threads: The number of threads of the first decoder of each file.
        ahead: The number of files that may be open before they are needed.
    """

    def __init__(
        self,
        dataset: VideoCollectionDataset,
        settings: BatchSettings,
        number: int,
        start: int = 0,
        *,
        cuts: bool,
        threads: int,
        ahead: int,
    ):
        self._dataset, self._settings, self._threads, self._ahead = dataset, settings, threads, ahead
        self._is_shuffled = settings.order == "shuffled"
        self._cuts = cuts or self._is_shuffled or settings.world_size > 1
        self._random = np.random.default_rng([settings.seed, number])
        count = len(dataset.sources.paths)
        order = self._random.permutation(count) if self._is_shuffled else np.arange(count)
        self._order: Iterator[int] = iter(order.tolist())
        self._lock = new_rlock()  # closing may come from the garbage collector, in the middle of anything
        self._begun: deque[Future[list[Piece]]] = deque()
        self.batches: Iterator[Batch] = islice(form_batches(self._pieces(), settings), start, None)
        """The batches of this rank; afterwards, look for an error."""
        self._by_piece = by_piece(self.batches)
        self.error: Exception | None = None
        """The reason why the plan ends early."""

    def next_piece(self) -> list[tuple[Batch, Part]]:
        """Return the parts of the next piece, for a worker that decodes them in one go; none at the end."""
        return next(self._by_piece, [])

    def opening(self) -> Callable[[], None] | None:
        """Return a job for an idle worker that opens one of the next files; None if it is not time yet."""
        with self._lock:
            return self._begin() if len(self._begun) < self._ahead else None

    def close(self) -> None:
        """End the plan, and close the files that it did not come to."""
        with self._lock:
            begun, self._begun, self._order = self._begun, deque(), iter(())
        self.batches, self._by_piece = iter(()), iter(())
        for result in begun:
            if result.done() and result.exception() is None and (pieces := result.result()):
                pieces[0].file.close()

    def _begin(self) -> Callable[[], None] | None:
        """Return a job that opens the next file; None if there are no more, or the plan was closed."""
        number = next(self._order, None)
        if number is None:
            return None
        result: Future[list[Piece]] = Future()
        self._begun.append(result)
        return partial(self._open, number, result)

    def _open(self, number: int, result: Future[list[Piece]]) -> None:
        try:
            result.set_result(self._cut(media_file(self._dataset, number, self._threads)))
        except BaseException as error:
            result.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def _cut(self, file: MediaFile) -> list[Piece]:
        """Return the pieces of a file; none if it is broken, and such files are skipped."""
        try:
            num_frames, size, pixels = file.facts()
            is_long = num_frames * pixels > 2 * _LEAST_COST
            is_worth_cutting = self._cuts and (is_long or self._is_shuffled)
            borders = file.borders() if is_worth_cutting else []
        except BROKEN as error:
            self._dataset.skip(file.name, error)
            return []
        if self._is_shuffled:
            file.close()  # it may be long until its turn
        least = 1 if self._is_shuffled else _LEAST_COST // pixels
        runs = cut(num_frames, self._settings.step, borders, least)
        return [Piece(file, run, size, (run[-1] + 1 - run[0]) * pixels) for run in runs]

    def _pieces(self) -> Iterator[Piece]:
        try:
            for window in self._windows():
                if self._is_shuffled:
                    window = [window[which] for which in self._random.permutation(len(window))]
                yield from window
        except BROKEN as error:
            self.error = error

    def _windows(self) -> Iterator[list[Piece]]:
        """Yield the pieces that may change places."""
        most = _WINDOW_FILES if self._is_shuffled else 1
        window: list[Piece] = []
        num_files = num_frames = 0
        for pieces in self._files():
            window += pieces
            num_files, num_frames = num_files + 1, num_frames + pieces[-1].numbers[-1] + 1
            if num_files >= most or num_frames >= _WINDOW_FRAMES:
                yield window
                window, num_files, num_frames = [], 0, 0
        yield window

    def _files(self) -> Iterator[list[Piece]]:
        """Yield the pieces of one file after the other."""
        while True:
            with self._lock:
                own = None if self._begun else self._begin()
                result = self._begun.popleft() if self._begun else None
            if result is None:
                return
            if own is not None:
                own()
            if pieces := result.result():
                yield pieces
