"""Reading in one line: each function opens, reads and closes."""

from __future__ import annotations

import os
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .decode import open_file
from .frames import Frames
from .images import ImageSequence
from .info import VideoInfo, recall, remember
from .reader import VideoReader
from .recent import RecentReaders
from .sources.fetching import Fetching, HeldSource
from .sources.urls import is_url

if TYPE_CHECKING:
    import torch

_FOR_VIDEO_FILES = {"num_threads", "cache_bytes", "engine"}
_RECENT = RecentReaders(VideoReader)


def open_video(
    source: str | PathLike[str], *, fetching: Fetching | None = None, **options: Any
) -> VideoReader | ImageSequence:
    """Open a `VideoReader`, or an `ImageSequence` for a directory.

    >>> with open_video("data_samples/numbered") as images:
    ...     images.shape
    (12, 120, 160, 3)

    Args:
        source: A video file, its URL, or a directory of images.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.
        **options: Those of `VideoReader` or of `ImageSequence`. A directory of images does without
            `num_threads`, `cache_bytes` and `engine`.
    """
    if is_directory(source, fetching):
        return ImageSequence(source, **{k: v for k, v in options.items() if k not in _FOR_VIDEO_FILES})
    return VideoReader(source, fetching=fetching, **options)


def is_directory(source: Any, fetching: Fetching | None = None) -> bool:
    """Return whether a source is a directory; where no local path is allowed, none is looked at."""
    if not isinstance(source, str | PathLike) or is_url(source):
        return False
    is_allowed = fetching is None or (fetching.allow_local and fetching.allow_private)
    return is_allowed and os.path.isdir(source)


def get_video_metadata(
    path: str | PathLike[str], *, cache: bool = True, fetching: Fetching | None = None
) -> VideoInfo:
    """Return the facts of one video, without decoding it, unless only that shows the order of its frames.

    Args:
        path: A video file, or its URL.
        cache: Remember the facts in `<file name>.metadata.json` beside the file, or in the user's cache
            folder if that place cannot be written to, or has a file of that name that pvio_lab did not
            write; they count while the file is the same.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Raises:
        FileNotFoundError: There is no such file.
        OpenError: It is not a video.
        SourceError: The URL cannot be fetched.
    """
    with HeldSource(path, fetching) as local:
        known = recall(local.path) if cache else None
        if known is not None:
            return known
        file = open_file(local.path, 1)
        file.close()
        if cache:
            remember(local.path, file.info)
        return file.info


def read_frames_from_video(
    path: str | PathLike[str], frame_indices: Any = None, *, fetching: Fetching | None = None
) -> tuple[Frames, float]:
    """Return frames of a video, and how many it has a second.

    >>> frames, fps = read_frames_from_video("data_samples/gop2.mp4", [0, 30])
    >>> frames.shape, fps
    ((2, 240, 320, 3), 30.0)

    Args:
        path: A video file, its URL, or a directory of images.
        frame_indices: The numbers of the frames, in any order; all frames when left out.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.
    """
    with open_video(path, fetching=fetching) as reader:
        return reader[slice(None) if frame_indices is None else frame_indices], reader.fps


def decode_video_frames(
    path: str | PathLike[str], timestamps: Any, tolerance_s: float, *, fetching: Fetching | None = None
) -> torch.Tensor:
    """Return the nearest frame for each time, as `(n, C, H, W)` float32 between 0 and 1.

    The video stays open for the next call, until ten seconds have passed without one, and its index is kept.
    A file that was replaced is opened anew. `VideoReader.nearest` is for those who open and close themselves.

    >>> decode_video_frames("data_samples/gop2.mp4", [0.0, 1.0], tolerance_s=0.01).shape
    torch.Size([2, 3, 240, 320])

    Args:
        path: A video file, or its URL.
        timestamps: Times in seconds.
        tolerance_s: How far from a time its frame may be.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Raises:
        FrameTimestampError: The nearest frame is further away.
    """
    import torch

    frames = _RECENT.get(path, fetching).nearest(np.atleast_1d(timestamps), tolerance_s, as_torch=True)
    return frames.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
