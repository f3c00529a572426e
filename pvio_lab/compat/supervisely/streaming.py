"""The streaming of a video's frames, to an event loop or to image files; the last frame is included."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ... import async_stream_video_frames_to_dir as _async_to_dir
from ... import stream_video_frames
from ... import stream_video_frames_to_dir as _to_dir
from ...errors import printable
from ...read import Fetching, Frames, shown
from ...write import video_name
from .sampling import Source, checked_path

Progress = Callable[[int], object]
ImageWriter = Callable[[str, Frames], object]


async def async_stream_video_frames(
    path: Source,
    start: int | None = None,
    end: int | None = None,
    queue_maxsize: int = 32,
    show_decoding_progress: bool = False,
    *,
    fetching: Fetching | None = None,
) -> AsyncGenerator[tuple[int, Frames]]:
    """Yield the number and the RGB frame of each frame from `start` up to, and including, `end`.

    >>> import asyncio
    >>> async def numbers():
    ...     return [number async for number, _ in async_stream_video_frames(path, start=8, end=10)]
    >>> path = "data_samples/gop2.mp4"
    >>> asyncio.run(numbers())
    [8, 9, 10]

    Nobody has to choose between seeking and decoding from the start: the reader knows where each frame is.
    Here, frames are as displayed (turned where the file says so), and one that cannot be decoded is an error,
    not left out.

    Args:
        path: A video, its URL, or a directory of images.
        start: The first frame; None or a negative one for 0.
        end: The last frame; None for that of the video. At least `start` is taken.
        queue_maxsize: How many decoded frames may wait.
        show_decoding_progress: Show a bar of the frames; there is none for packets, which are read quickly.
        fetching: How a URL is fetched, and what may be opened; see `pvio_lab.Fetching`.

    Raises:
        IndexError: The video ends before `start`.
    """
    is_empty, wanted = True, _range(start, end)
    frames = stream_video_frames(checked_path(path), **wanted, queue_size=queue_maxsize, fetching=fetching)
    async with aclosing(frames):
        with _bar(path, show_decoding_progress) as bar:
            async for pair in frames:
                is_empty = False
                bar.update()
                yield pair
    _check_start(is_empty, wanted["start"], path)


def stream_video_frames_to_dir(
    path: Source,
    output_dir: Source,
    start: int | None = None,
    end: int | None = None,
    ext: str = "png",
    progress_cb: Progress | None = None,
    image_writer: ImageWriter | None = None,
    max_write_workers: int = 4,
    queue_maxsize: int = 32,
    show_decoding_progress: bool = False,
    *,
    fetching: Fetching | None = None,
) -> list[str]:
    """Write the frames from `start` up to, and including, `end` to files `frame_<number>.<ext>`.

    >>> from tempfile import mkdtemp
    >>> paths = stream_video_frames_to_dir("data_samples/gop2.mp4", mkdtemp(), start=8, end=9)
    >>> [os.path.basename(path) for path in paths]
    ['frame_000008.png', 'frame_000009.png']

    Each file appears when it is complete, unless `image_writer` writes it. A file of this name that is no
    image is not replaced.

    Args:
        path: See `async_stream_video_frames`, as for `start` and `end`.
        output_dir: The folder, made if it is not there.
        start: See there.
        end: See there.
        ext: The kind of image.
        progress_cb: Called as `progress_cb(1)` when a file is there.
        image_writer: Writes the files instead: `image_writer(path, frame)`, called by several threads.
        max_write_workers: How many files are written at the same time.
        queue_maxsize: How many decoded frames may wait for that.
        show_decoding_progress: Show a bar of the frames.
        fetching: See there.

    Returns:
        The paths, in the order of the frames, absolute if `output_dir` is.

    Raises:
        FileExistsError: A file that is not an image has the name of one.
        IndexError: The video ends before `start`.
    """
    with _bar(path, show_decoding_progress) as bar:
        options = _options(output_dir, start, end, progress_cb, image_writer, bar)
        paths = _to_dir(
            checked_path(path),
            output_dir,
            ext=ext,
            max_write_workers=max_write_workers,
            queue_size=queue_maxsize,
            fetching=fetching,
            **options,
        )
    _check_start(not paths, options["start"], path)
    return [_text(output_dir, each) for each in paths]


async def async_stream_video_frames_to_dir(
    path: Source,
    output_dir: Source,
    start: int | None = None,
    end: int | None = None,
    ext: str = "png",
    progress_cb: Progress | None = None,
    image_writer: ImageWriter | None = None,
    max_write_workers: int = 4,
    queue_maxsize: int = 32,
    show_decoding_progress: bool = False,
    *,
    fetching: Fetching | None = None,
) -> list[str]:
    """Do the same as `stream_video_frames_to_dir`, awaited; the event loop runs in the meantime."""
    with _bar(path, show_decoding_progress) as bar:
        options = _options(output_dir, start, end, progress_cb, image_writer, bar)
        paths = await _async_to_dir(
            checked_path(path),
            output_dir,
            ext=ext,
            max_write_workers=max_write_workers,
            queue_size=queue_maxsize,
            fetching=fetching,
            **options,
        )
    _check_start(not paths, options["start"], path)
    return [_text(output_dir, each) for each in paths]


def _range(start: int | None, end: int | None) -> dict[str, Any]:
    """Return the range as it is written here: 8, 10 -> 8, 11."""
    first = max(0, start or 0)
    return {"start": first, "end": None if end is None else max(first, end) + 1}


def _check_start(is_empty: bool, start: int, path: Source) -> None:
    if is_empty and start:
        raise IndexError(f"start={start} is out of range: {shown(os.fspath(path))} ends before it")


def _bar(path: Source, is_shown: bool) -> Any:
    from tqdm.auto import tqdm

    name = printable(video_name(checked_path(path)))
    return tqdm(desc=f"Decoding {name}", unit="frame", leave=False, disable=not is_shown)


def _options(
    output_dir: Source,
    start: int | None,
    end: int | None,
    progress_cb: Progress | None,
    image_writer: ImageWriter | None,
    bar: Any,
) -> dict[str, Any]:
    """Return the options that have other names in this library."""

    def progress(count: int) -> None:
        bar.update(count)
        if progress_cb is not None:
            progress_cb(count)

    options = {**_range(start, end), "name": "frame_{number:06d}", "progress_cb": progress}
    if image_writer is None:
        return options
    return options | {
        "image_writer": lambda path, frame: image_writer(_text(output_dir, path), frame),
        "direct": True,
    }


def _text(output_dir: Source, path: Path) -> str:
    """Return a path in the form that the folder was given in."""
    return os.path.join(os.fspath(output_dir), path.name)
