"""Frames of a video one after the other: to an event loop, or to a directory of image files."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..base import clear_partials, integer, positive_integer
from ..errors import VideoError, printable
from ..read import Fetching, Frames, frame_numbers, open_video
from .images import (
    ImageWriter,
    checked_suffix,
    image_name,
    image_suffix,
    is_image,
    is_image_suffix,
    save_whole,
    write_all,
    write_image,
)
from .sample.names import video_name

T = TypeVar("T")

_END: Any = object()


class Ahead(Generic[T]):
    """The items of an iterator that one thread runs, at most `size` ahead of whoever awaits them.

    Nothing polls: the thread sleeps while the queue is full, and the loop while it is empty. When the object
    is dropped, the thread ends as after `close`, but nobody waits for it.

    Args:
        make: Makes the iterator, in the thread. A generator is closed there, too.
        size: How many items may wait.
    """

    def __init__(self, make: Callable[[], Iterator[T]], size: int):
        self._lane: _Lane[T] = _Lane(asyncio.get_running_loop(), size)
        self._drop = weakref.finalize(self, self._lane.stop)
        # Not the object itself, which else could not be dropped.
        self._thread = threading.Thread(
            target=self._lane.run, args=(make,), name="pvio_lab ahead", daemon=True
        )
        self._thread.start()

    def __aiter__(self) -> Ahead[T]:
        return self

    async def __anext__(self) -> T:
        item, error = await self._lane.queue.get()
        self._lane.room.release()
        if error is not None:
            raise error
        if item is _END:
            raise StopAsyncIteration
        return item

    async def close(self) -> None:
        """Stops the thread, and waits until it has given everything back."""
        self._drop()
        await asyncio.shield(self._lane.ended)
        self._thread.join()  # it has nothing left to do


class _Lane(Generic[T]):
    """What the thread and the loop share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int):
        self._loop, self._is_stopped = loop, False
        self.room = threading.Semaphore(size)
        self.queue: asyncio.Queue[tuple[T, BaseException | None]] = asyncio.Queue()
        self.ended: asyncio.Future[None] = loop.create_future()

    def stop(self) -> None:
        """The thread shall end; it may be waiting for room."""
        self._is_stopped = True
        self.room.release()

    def run(self, make: Callable[[], Iterator[T]]) -> None:
        """The work of the thread."""
        try:
            self._deliver(make())
            self._tell(self.queue.put_nowait, (_END, None))
        except BaseException as error:
            self._tell(self.queue.put_nowait, (_END, error))
        finally:
            self._tell(self._set_ended)

    def _deliver(self, items: Iterator[T]) -> None:
        try:
            while self._has_room():
                item = next(items, _END)
                if item is _END:
                    return
                self._tell(self.queue.put_nowait, (item, None))
                del item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _has_room(self) -> bool:
        self.room.acquire()
        return not self._is_stopped

    def _tell(self, call: Callable[..., object], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, *arguments)

    def _set_ended(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


Source = str | os.PathLike[str]
Progress = Callable[[int], object]


def stream_video_frames(
    source: Source,
    *,
    start: int = 0,
    end: int | None = None,
    queue_size: int = 32,
    fetching: Fetching | None = None,
) -> AsyncGenerator[tuple[int, Frames]]:
    """Pairs of frame number and frame for `async for`, decoded ahead by a thread while the loop does more.

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
        DecodeError: A frame cannot be decoded. It arrives in the loop, as the following ones do.
        FileNotFoundError: There is no such file.
        OpenError: It is no video.
        ValueError: `queue_size` is less than 1.
    """
    frames = partial(_frames, source, *_checked_range(start, end), fetching)
    return _stream(frames, positive_integer(queue_size, "queue_size"))


def stream_video_frames_to_dir(
    source: Source,
    output_dir: Source,
    *,
    start: int = 0,
    end: int | None = None,
    ext: str = "png",
    progress_cb: Progress | None = None,
    image_writer: ImageWriter | None = None,
    max_write_workers: int = 4,
    queue_size: int = 32,
    fetching: Fetching | None = None,
) -> list[Path]:
    """Writes frames to image files named `<video>_frame_<number>.<ext>`, several at a time.

    >>> from tempfile import mkdtemp
    >>> [path.name for path in stream_video_frames_to_dir("data_samples/gop2.mp4", mkdtemp(), end=2)]
    ['gop2_frame_000000.png', 'gop2_frame_000001.png']

    A slow disk makes the decoder wait: about `queue_size + max_write_workers` frames and no more are in
    memory. Each file appears under its name when it is complete, also when this is interrupted. It may be
    called where an event loop is running, as in a notebook; there, the twin below does not block the loop.

    Args:
        source: A video, its URL, or a directory of images.
        output_dir: The directory, made if it is not there. Images of these names are replaced, other files
            not. It cannot be the directory that the images are read from.
        start: The first frame; negative counts from the end, as in a slice.
        end: One past the last frame, or None for all; as in a slice.
        ext: The kind of image, such as "png", which keeps every pixel, or "jpg".
        progress_cb: Called as `progress_cb(1)` when a file is there, such as `tqdm.update`.
        image_writer: Writes the files instead: `image_writer(path, frame)`, called by several threads. The
            path is a temporary one with the same end.
        max_write_workers: How many files are written at the same time.
        queue_size: How many decoded frames may wait for that.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        The paths, in the order of the frames.

    Raises:
        FileExistsError: A file that is no image has the name of one.
        ValueError: There are no such image files, or a number is less than 1.
    """
    workers = positive_integer(max_write_workers, "max_write_workers")
    most_waiting = positive_integer(queue_size, "queue_size") + workers
    frames = _numbered(source, *_checked_range(start, end), fetching)
    path_of = _path_maker(source, output_dir, ext, image_writer)
    jobs = ((path_of(number, count), frame) for number, count, frame in frames)
    paths = []
    with ThreadPoolExecutor(workers, "pvio_lab images") as pool, closing(frames):
        for path in write_all(jobs, image_writer or write_image, pool, most_waiting):
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
    progress_cb: Progress | None = None,
    image_writer: ImageWriter | None = None,
    max_write_workers: int = 4,
    queue_size: int = 32,
    fetching: Fetching | None = None,
) -> list[Path]:
    """The same as `stream_video_frames_to_dir`, awaited; the event loop goes on meanwhile.

    `progress_cb` is called in the loop, `image_writer` in threads. Cancelling it leaves whole files only.
    """
    workers = positive_integer(max_write_workers, "max_write_workers")
    frames = partial(_numbered, source, *_checked_range(start, end), fetching)
    stream = _stream(frames, positive_integer(queue_size, "queue_size"))
    path_of = _path_maker(source, output_dir, ext, image_writer)
    loop, paths, waiting = asyncio.get_running_loop(), list[Path](), deque[asyncio.Future[Path]]()

    async def finish_one() -> None:
        paths.append(await waiting[0])
        waiting.popleft()
        if progress_cb is not None:
            progress_cb(1)

    pool = ThreadPoolExecutor(workers, "pvio_lab images")
    try:
        async with aclosing(stream):
            async for number, count, frame in stream:
                save = partial(save_whole, path_of(number, count), frame, image_writer or write_image)
                waiting.append(loop.run_in_executor(pool, save))
                del frame, save
                while waiting and (len(waiting) >= workers or waiting[0].done()):
                    await finish_one()
            while waiting:
                await finish_one()
    except VideoError:  # what was decoded before is good
        while waiting:
            await finish_one()
        raise
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.to_thread(pool.shutdown, cancel_futures=True)
    return paths


