"""The files of a collection: the facts that the plan needs of each, and the decoders of their frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..base import new_rlock
from ..read import (
    FrameDecoder,
    Frames,
    HeldSource,
    ImageSequence,
    OpenFile,
    VideoInfo,
    is_directory,
    open_file,
    recall,
    remember,
    scaled_size,
)
from .sources import Source

Check = Callable[[], None]
"""Called for each decoded frame; raises an exception to stop decoding."""
Size = tuple[int, int]
"""Height and width of a frame."""
Wanted = tuple[int | None, int | None]
"""Width and height that all frames shall have; None for their own."""


class Facts(NamedTuple):
    """The facts by which a file is cut into pieces."""

    num_frames: int
    size: Size
    """Height and width of its frames as they are delivered."""
    pixels: int
    """The number of pixels of a frame in the file."""


class VideoFile:
    """A video file in the plan of one epoch; what it knows goes when nothing refers to it any more.

    With remembered facts, it is not opened before more is needed.

    Args:
        number: Its place in the dataset.
        source: Its path and name.
        wanted: The size of its frames.
        threads: The number of threads of its first decoder.
    """

    def __init__(self, number: int, source: Source, wanted: Wanted, threads: int):
        self.number, self.name = number, source.name
        self._source, self._wanted, self._threads = source, wanted, threads
        self._lock = new_rlock()
        self._info: VideoInfo | None = None
        self._file: OpenFile | None = None
        self._held: HeldSource | None = None  # as long as its index, which is of this very file

    def facts(self) -> Facts:
        """Return its facts: remembered ones where there are any."""
        if self._info is None:
            with HeldSource(self._source.path, self._source.fetching) as file:
                self._info = recall(file.path)
        if self._info is None:
            self.open()
        assert self._info
        width, height = scaled_size((self._info.width, self._info.height), *self._wanted)
        return Facts(self._info.num_frames, (height, width), self._info.width * self._info.height)

    def borders(self) -> list[int]:
        """Return the frames at which decoding can begin."""
        self.open()
        assert self._file
        borders: list[int] = self._file.index.keyframes.tolist()
        return borders

    def open(self) -> None:
        """Learn all that there is to know of the file now."""
        with self._lock:
            if self._file is None:
                held = HeldSource(self._source.path, self._source.fetching)
                self._file = open_file(held.path, self._threads)
                self._held = held
                if self._info is None:
                    self._info = self._file.info
                    remember(held.path, self._info)

    def decoder(self, threads: int) -> VideoDecoder:
        """Return a new decoder with this many threads, for one worker."""
        self.open()
        size = self.facts().size
        with self._lock:
            assert self._file
            return VideoDecoder(self._file.decoder(size[::-1], threads), len(self._file.index), self._held)

    def close(self) -> None:
        """Close what is kept open for the first decoder."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def __reduce__(self) -> tuple[type, tuple[int, Source, Wanted, int]]:
        return VideoFile, (self.number, self._source, self._wanted, 1)


class VideoDecoder:
    """A decoder of a video, which continues from where it stands."""

    def __init__(self, decoder: FrameDecoder, num_frames: int, held: HeldSource | None):
        self._decoder, self._num_frames = decoder, num_frames
        self._held = held  # it may have to be opened again

    def frames(self, numbers: range, check: Check) -> Iterator[Frames]:
        """Yield these frames, whose numbers increase.

        Raises:
            DecodeError: The next one cannot be decoded; those after it may be asked for.
        """
        # Those after them will be asked for next, so they must not be left out of the decoding.
        return self._decoder.frames(numbers, range(numbers[0], self._num_frames, numbers.step), check)

    def close(self) -> None:
        """Close the decoder and the file."""
        self._decoder.close()


class ImageFolder:
    """A directory of images in the plan of one epoch; its own decoder, as each can be read by itself."""

    def __init__(self, number: int, source: Source, wanted: Wanted):
        self.number, self.name = number, source.name
        self._source, self._wanted = source, wanted
        self._lock = new_rlock()
        self._images: ImageSequence | None = None

    def facts(self) -> Facts:
        """See `VideoFile`."""
        images = self._opened()
        return Facts(len(images), images.shape[1:3], images.info.height * images.info.width)

    def borders(self) -> list[int]:
        """See `VideoFile`."""
        return list(range(len(self._opened())))

    def open(self) -> None:
        """See `VideoFile`."""
        self._opened()

    def decoder(self, threads: int) -> ImageFolder:
        """See `VideoFile`."""
        return self

    def frames(self, numbers: range, check: Check) -> Iterator[Frames]:
        """See `VideoDecoder`."""
        images = self._opened()
        for number in numbers:
            check()
            yield images.load(number)

    def close(self) -> None:
        """See `VideoFile`."""

    def __reduce__(self) -> tuple[type, tuple[int, Source, Wanted]]:
        return ImageFolder, (self.number, self._source, self._wanted)

    def _opened(self) -> ImageSequence:
        with self._lock:
            if self._images is None:
                width, height = self._wanted
                with HeldSource(self._source.path, self._source.fetching) as folder:
                    self._images = ImageSequence(folder.path, width=width, height=height)
            return self._images


MediaFile = VideoFile | ImageFolder
FileDecoder = VideoDecoder | ImageFolder


def media_file(number: int, source: Source, wanted: Wanted, threads: int, *, is_folder: bool) -> MediaFile:
    """Return a video file or, where that is known or found, a directory of images; neither is opened yet."""
    if is_folder or is_directory(source.path, source.fetching):
        return ImageFolder(number, source, wanted)
    return VideoFile(number, source, wanted, threads)
