"""`ClipDataset`: short clips of many videos, for training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import PathLike
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from ..base import checked_size, in_words, integer, not_negative_integer, num_cpus, one_of, positive_integer
from ..errors import OpenError, printable
from ..read import Fetching, ImageSequence, Numbers, ReaderPool, VideoReader, frame_rate, open_video
from .clip_shape import ClipShape, WhenShort, length_seconds, random_start, spread_start, steady_times
from .dataset import BROKEN, OnError, Skipped, SkippedVideos, Sources, checked_dtype

Clip = dict[str, Any]
Reader = VideoReader | ImageSequence
Sampling = Literal["random", "uniform"]

# The memory that the indexes of one process may take: about 1,000 videos of 10 seconds.
_MAX_BYTES = 96 * 2**20
# Measured of a reader at rest.
_BYTES_PER_READER, _BYTES_PER_FRAME = 60_000, 150
# Opening a file again costs little against decoding a clip; an open decoder, 40 MB for 1920x1080.
_MAX_AWAKE = 4


class ClipDataset(Dataset[Clip]):
    """Clips of many videos, for any torch `DataLoader`: each a dictionary that its default collation takes.

    >>> from torch.utils.data import DataLoader
    >>> paths = ["data_samples/gop2.mp4", "data_samples/vp9.webm"]
    >>> clips = ClipDataset(paths, 8, stride=2, clips_per_video=3)
    >>> len(clips), clips[0]["frames"].shape
    (6, torch.Size([8, 3, 240, 320]))
    >>> batch = next(iter(DataLoader(clips, batch_size=3, shuffle=True)))
    >>> batch["frames"].shape, batch["frame_indices"].shape
    (torch.Size([3, 8, 3, 240, 320]), torch.Size([3, 8]))
    >>> clips.close()

    `frames` is `(T, C, H, W)`; `video_path` says where they are from, as in a `VideoCollectionDataset`;
    `frame_indices` and `pts_seconds` are the number and the time of each frame. Item `i` is clip
    `i % clips_per_video` of video `i // clips_per_video`. Which frames a clip has depends on `seed`, epoch
    and item, and on nothing else: not on workers, order, or other generators of random numbers.

    A video is opened when one of its clips is asked for. However many there are, each process keeps only the
    last few open, and the indexes of the last thousand or so. The clips of a batch are read side by side
    where the `DataLoader` has no workers; each of its workers decodes with one thread. The dataset can be
    pickled, and used after a fork; its workers may be forked or spawned.

    Args:
        paths: Video files, their URLs, or directories of images.
        num_frames: The number of frames of each clip.
        stride: Take every `stride`-th frame of the video; 1 when left out.
        fps: Instead, take the frames on screen every 1 / `fps` seconds, from the first frame of the clip on.
        clips_per_video: The number of clips of each video in an epoch.
        sampling: "random" begins each clip anywhere; "uniform" spreads the clips of a video evenly over it,
            from its very first to its very last frame, or takes the middle if there is one clip.
        when_short: The frames with which a clip of a video that is too short continues: "repeat_last" stays
            on its last frame, "loop" begins again, "error" is a ValueError.
        seed: Another seed gives other random clips.
        width: The width of all frames, as `VideoReader` has it. Videos of several sizes need it for batches.
        height: The height of all frames.
        dtype: `torch.uint8`, without a copy, or a floating type for values from 0 to 1.
        transform: Called with the frames of each clip; its result takes their place.
        on_error: "raise" raises errors, which name file and frame. "skip" warns once of each broken video,
            lists it in `skipped`, and puts another item in the place of each clip that cannot be read: always
            the same one for the same seed, epoch and item, so length and batches stay as they are.
        fetching: The way in which URLs are fetched, and what may be opened; see `Fetching`.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: There are no paths, or an option is out of range.
    """

    def __init__(
        self,
        paths: Iterable[str | PathLike[str]],
        num_frames: int = 16,
        *,
        stride: int | None = None,
        fps: float | None = None,
        clips_per_video: int = 1,
        sampling: Sampling = "random",
        when_short: WhenShort = "repeat_last",
        seed: int = 0,
        width: int | None = None,
        height: int | None = None,
        dtype: torch.dtype = torch.uint8,
        transform: Callable[[torch.Tensor], Any] | None = None,
        on_error: OnError = "raise",
        fetching: Fetching | None = None,
    ):
        self.sources = Sources(paths, fetching)
        self.clips_per_video = positive_integer(clips_per_video, "clips_per_video")
        self._sampling = one_of(sampling, get_args(Sampling), "sampling")
        self._shape = ClipShape(
            positive_integer(num_frames, "num_frames"),
            _checked_stride(stride, fps),
            None if fps is None else frame_rate(fps),
            one_of(when_short, get_args(WhenShort), "when_short"),
        )
        self._seed = not_negative_integer(seed, "seed")
        self._dtype, self._transform = checked_dtype(dtype), transform
        self._size = (checked_size(width, "width"), checked_size(height, "height"))
        self._is_tolerant = one_of(on_error, get_args(OnError), "on_error") == "skip"
        # The epoch; and for each video that any worker could not read, 1 more than what it tried to read.
        length = 1 + len(self.paths) if self._is_tolerant else 1
        self._shared = _shared(torch.zeros(length, dtype=torch.int64))
        self._skipped, self._readers = SkippedVideos(), self._new_readers()

    @property
    def paths(self) -> tuple[str, ...]:
        """The videos, as they were given."""
        return self.sources.paths

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch before a pass over the dataset: each has other random clips.

        Worker processes that run already (`persistent_workers=True`) see it, too.
        """
        self._shared[0] = not_negative_integer(epoch, "epoch")

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The broken videos that were met so far, in any worker, each with its error.

        Errors do not come back from worker processes: what such a worker failed to do is tried again here.
        """
        names = self.sources.names
        attempts = self._shared[1:]
        for video in attempts.nonzero().flatten().tolist():
            if names[video] not in self._skipped:
                epoch, item = divmod(int(attempts[video]) - 1, len(self))
                error: Exception = OpenError("a worker could not read it; now it can be read")
                try:
                    self._read_exactly(item, epoch, None)
                except BROKEN as again:
                    error = again
                self._skipped.add(names[video], error, warning=None)
        return tuple(sorted(self._skipped.listed(), key=lambda each: names.index(each.path)))

    def close(self) -> None:
        """Close files and decoders, and free their memory; a clip asked for later opens its video again."""
        self._readers.close()

    def __enter__(self) -> ClipDataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.paths) * self.clips_per_video

    def __repr__(self) -> str:
        clips = f"{self.clips_per_video} {self._sampling} clip{'s' * (self.clips_per_video > 1)} each"
        return f"ClipDataset({len(self.paths)} videos, {clips}, {self._shape})"

    def __getitem__(self, item: int) -> Clip:
        threads = None if get_worker_info() is None else 1  # all threads, unless other workers need them
        return self._finish(self._read(self._checked_item(item), threads))

    def __getitems__(self, items: Sequence[int]) -> list[Clip]:
        """Return the clips of a batch; a `DataLoader` asks for them like this."""
        numbers = [self._checked_item(item) for item in items]
        read = partial(self._read, threads=1)
        if get_worker_info() is not None:  # the workers are side by side already
            return [self._finish(read(number)) for number in numbers]
        pool = ThreadPoolExecutor(max(1, min(len(numbers), num_cpus())))
        try:
            return [self._finish(clip) for clip in pool.map(read, numbers)]
        finally:
            pool.shutdown(cancel_futures=True)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_readers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _shared=_shared(state["_shared"]))
        self._readers = self._new_readers()

    def _new_readers(self) -> ReaderPool[tuple[str, int | None], Reader]:
        """Return a pool whose readers at rest keep their index, which spares the pass over the packets."""
        width, height = self._size
        opened = partial(_opened, fetching=self.sources.fetching, width=width, height=height)
        return ReaderPool(opened, _MAX_BYTES, _num_bytes, _MAX_AWAKE)

    def _checked_item(self, item: int) -> int:
        number = integer(item, "item")
        if not -len(self) <= number < len(self):
            raise IndexError(f"clip {number} is out of range: there are {len(self)}, numbered from 0")
        return number % len(self)

    def _read(self, item: int, threads: int | None) -> Clip:
        """Read the frames of an item, or of the one that takes its place."""
        epoch = int(self._shared[0])
        if not self._is_tolerant:
            return self._read_exactly(item, epoch, threads)
        for other in self._with_substitutes(item, epoch):
            try:
                return self._read_exactly(other, epoch, threads)
            except BROKEN as error:
                self._note(other, epoch, error)
        first = self.skipped[0]
        raise OpenError(
            f"none of the {len(self.paths)} videos can be read; "
            f"{printable(first.path)}: {in_words(first.error)}"
        )

    def _note(self, item: int, epoch: int, error: Exception) -> None:
        video = item // self.clips_per_video
        is_first = not self._shared[1 + video]
        if is_first:
            self._shared[1 + video] = epoch * len(self) + item + 1
        warning = "has clips that cannot be read" if is_first else None
        self._skipped.add(self.sources.names[video], error, warning=warning)

    def _read_exactly(self, item: int, epoch: int, threads: int | None) -> Clip:
        path, name, _ = self.sources[item // self.clips_per_video]
        reader = self._readers.get((path, threads))
        numbers = self._numbers(reader, name, item, epoch)
        try:
            frames = torch.from_numpy(reader[numbers]).movedim(-1, -3)
        finally:
            self._readers.touch(reader)
        return {
            "frames": frames,
            "video_path": name,
            "frame_indices": torch.from_numpy(numbers),
            "pts_seconds": torch.from_numpy(reader.times.pts_seconds[numbers]),
        }

    def _numbers(self, reader: Reader, name: str, item: int, epoch: int) -> Numbers:
        times = reader.times
        if self._shape.fps and not reader.info.is_variable_rate:
            times = steady_times(times, reader.fps)
        num_starts = self._shape.num_starts(times)
        if not num_starts and self._shape.when_short == "error":
            raise ValueError(
                f"{printable(name)} is too short for a clip of {self._shape}: it has {len(reader)} frames in "
                f"{length_seconds(reader.times):.6g} s; take fewer frames, or when_short='repeat_last' or "
                "'loop'"
            )
        if self._sampling == "random":
            start = random_start(num_starts, (self._seed, epoch, item))
        else:
            start = spread_start(num_starts, item % self.clips_per_video, self.clips_per_video)
        return self._shape.numbers(times, start)

    def _finish(self, clip: Clip) -> Clip:
        frames = clip["frames"]
        if self._dtype != torch.uint8:
            # Half the bits are rounded once, from the exact quotient's nearest float32.
            frames = frames.to(torch.float32, memory_format=torch.contiguous_format).div_(255).to(self._dtype)
        clip["frames"] = frames if self._transform is None else self._transform(frames)
        return clip

    def _with_substitutes(self, item: int, epoch: int) -> Iterator[int]:
        """Yield the item itself, then the same clip of the other videos, in an order of its own."""
        yield item
        video, clip = divmod(item, self.clips_per_video)
        others = np.random.default_rng((self._seed, epoch, item, 1)).permutation(len(self.paths))
        yield from (other * self.clips_per_video + clip for other in others.tolist() if other != video)


def _opened(key: tuple[str, int | None], **options: Any) -> Reader:
    """Open a reader for a path and a number of threads."""
    # Random clips seldom meet a frame again, so that none is kept.
    return open_video(key[0], num_threads=key[1], cache_bytes=0, **options)


def _num_bytes(reader: Reader) -> int:
    return _BYTES_PER_READER + _BYTES_PER_FRAME * len(reader)


def _checked_stride(stride: int | None, fps: float | None) -> int:
    """Return a stride, which an `fps` rules out; 1 when left out."""
    if stride is not None and fps is not None:
        raise ValueError(f"stride={stride!r} and fps={fps!r} are different samplings: give one of them")
    return 1 if stride is None else positive_integer(stride, "stride")


def _shared(tensor: torch.Tensor) -> torch.Tensor:
    """Return the same in memory that worker processes share; a tensor that is sent to one already is."""
    return tensor if tensor.is_shared() else tensor.share_memory_()  # type: ignore[no-untyped-call]
