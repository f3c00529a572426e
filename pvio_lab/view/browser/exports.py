"""Frames of an open reader become files: one picture, a video, an animation, or a directory of pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from PIL import Image

from ...base import Partial, Target, clear_partials, free_path, integer
from ...errors import printable
from ...read import Frames, frame_numbers
from ...write import MUXERS, VideoWriter, suffix_of

# How many frames are read at a time, and so how many are in memory.
_BATCH = 4
_LEAST_DIGITS = 6
# What is written to such files; h264 to the others.
_CODECS = {".webm": "vp9", ".avi": "mjpeg", ".gif": "gif"}


class Cancelled(Exception):
    """An export was cancelled; nothing is left of it."""


def save_frame(reader: Any, index: int, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Write one frame to a PNG file, pixel by pixel as it is read.

    Args:
        reader: A `VideoReader` or an `ImageSequence`.
        index: Which frame; negative counts from the end.
        path: The file, which ends in .png.
        overwrite: Whether it may replace a file that is there.

    Returns:
        The path of the file.

    Raises:
        DecodeError: The frame cannot be decoded.
        FileExistsError: There is a file, and it may not be replaced.
        FileNotFoundError: There is no folder for the file.
        IndexError: There is no such frame.
        ValueError: The name does not end in .png.
    """
    if suffix_of(Path(path)) != ".png":
        raise ValueError(
            f"{printable(path)} must end in .png: a single frame is saved as a PNG file, without a loss"
        )
    frame = reader[integer(index, "index")]
    with Target(path, overwrite=overwrite) as target:
        Image.fromarray(frame).save(target.partial, "PNG")
        target.commit()
    return Path(path)


def export_range(
    reader: Any,
    start: int,
    stop: int | None,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    progress: Callable[[int, int], object] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    **writer_options: Any,
) -> Path:
    """Writes some frames to a video, an animation, or a directory of PNG files, with flat memory.

    The end of the name decides: .mp4, .mkv, .webm and what else `VideoWriter` knows makes a video, .gif an
    animation, at the frame rate of the reader, which for a video of variable rate is the average. A name
    without such an end, or with a slash after it, makes a directory of files such as frame_000012.png, where
    the number is that of the frame in the video, and the pixels are exactly those that are read. Whatever it
    is, it appears under its name when it is complete, and only then replaces an older file.

    Args:
        reader: A `VideoReader` or an `ImageSequence`; it may be in use by other threads meanwhile.
        start: The first frame; negative counts from the end, as in a slice.
        stop: One past the last frame, or None for all; as in a slice.
        path: The file, or the directory, which must not be there yet or be empty.
        overwrite: Whether it may replace a file that is there.
        progress: Called as `progress(done, total)` after each frame.
        is_cancelled: Asked before each frame, and before the file gets its name.
        **writer_options: For a video: as for `VideoWriter`, such as `pad=True` for an odd size.

    Returns:
        The path of the file or directory.

    Raises:
        Cancelled: `is_cancelled` has said so. Nothing is left, and an older file is as it was.
        DecodeError: A frame cannot be decoded.
        EncodeError: ffmpeg has failed; with its own words.
        FileExistsError: There is something that may not be replaced.
        FileNotFoundError: There is no folder to write to.
        ValueError: There are no such frames, or they cannot be written to such a file.
    """
    numbers, _ = frame_numbers(slice(start, stop), len(reader))
    if not numbers.size:
        raise ValueError(f"there is no frame from {start} to {stop}: the video has {len(reader)} frames")
    first, end, total = int(numbers[0]), int(numbers[-1]) + 1, numbers.size

    def check(done: int) -> None:
        if is_cancelled is not None and is_cancelled():
            raise Cancelled(
                f"the export to {printable(path)} was cancelled after {done} of "
                f"{total} frames; nothing is left"
            )

    check(0)
    batches = reader.batches(_BATCH, start=first, stop=end)
    with closing(batches), _writer(reader, first, path, overwrite, writer_options) as writer:
        for done, frame in enumerate((frame for _, frames in batches for frame in frames), 1):
            check(done - 1)
            writer.append(frame)
            if progress is not None:
                progress(done, total)
        writer.complete()
        check(total)
    return Path(path)


def free_target(path: str) -> str:
    """Return where an export to `path` replaces nothing: there, or at the next free name.

    >>> free_target("data_samples/shapes.mp4")
    'data_samples/shapes (2).mp4'

    A slash at the end, and a directory with nothing in it, stay.
    """
    end = "/" if path.endswith(("/", os.sep)) else ""
    is_empty = os.path.isdir(path) and not os.listdir(path)
    return path if is_empty or not path else f"{free_path(path)}{end}"


def _writer(
    reader: Any, first: int, path: str | os.PathLike[str], overwrite: bool, options: dict[str, Any]
) -> VideoWriter | _Pictures:
    suffix = suffix_of(Path(path))
    is_directory = os.fspath(path).endswith(("/", os.sep)) or Path(path).is_dir()
    if is_directory or not suffix:
        if options:
            raise TypeError(f"{', '.join(options)}: a directory of PNG files has no options")
        return _Pictures(path, first, max(_LEAST_DIGITS, len(str(len(reader) - 1))))
    if suffix not in MUXERS:
        raise ValueError(
            f"{printable(path)} ends in {suffix}, which is no kind of video file; "
            f"there are {', '.join(MUXERS)}; "
            "a slash at the end makes a directory of PNG files"
        )
    source = reader.info.path
    if os.path.exists(source) and os.path.exists(path) and os.path.samefile(source, path):
        raise ValueError(f"{printable(path)} is the video that the frames are read from; give another name")
    options = {"codec": _CODECS.get(suffix, "h264"), **options}
    return VideoWriter(path, reader.fps, overwrite=overwrite, **options)


class _Pictures:
    """Writes frames to a directory of PNG files, in the manner of `VideoWriter`: complete, or not at all."""

    def __init__(self, path: str | os.PathLike[str], first: int, digits: int):
        self._place = Path(os.path.realpath(path))  # a link stays, and leads to the new directory
        self._check()
        clear_partials(self._place.parent, self._place.name)
        self._partial = Partial(self._place, is_folder=True)
        self._number, self._digits = first, digits

    def append(self, frame: Frames) -> None:
        """Writes the next frame."""
        Image.fromarray(frame).save(self._partial.path / f"frame_{self._number:0{self._digits}}.png")
        self._number += 1

    def complete(self) -> None:
        """Does nothing: what was appended is written."""

    def __enter__(self) -> _Pictures:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._check()
                with suppress(FileNotFoundError):
                    self._place.rmdir()
                self._partial.rename(self._place, overwrite=False)
        finally:  # also where something has appeared under the name meanwhile
            self._partial.remove()

    def _check(self) -> None:
        if not self._place.parent.is_dir():
            raise FileNotFoundError(
                f"there is no folder {printable(self._place.parent)} to write to; make it first"
            )
        if self._place.exists() and not self._place.is_dir():
            raise FileExistsError(f"{printable(self._place)} is a file; give the name of a new directory")
        if self._place.is_dir() and any(self._place.iterdir()):
            raise FileExistsError(f"{printable(self._place)} is not empty; give the name of a new directory")
