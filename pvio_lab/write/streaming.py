"""The streaming of frames: to an event loop, or to a directory of image files."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..base import clear_partials, integer, positive_integer, waiting
from ..errors import printable
from ..read import Fetching, Frames, frame_numbers, open_video
from .image_files import (
    ImageWriter,
    checked_template,
    image_beginning,
    image_name,
    image_suffix,
    in_order,
    is_foreign,
    save_whole,
    video_name,
    write_image,
)

T = TypeVar("T")
Source = str | os.PathLike[str]
Progress = Callable[[int], object]

_END: Any = object()


def stream_video_frames(
    source: Source,
    *,
    start: int = 0,
    end: int | None = None,
    queue_size: int = 32,
    fetching: Fetching | None = None,
) -> AsyncGenerator[tuple[int, Frames]]:
    """Yield pairs of frame number and frame to `async for`; a thread decodes ahead while the loop runs.

    >>> import asyncio
    >>> async def shapes():
    ...     return [(n, frame.shape) async for n, frame in stream_video_frames(path, start=8, end=10)]
    >>> path = "data_samples/gop2.mp4"
    >>> asyncio.run(shapes())
    [(8, (240, 320, 3)), (9, (240, 320, 3))]

    In a notebook, `async for` may stand in a cell as it is. The event loop is never kept waiting. A slow
    loop makes the thread wait, so memory stays flat. Leaving the loop early ends the thread and closes the
    file: at once with `contextlib.aclosing`, else when Python gets to it.

    Args:
        source: A video, its URL, or a directory of images.
        start: The first frame; negative counts from the end, as in a slice.
        end: One past the last frame, or None for all; as in a slice.
        queue_size: How many decoded frames may wait.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Raises:
        DecodeError: A frame cannot be decoded. It arrives in the loop, as the following errors do.
        FileNotFoundError: There is no such file.
        OpenError: It is not a video.
        ValueError: `queue_size` is less than 1.
    """
    make = partial(_frames, source, _range(start, end), fetching)
    return _ahead(make, positive_integer(queue_size, "queue_size"))


def stream_video_frames_to_dir(
    source: Source,
    output_dir: Source,
    *,
    start: int = 0,
    end: int | None = None,
    ext: str = "png",
    name: str | None = None,
    progress_cb: Progress | None = None,
    image_writer: ImageWriter | None = None,
    direct: bool = False,
    max_write_workers: int = 4,
    queue_size: int = 32,
    fetching: Fetching | None = None,
) -> list[Path]:
    """Write frames to image files named `<video>_frame_<number>.<ext>`, several at a time.

    >>> from tempfile import mkdtemp
    >>> [path.name for path in stream_video_frames_to_dir("data_samples/gop2.mp4", mkdtemp(), end=2)]
    ['gop2_frame_000000.png', 'gop2_frame_000001.png']

    A slow disk makes the decoder wait: about `queue_size + max_write_workers` frames and no more are in
    memory. Each file appears under its name when it is complete, even if this is interrupted. It may be
    called while an event loop is running, as in a notebook; there, `async_stream_video_frames_to_dir` does
    not block the loop.

    Args:
        source: A video, its URL, or a directory of images.
        output_dir: The directory, made if it is not there. Images of these names are replaced, other files
            not. It cannot be the directory that the images are read from.
        start: The first frame; negative counts from the end, as in a slice.
        end: One past the last frame, or None for all; as in a slice.
        ext: The kind of image, such as "png", which keeps every pixel, or "jpg".
        name: The files' names without `ext`, with the number of the frame in them: `"{video}-{number:04}"`.
        progress_cb: Called as `progress_cb(1)` when a file is there; `tqdm.update`, for example.
        image_writer: Writes the files instead: `image_writer(path, frame)`, called by several threads. The
            path is a temporary one with the same end.
        direct: Give `image_writer` the path that is returned, and leave the file to it: for one that puts
            frames elsewhere, or renames its own files when they are complete.
        max_write_workers: How many files are written at the same time.
        queue_size: How many decoded frames may wait for that.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        The paths, in the order of the frames.

    Raises:
        FileExistsError: A file that is not an image has the name of one.
        ValueError: There are no such image files, a number is less than 1, or `name` is the same for all.
    """
    paths = []
    files = _Files.of(output_dir, ext, name, image_writer, direct)
    saved = _saved(source, _range(start, end), files, max_write_workers, queue_size, fetching)
    with closing(saved):
        for path in saved:
            paths.append(path)
            if progress_cb is not None:
                progress_cb(1)
    return paths


async def async_stream_video_frames_to_dir(
    source: Source,
    output_dir: Source,
    *,
    start: int = 0,
    end: int | None = None,
    ext: str = "png",
    name: str | None = None,
    progress_cb: Progress | None = None,
    image_writer: ImageWriter | None = None,
    direct: bool = False,
    max_write_workers: int = 4,
    queue_size: int = 32,
    fetching: Fetching | None = None,
) -> list[Path]:
    """Do the same as `stream_video_frames_to_dir`, awaited; the event loop runs in the meantime.

    `progress_cb` is called in the loop, `image_writer` in threads. Cancelling leaves only whole files.
    """
    files = _Files.of(output_dir, ext, name, image_writer, direct)
    make = partial(_saved, source, _range(start, end), files, max_write_workers, queue_size, fetching)
    paths = []
    async with aclosing(_ahead(make, 1)) as saved:
        async for path in saved:
            paths.append(path)
            if progress_cb is not None:
                progress_cb(1)
    return paths


def _range(start: int, end: int | None) -> slice:
    return slice(integer(start, "start"), None if end is None else integer(end, "end"))


def _frames(source: Source, wanted: slice, fetching: Fetching | None) -> Generator[tuple[int, Frames]]:
    with open_video(source, fetching=fetching) as reader:
        numbers, _ = frame_numbers(wanted, len(reader))
        yield from zip(numbers.tolist(), reader.stream(numbers), strict=True)


@dataclass(frozen=True)
class _Files:
    """The files that frames are written to."""

    directory: Path
    suffix: str
    name: str | None
    writer: ImageWriter | None
    is_direct: bool

    @classmethod
    def of(
        cls, output_dir: Source, ext: str, name: str | None, writer: ImageWriter | None, direct: bool
    ) -> _Files:
        if direct and writer is None:
            raise ValueError("direct=True is for an image_writer: leave it out, or give one")
        suffix = image_suffix(ext, needs_writer=writer is None)
        return cls(Path(output_dir), suffix, checked_template(name), writer, direct)

    def beginning(self, video: str) -> str:
        """Return what the names of all frames of a video begin with."""
        return image_beginning(video, self.name)

    def save(self, video: str, num_frames: int, number: int, frame: Frames) -> Path:
        """Write a frame and return its path, but never over a file that is no image."""
        path = self.directory / image_name(video, number, num_frames, self.suffix, self.name)
        if is_foreign(path, self.suffix):
            raise FileExistsError(
                f"{printable(path)} is there, and no image; remove it, or give another output_dir"
            )
        if not self.is_direct or self.writer is None:
            return save_whole(path, frame, self.writer or write_image)
        self.writer(path, frame)
        return path


def _saved(
    source: Source,
    wanted: slice,
    files: _Files,
    max_write_workers: int,
    queue_size: int,
    fetching: Fetching | None,
) -> Generator[Path]:
    """Write the images; yield the path of each when it is there."""
    workers = positive_integer(max_write_workers, "max_write_workers")
    most_waiting = positive_integer(queue_size, "queue_size") + workers
    directory, stem = files.directory, Path(video_name(source)).stem

    with open_video(source, fetching=fetching) as reader:
        directory.mkdir(parents=True, exist_ok=True)
        if os.path.isdir(source) and os.path.samefile(source, directory):
            raise ValueError(
                f"output_dir={printable(directory)} has the images that are read; give another one"
            )
        clear_partials(directory, files.beginning(stem), is_prefix=True)
        numbers, _ = frame_numbers(wanted, len(reader))
        save = partial(files.save, stem, len(reader))
        frames = reader.stream(numbers)
        jobs = (partial(save, *pair) for pair in zip(numbers.tolist(), frames, strict=True))
        with (
            ThreadPoolExecutor(workers, "pvio_lab images") as pool,
            closing(in_order(jobs, pool, most_waiting)) as paths,
        ):
            yield from paths


async def _ahead(make: Callable[[], Iterator[T]], size: int) -> AsyncGenerator[T]:
    """Yield the items of an iterator that a thread runs, at most `size` ahead of the event loop.

    Nothing polls: the thread sleeps while the queue is full, and the loop while it is empty. If this is
    dropped, the thread ends as if it was closed, but nothing waits for it.

    Args:
        make: Makes the iterator, in the thread. A generator is closed there, too.
        size: How many items may wait.
    """
    producer: _Producer[T] = _Producer(make, asyncio.get_running_loop(), size)
    handle = _Handle()
    stop = weakref.finalize(handle, producer.stop)
    waiting.start([producer.thread])
    try:
        while True:
            item, error = await producer.queue.get()
            producer.room.release()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
            del item
    finally:
        stop()
        await producer.ended.wait()
        producer.thread.join()  # it has nothing left to do


class _Handle:
    """An object that is dropped with a stream, even if its event loop is closed and cannot close it."""


class _Producer(Generic[T]):
    """A thread that runs an iterator, and what it shares with the event loop."""

    def __init__(self, make: Callable[[], Iterator[T]], loop: asyncio.AbstractEventLoop, size: int):
        self._make, self._loop, self._is_stopped = make, loop, False
        self.room = threading.Semaphore(size)
        self.queue: asyncio.Queue[tuple[T, BaseException | None]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.thread = threading.Thread(target=self._run, name="pvio_lab ahead", daemon=True)

    def stop(self) -> None:
        """End the thread, which may be waiting for room."""
        self._is_stopped = True
        self.room.release()

    def _run(self) -> None:
        failure = None
        try:
            self._deliver(self._make())
        except BaseException as error:
            failure = error
        self._call(self.queue.put_nowait, (_END, failure))
        self._call(self.ended.set)

    def _deliver(self, items: Iterator[T]) -> None:
        try:
            while self.room.acquire() and not self._is_stopped:
                item = next(items, _END)
                if item is _END:
                    return
                self._call(self.queue.put_nowait, (item, None))
                del item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _call(self, call: Callable[..., object], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nothing waits any more
            self._loop.call_soon_threadsafe(call, *arguments)