async def _stream(make: Callable[[], Iterator[Any]], queue_size: int) -> AsyncGenerator[Any]:
    ahead = Ahead(make, queue_size)
    try:
        async for item in ahead:
            yield item
            del item
    finally:
        await ahead.close()


def _frames(
    source: Source, start: int, end: int | None, fetching: Fetching | None
) -> Generator[tuple[int, Frames]]:
    for number, _, frame in _numbered(source, start, end, fetching):
        yield number, frame
        del frame


def _numbered(
    source: Source, start: int, end: int | None, fetching: Fetching | None
) -> Generator[tuple[int, int, Frames]]:
    """Number, how many frames there are, and the frame."""
    with open_video(source, fetching=fetching) as reader:
        numbers, _ = frame_numbers(slice(start, end), len(reader))
        stream, count = reader.stream(numbers), len(reader)
        for number in numbers.tolist():
            yield number, count, next(stream)


def _checked_range(start: int, end: int | None) -> tuple[int, int | None]:
    return integer(start, "start"), None if end is None else integer(end, "end")


def _path_maker(
    source: Source, output_dir: Source, ext: str, image_writer: ImageWriter | None
) -> Callable[[int, int], Path]:
    """Return a function that gives each frame its path; make the directory, and clear it of partial files."""
    suffix = image_suffix(ext) if image_writer is None else checked_suffix(ext)
    directory, stem = Path(output_dir), Path(video_name(source)).stem
    directory.mkdir(parents=True, exist_ok=True)
    if os.path.isdir(source) and os.path.samefile(source, directory):
        raise ValueError(f"output_dir={printable(directory)} has the images that are read; give another one")
    clear_partials(directory, f"{stem}_frame_", is_prefix=True)

    def path_of(number: int, count: int) -> Path:
        path = directory / image_name(stem, number, count, suffix)
        if os.path.lexists(path) and is_image_suffix(suffix) and not is_image(path):
            raise FileExistsError(
                f"{printable(path)} is there, and no image; remove it, or give another output_dir"
            )
        return path

    return path_of
