"""Functions that write a whole video, each a thin line over VideoWriter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sized
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import printable
from ..read import ImageSequence
from .writer import VideoWriter


def write_frames_to_video(
    path: str | os.PathLike[str],
    frames: Iterable[Any],
    fps: float | Fraction | None = None,
    *,
    progress: bool = True,
    **writer_options: Any,
) -> Path:
    """Writes frames to a video file, one after the other, with flat memory.

    >>> import pvio_lab as pv
    >>> reader = pv.VideoReader("data_samples/gop2.mp4")
    >>> pv.write_frames_to_video("copy.mp4", reader, reader.fps, crf=30)  # doctest: +SKIP
    PosixPath('copy.mp4')

    Args:
        path: The file.
        frames: A stack of frames, a list, a generator, a reader: whatever gives one frame after the other.
        fps: Frames a second. None takes that of a reader.
        progress: Show a bar if it takes longer than two seconds.
        **writer_options: As for `VideoWriter`.

    Returns:
        The path of the file.

    Raises:
        EncodeError: ffmpeg has failed; with its own words.
        ValueError: There are no frames, they differ in size, or an option is wrong.
    """
    from tqdm.auto import tqdm

    _check_not_one(frames)
    _check_no_input(path, frames)
    rate = getattr(frames, "fps", None) if fps is None else fps
    if rate is None:
        raise TypeError(f"fps is needed: {type(frames).__name__} has no rate of its own")
    total = len(frames) if isinstance(frames, Sized) else None
    bar = tqdm(
        total=total, desc=printable(Path(path).name), unit="frame", disable=not progress, delay=2, leave=False
    )
    with VideoWriter(path, rate, **writer_options) as writer, bar:
        for frame in frames:
            writer.append(frame)
            bar.update()
    return writer.path


def _check_not_one(frames: Any) -> None:
    """Raises ValueError for what is, or may be, a single frame."""
    shape = tuple(getattr(frames, "shape", ()))
    if len(shape) == 3 and shape[-1] in (1, 3, 4):
        raise ValueError(f"frames of shape {shape} are one frame; put it in a list: [frame]")
    if len(shape) == 3 and shape[0] in (3, 4):
        raise ValueError(
            f"frames of shape {shape} may be one frame or {shape[0]} grey ones: give [frame] or list(frames)"
        )


def _check_no_input(path: str | os.PathLike[str], frames: Any) -> None:
    """Raise ValueError where the file is one of many that are read; a video may replace itself."""
    images = frames.paths if isinstance(frames, ImageSequence) and os.path.exists(path) else ()
    if any(os.path.samefile(path, image) for image in images):
        raise ValueError(f"{printable(path)} is one of the images that are read; give another name")


def encode_video_frames(
    imgs_dir: str | os.PathLike[str],
    video_path: str | os.PathLike[str],
    fps: float | Fraction,
    *,
    pattern: str | None = None,
    progress: bool = True,
    **writer_options: Any,
) -> Path:
    """Writes the images of a directory to a video file, in natural order: 2.png before 10.png.

    Args:
        imgs_dir: The directory.
        video_path: The file.
        fps: Frames a second.
        pattern: Which files, such as "left_*.png"; None for all images.
        progress: Show a bar if it takes longer than two seconds.
        **writer_options: As for `VideoWriter`.

    Returns:
        The path of the file.
    """
    images = ImageSequence(imgs_dir, pattern=pattern)
    return write_frames_to_video(video_path, images, fps, progress=progress, **writer_options)
