"""`ClipDataset`: short clips of many videos, for training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from ..base import checked_size, integer, not_negative_integer, num_cpus, one_of, positive_integer
from ..errors import OpenError, printable
from ..read import Fetching, Frames, frame_rate
from .arguments import checked_dtype, checked_stride
from .clip_plan import (
    ClipShape,
    Numbers,
    Sampling,
    Seconds,
    WhenShort,
    random_start,
    spread_start,
    steady_timeline,
)
from .readers import Reader, Readers, timeline_of
from .skipped import BROKEN, BrokenVideos, OnError, shared, shared_zeros
from .sources import Sources

Clip = dict[str, Any]


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
    `frame_indices` and `pts_seconds` are the number and the time of each. Item `i` is clip
    `i % clips_per_video` of video `i // clips_per_video`. Which frames a clip has depends on `seed`, epoch
    and item, and on nothing else: not on workers, order, or other generators of random numbers.

    Videos are opened when a clip of theirs is asked for. However many there are, each process keeps open only
    the last few, and of the last thousand or so the index. The clips of a batch are read side by side where
    the `DataLoader` has no workers; each of its workers decodes with one thread. The dataset can be pickled,
    and used after a fork; its workers may be forked or spawned.

    Args:
        paths: Video files, their URLs, or directories of images.
        num_frames: How many frames each clip has.
        stride: Take every so many frames of the video; 1 when left out.
        fps: Instead, take the frames on screen every 1 / `fps` seconds, from the first frame of the clip on.
        clips_per_video: How many clips of each video an epoch has.
        sampling: "random" begins each clip anywhere; "uniform" spreads the clips of a video evenly over it,
            from its very first to its very last frame, or takes the middle if there is one clip.
        when_short: What a clip of a video that is too short goes on with: "repeat_last" stays on its last
            frame, "loop" begins again, "error" is a ValueError.
        seed: Another seed gives other random clips.
        width: The width of all frames, as `VideoReader` has it. Videos of several sizes need it for batches.
        height: The height of all frames.
        dtype: `torch.uint8`, without a copy, or a floating type for values from 0 to 1.
        transform: Called with the frames of each clip; what it returns takes their place.
        on_error: "raise" passes errors on, which name file and frame. "skip" warns once of each broken video,
            lists it in `skipped`, and puts another item in the place of each clip that cannot be read: always
            the same one for the same seed, epoch and item. So length and batches stay as they are.
        fetching: How URLs are fetched, and what may be opened; see `Fetching`.

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
        self._sources = Sources(paths, fetching)
        self.clips_per_video = positive_integer(clips_per_video, "clips_per_video")
        self._sampling = one_of(sampling, get_args(Sampling), "sampling")
        self._shape = ClipShape(
            positive_integer(num_frames, "num_frames"),
            checked_stride(stride, fps),
            None if fps is None else frame_rate(fps),
            one_of(when_short, get_args(WhenShort), "when_short"),
        )
        self._seed = not_negative_integer(seed, "seed")
        self._dtype, self._transform = checked_dtype(dtype), transform
        self._size = (checked_size(width, "width"), checked_size(height, "height"))
        skips = one_of(on_error, get_args(OnError), "on_error") == "skip"
        self._epoch = shared_zeros(1)
        self._broken = BrokenVideos(len(self.paths)) if skips else None
        self._readers = self._new_readers()

    @property
    def paths(self) -> tuple[str, ...]:
        """The videos, as they were given."""
        return self._sources.paths

    def set_epoch(self, epoch: int) -> None:
        """Before a pass over the dataset: its random clips are others in each epoch.

        This reaches worker processes that are there already (`persistent_workers=True`), too.
        """
        self._epoch[0] = not_negative_integer(epoch, "epoch")

    @property
    def skipped(self) -> dict[str, str]:
        """The broken videos that were met so far, in any worker, each with what is wrong with it."""
        texts = self._broken.texts(self._try_again) if self._broken else {}
        return {self._sources.names[video]: text for video, text in texts.items()}

    def close(self) -> None:
        """Gives files, decoders and memory back. A clip that is asked for later opens its video again."""
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
        return self._finish(self._read(self._checked_item(item), _threads_of_one()))

    def __getitems__(self, items: Sequence[int]) -> list[Clip]:
        """The clips of a batch, as a `DataLoader` asks for them."""
        numbers = [self._checked_item(item) for item in items]
        return [self._finish(piece) for piece in self._side_by_side(numbers)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_readers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _epoch=shared(state["_epoch"]))
        self._readers = self._new_readers()

    def _new_readers(self) -> Readers:
        return Readers(*self._size, fetching=self._sources.fetching)

    def _checked_item(self, item: int) -> int:
        number = integer(item, "item")
        if not -len(self) <= number < len(self):
            raise IndexError(f"clip {number} is out of range: there are {len(self)}, numbered from 0")
        return number % len(self)

    def _side_by_side(self, items: list[int]) -> Iterator[_Piece]:
        if get_worker_info() is not None:  # the workers are side by side already
            yield from (self._read(item, 1) for item in items)
            return
        pool = ThreadPoolExecutor(max(1, min(len(items), num_cpus())))
        try:
            yield from pool.map(lambda item: self._read(item, 1), items)
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, item: int, threads: int | None) -> _Piece:
        """The frames of an item, or of the one that takes its place."""
        epoch = int(self._epoch)
        if self._broken is None:
            return self._read_exactly(item, epoch, threads)
        for other in self._with_substitutes(item, epoch):
            try:
                return self._read_exactly(other, epoch, threads)
            except BROKEN as error:
                self._broken.note(other // self.clips_per_video, epoch * len(self) + other, error)
        path, text = next(iter(self.skipped.items()))
        raise OpenError(f"none of the {len(self.paths)} videos can be read; {printable(path)}: {text}")

    def _read_exactly(self, item: int, epoch: int, threads: int | None) -> _Piece:
        video = item // self.clips_per_video
        path, name, _ = self._sources[video]
        reader = self._readers.get((path, threads))
        numbers, seconds = self._plan(reader, name, item, epoch)
        return _Piece(name, numbers, seconds, self._readers.read(reader, numbers))

    def _plan(self, reader: Reader, name: str, item: int, epoch: int) -> tuple[Numbers, Seconds]:
        timeline = clock = timeline_of(reader)
        if self._shape.fps and not reader.info.is_variable_rate:
            clock = steady_timeline(timeline, reader.fps)
        num_starts = self._shape.num_starts(clock)
        if not num_starts and self._shape.when_short == "error":
            raise ValueError(
                f"{printable(name)} is too short for a clip of {self._shape}: it has {len(reader)} frames in "
                f"{timeline.seconds:.6g} s; take fewer frames, or when_short='repeat_last' or 'loop'"
            )
        if self._sampling == "random":
            start = random_start(num_starts, (self._seed, epoch, item))
        else:
            start = spread_start(num_starts, item % self.clips_per_video, self.clips_per_video)
        numbers = self._shape.numbers(clock, start)
        return numbers, timeline.pts_seconds[numbers]

    def _finish(self, piece: _Piece) -> Clip:
        frames = torch.from_numpy(piece.frames).movedim(-1, -3)
        if self._dtype != torch.uint8:
            # Half the bits are rounded once, from the exact quotient's nearest float32.
            frames = frames.to(torch.float32, memory_format=torch.contiguous_format).div_(255).to(self._dtype)
        return {
            "frames": frames if self._transform is None else self._transform(frames),
            "video_path": piece.name,
            "frame_indices": torch.from_numpy(piece.numbers),
            "pts_seconds": torch.from_numpy(piece.seconds),
        }

    def _with_substitutes(self, item: int, epoch: int) -> Iterator[int]:
        """The item itself, then the same clip of the other videos, in an order of its own."""
        yield item
        video, clip = divmod(item, self.clips_per_video)
        others = np.random.default_rng((self._seed, epoch, item, 1)).permutation(len(self.paths))
        yield from (other * self.clips_per_video + clip for other in others.tolist() if other != video)

    def _try_again(self, attempt: int) -> None:
        epoch, item = divmod(attempt, len(self))
        self._read_exactly(item, epoch, None)


class _Piece(NamedTuple):
    """A clip before it becomes tensors."""

    name: str
    numbers: Numbers
    seconds: Seconds
    frames: Frames


def _threads_of_one() -> int | None:
    """How many threads decode a clip that is read alone: all, unless other workers need them."""
    return None if get_worker_info() is None else 1
