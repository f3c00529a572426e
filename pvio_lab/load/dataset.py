"""`VideoCollectionDataset`: every frame of many videos; the sources of a dataset, and the skipped ones."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import context
from os import PathLike
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch.utils.data import IterableDataset, get_worker_info

from ..base import checked_size, new_lock, one_of, positive_integer
from ..errors import VideoError, printable
from ..read import Fetching, has_secrets, outline, public_name, public_names, source_name

OnError = Literal["raise", "skip"]
Transform = Callable[[Any], Any]

# The errors that a file can be blamed for. Any other is a mistake in a program, and never skipped.
BROKEN = (VideoError, OSError, ValueError)


class Source(NamedTuple):
    """A video of a collection."""

    path: str
    """As the user named it."""
    name: str
    """The same without the secrets that a URL may have."""
    fetching: Fetching | None = None


class Sources:
    """The videos of a dataset.

    A pickle may go anywhere, so it has no passwords, queries and headers, unless it goes to a worker process
    that is being started.

    Args:
        paths: Video files, their URLs, or directories of images.
        fetching: The way in which URLs are fetched, and what may be opened.

    Raises:
        TypeError: They are not a list of paths.
        ValueError: There are none.
    """

    def __init__(self, paths: Iterable[str | PathLike[str]], fetching: Fetching | None = None):
        if isinstance(paths, str | bytes | PathLike):
            raise TypeError(f"paths must be a list of paths, not one path; write [{outline(paths)}]")
        self.paths, self.fetching = tuple(map(_checked_path, paths)), fetching
        if not self.paths:
            raise ValueError("there are no videos: paths is empty")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The videos, without the secrets that URLs may have."""
        return public_names(self.paths)

    def __getitem__(self, number: int) -> Source:
        return Source(self.paths[number], self.names[number], self.fetching)

    def __copy__(self) -> Sources:
        return self

    def __deepcopy__(self, _: Any) -> Sources:
        return self

    def __reduce__(self) -> Any:
        has_headers = self.fetching is not None and bool(self.fetching.headers)
        is_secret = has_headers or any(map(has_secrets, self.paths))
        if not is_secret or context.get_spawning_popen() is not None:
            return Sources, (self.paths, self.fetching)
        paths = tuple(public_name(path) if has_secrets(path) else path for path in self.paths)
        return _without_secrets, (paths, self.fetching and replace(self.fetching, headers={}))


def _without_secrets(paths: tuple[str, ...], fetching: Fetching | None) -> Sources:
    warnings.warn(
        "the pickle of a dataset has no passwords and queries of URLs, and no headers; make the dataset anew "
        "where they are needed",
        RuntimeWarning,
        stacklevel=2,
    )
    return Sources(paths, fetching)


def _checked_path(path: Any) -> str:
    if not isinstance(path, str | PathLike):
        raise TypeError(f"a source must be a path or a URL, not {type(path).__name__}: {outline(path)}")
    return source_name(path)


@dataclass(frozen=True)
class Skipped:
    """A video of which something is missing."""

    path: str
    """As it was given; of a URL what may be shown."""
    error: Exception
    """The reason; of many frames, the reason for the first."""
    frame_indices: tuple[int, ...] | None = None
    """The frames that are missing; None for all of it, or for whole clips of it."""


class SkippedVideos:
    """The videos of which something is missing; each is warned of once. A pickle has none of them."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._found: dict[str, tuple[Exception, set[int] | None]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._found

    def __reduce__(self) -> Any:
        return SkippedVideos, ()

    def listed(self) -> tuple[Skipped, ...]:
        """Return them in the order in which they were found."""
        with self._lock:
            return tuple(
                Skipped(path, error, None if numbers is None else tuple(sorted(numbers)))
                for path, (error, numbers) in self._found.items()
            )

    def add(
        self, path: str, error: Exception, number: int | None = None, *, warning: str | None = "is left out"
    ) -> None:
        """Note that a frame of a video cannot be read; without a number, that nothing of it can.

        Args:
            path: The video.
            error: The reason.
            number: The frame.
            warning: What the warning says of it, unless there is a number; None for no warning at all.
        """
        with self._lock:
            is_new = path not in self._found
            first, numbers = self._found.get(path, (error, set[int]()))
            if number is None:
                numbers = None
            elif numbers is not None:
                numbers.add(number)
            self._found[path] = first, numbers
        if is_new and warning is not None:
            state = warning if number is None else "is not complete"
            warnings.warn(f"{printable(path)} {state}: {error}", RuntimeWarning, stacklevel=2)


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
        self.sources = Sources(paths, fetching)
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
        return self.sources.paths

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The videos of which something was left out so far, with their errors."""
        return self.skipped_videos.listed()

    @property
    def fingerprint(self) -> str:
        """A text that differs between datasets whose frames differ."""
        facts = self.paths, self.as_image_dirs, self.width, self.height
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def skip(self, path: str, error: Exception) -> None:
        """Note that nothing of a video can be read; unless such videos are skipped, raise the error."""
        if self.on_error == "raise":
            raise error
        self.skipped_videos.add(path, error)

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


def checked_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return a type that frames may have as tensors."""
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype={dtype!r} must be a torch.dtype, such as torch.float32")
    if dtype != torch.uint8 and not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype} must be torch.uint8 or a floating type, such as torch.float32")
    return dtype
