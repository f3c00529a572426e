"""`VideoCollectionDataset`: every frame of many videos."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import Any, get_args

import torch
from torch.utils.data import IterableDataset, get_worker_info

from ..base import checked_size, one_of, positive_integer
from ..read import Fetching
from .batches import Transform
from .files import MediaFile, media_file
from .sources import OnError, Skipped, SkippedVideos, Sources


class VideoCollectionDataset(IterableDataset[dict[str, Any]]):
    """Every frame of many videos or image directories, exactly once.

    A `VideoCollectionDataLoader` makes batches of it. Iterated by itself, or by torch's own DataLoader, it
    yields one `{"frame": (C, H, W), "video_path": str, "frame_index": int}` after the other. Of a URL,
    `video_path` has no user name, password or query; URLs that differ in nothing else end in `#` and their
    place in `paths`. A pickle has none of these either, and no headers, unless it starts a worker process.

    >>> dataset = VideoCollectionDataset(["data_samples/gop2.mp4", "data_samples/numbered"], step=30)
    >>> [(item["video_path"][13:], item["frame_index"]) for item in dataset]
    [('gop2.mp4', 0), ('gop2.mp4', 30), ('numbered', 0)]

    Args:
        paths: Video files, their URLs, or directories of images.
        as_image_dirs: All of them are directories of images. They are recognised without it, too.
        transform: Applied to batches `(B, C, H, W)` of `dtype`, where they are made: in the worker. Its
            result takes the place of the frames.
        width: The width of all frames; their own, or as `height` demands, when left out.
        height: The height of all frames; their own, or as `width` demands, when left out.
        dtype: `torch.uint8`, or a floating-point type for values between 0 and 1.
        step: Take every `step`-th frame of each video.
        on_error: "raise", or "skip": leave out frames that cannot be read, warn once for each video, and list
            it in `skipped`.
        fetching: The way in which URLs are fetched, and what may be opened; see `Fetching`.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: There are no paths, or an option is out of range.
    """

    def __init__(
        self,
        paths: Iterable[str | PathLike[str]],
        as_image_dirs: bool = False,
        *,
        transform: Transform | None = None,
        width: int | None = None,
        height: int | None = None,
        dtype: torch.dtype = torch.uint8,
        step: int = 1,
        on_error: OnError = "raise",
        fetching: Fetching | None = None,
    ):
        self._sources = Sources(paths, fetching)
        if transform is not None and not callable(transform):
            raise TypeError(f"transform={transform!r} must be a function of a batch of frames")
        self.as_image_dirs, self.transform = as_image_dirs, transform
        self.width, self.height = checked_size(width, "width"), checked_size(height, "height")
        self.dtype, self.step = checked_dtype(dtype), positive_integer(step, "step")
        self.on_error: OnError = one_of(on_error, get_args(OnError), "on_error")
        self.skipped_videos = SkippedVideos()

    @property
    def paths(self) -> tuple[str, ...]:
        """The videos, as they were given."""
        return self._sources.paths

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The videos of which something was left out so far, with their errors."""
        return self.skipped_videos.listed()

    @property
    def fingerprint(self) -> str:
        """A text that differs between datasets whose frames differ."""
        facts = self.paths, self.as_image_dirs, self.width, self.height
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def file(self, number: int, threads: int = 1) -> MediaFile:
        """Return one of the files, not opened yet; its first decoder will have this many threads."""
        wanted = self.width, self.height
        return media_file(number, self._sources[number], wanted, threads, is_folder=self.as_image_dirs)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from .loader import VideoCollectionDataLoader

        worker = get_worker_info()
        rank, world_size = (worker.id, worker.num_workers) if worker else (0, 1)
        for batch in VideoCollectionDataLoader(self, 1, 0, rank=rank, world_size=world_size):
            yield {
                "frame": batch["frames"][0],
                "video_path": batch["video_paths"][0],
                "frame_index": batch["frame_indices"][0],
            }

    def __repr__(self) -> str:
        count = f"{len(self.paths)} {'directories' if self.as_image_dirs else 'videos'}"
        return f"VideoCollectionDataset({count}, step={self.step}, dtype={self.dtype})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "skipped_videos": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, skipped_videos=SkippedVideos())


def checked_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return a type that frames may have as tensors."""
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype={dtype!r} must be a torch.dtype, such as torch.float32")
    if dtype != torch.uint8 and not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype} must be torch.uint8 or a floating type, such as torch.float32")
    return dtype
