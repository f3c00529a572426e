"""The files of a collection: what the plan has to know of each, and how its frames are reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from ..base import new_rlock
from ..read import (
    FrameDecoder,
    Frames,
    HeldSource,
    ImageSequence,
    OpenFile,
    VideoInfo,
    fetched,
    is_directory,
    open_file,
    recall,
    remember,
    scaled_size,
)
from .plan import Size
from .sources import Source

Check = Callable[[], None]
"""Called often while frames are decoded; raises where that shall stop."""


class Wanted(NamedTuple):
    """The size that all frames shall have; None for their own."""

    width: int | None = None
    height: int | None = None

    def of(self, width: int, height: int) -> Size:
        """The height and width of a frame that has this size of its own."""
        width, height = scaled_size((width, height), *self)
        return height, width


class Lane(Protocol):
    """Reads the frames of one file, for one worker."""

    def frames(self, numbers: range, check: Check) -> Iterator[Frames]:
        """These frames, whose numbers go up.

        Raises:
            DecodeError: The next one cannot be decoded; those after it may be asked for.
        """

    def close(self) -> None:
        """Gives the decoder and the file back."""


class MediaFile(Protocol):
    """A file in the plan of one epoch. What was learnt about it goes when nothing refers to it any more."""

    number: int
    """Its place in the dataset."""
    name: str
    """Its place, without what may be secret in a URL."""

    @property
    def num_frames(self) -> int:
        """How many frames it has."""

    @property
    def size(self) -> Size:
        """Height and width of its frames as they come out."""

    @property
    def pixels(self) -> int:
        """How many pixels a frame has in the file."""

    @property
    def borders(self) -> list[int]:
        """The frames at which decoding can begin."""

    def open(self) -> None:
        """Learns all of the above now."""

    def lane(self, threads: int) -> Lane:
        """A new way to its frames, by so many decoding threads."""

    def close(self) -> None:
        """Gives back what waits for the first lane."""


class VideoFile:
    """A video file. Its facts may be remembered; then it is not opened before more is needed."""

    def __init__(self, number: int, source: Source, wanted: Wanted, threads: int):
        self.number, self.name = number, source.name
        self._source, self._wanted, self._threads = source, wanted, threads
        self._lock = new_rlock()
        self._info: VideoInfo | None = None
        self._file: OpenFile | None = None
        self._held: HeldSource | None = None  # as long as its index, which is of this very file

    @property
    def num_frames(self) -> int:
        """See `MediaFile`."""
        return self._facts().num_frames

    @property
    def size(self) -> Size:
        """See `MediaFile`."""
        return self._wanted.of(self._facts().width, self._facts().height)

    @property
    def pixels(self) -> int:
        """See `MediaFile`."""
        return self._facts().width * self._facts().height

    @property
    def borders(self) -> list[int]:
        """See `MediaFile`."""
        self.open()
        assert self._file
        borders: list[int] = self._file.index.keyframes.tolist()
        return borders

    def open(self) -> None:
        """See `MediaFile`."""
        with self._lock:
            if self._file is None:
                held = HeldSource(self._source.path, self._source.fetching)
                self._file = open_file(held.path, self._threads)
                self._held = held
                if self._info is None:
                    self._info = self._file.info
                    remember(held.path, self._info)

    def lane(self, threads: int) -> VideoLane:
        """See `MediaFile`."""
        self.open()
        with self._lock:
            assert self._file
            decoder = self._file.decoder(self.size[::-1], threads)
            return VideoLane(decoder, len(self._file.index), self._held)

    def close(self) -> None:
        """See `MediaFile`."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def __reduce__(self) -> tuple[type, tuple[int, Source, Wanted, int]]:
        return VideoFile, (self.number, self._source, self._wanted, 1)

    def _facts(self) -> VideoInfo:
        if self._info is None:
            with fetched(self._source.path, self._source.fetching) as file:
                self._info = recall(file.path)
        if self._info is None:
            self.open()
        assert self._info
        return self._info


class VideoLane:
    """A decoder that goes on from where it stands."""

    def __init__(self, decoder: FrameDecoder, num_frames: int, held: HeldSource | None = None):
        self._decoder, self._num_frames = decoder, num_frames
        self._held = held  # it may have to be opened again

    def frames(self, numbers: range, check: Check) -> Iterator[Frames]:
        """See `Lane`."""
        # Those after them will be asked for next, so they must not be left out of the decoding.
        return self._decoder.frames(numbers, range(numbers[0], self._num_frames, numbers.step), check)

    def close(self) -> None:
        """See `Lane`."""
        self._decoder.close()


class ImageFolder:
    """A directory of images; each of them can be read by itself."""

    def __init__(self, number: int, source: Source, wanted: Wanted):
        self.number, self.name = number, source.name
        self._source, self._wanted = source, wanted
        self._lock = new_rlock()
        self._opened: ImageSequence | None = None

    @property
    def _images(self) -> ImageSequence:
        with self._lock:
            if self._opened is None:
                width, height = self._wanted
                with fetched(self._source.path, self._source.fetching) as folder:
                    self._opened = ImageSequence(folder.path, width=width, height=height)
            return self._opened

    @property
    def num_frames(self) -> int:
        """See `MediaFile`."""
        return len(self._images)

    @property
    def size(self) -> Size:
        """See `MediaFile`."""
        return self._images.shape[1:3]

    @property
    def pixels(self) -> int:
        """See `MediaFile`."""
        return self._images.info.height * self._images.info.width

    @property
    def borders(self) -> list[int]:
        """See `MediaFile`."""
        return list(range(self.num_frames))

    def open(self) -> None:
        """See `MediaFile`."""
        _ = self._images

    def lane(self, threads: int) -> ImageLane:
        """See `MediaFile`."""
        return ImageLane(self._images)

    def close(self) -> None:
        """See `MediaFile`."""

    def __reduce__(self) -> tuple[type, tuple[int, Source, Wanted]]:
        return ImageFolder, (self.number, self._source, self._wanted)


class ImageLane:
    """Reads one image after the other."""

    def __init__(self, images: ImageSequence):
        self._images = images

    def frames(self, numbers: range, check: Check) -> Iterator[Frames]:
        """See `Lane`."""
        for number in numbers:
            check()
            yield self._images.load(number)

    def close(self) -> None:
        """See `Lane`."""


def media_file(number: int, source: Source, wanted: Wanted, threads: int, *, is_folder: bool) -> MediaFile:
    """A file or, where that is known or found, a directory of images; nothing is opened yet."""
    if is_folder or is_directory(source.path, source.fetching):
        return ImageFolder(number, source, wanted)
    return VideoFile(number, source, wanted, threads)
