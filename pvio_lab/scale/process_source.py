"""One source becomes a result: fetched and decoded no further than that needs, and a failure is data, too."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from os import PathLike
from typing import Any

from ..errors import DecodeError, OpenError
from ..read import (
    HeldSource,
    ImageSequence,
    NotStreamable,
    Numbers,
    VideoReader,
    is_url,
    open_video,
    opened_stream,
    outline,
    public_name,
    shown,
    source_name,
)
from .partial_download import Front, Selection, select_from_front
from .recipe import CacheMode, Form, Pixels, Recipe

Source = str | PathLike[str]
Result = dict[str, Any]
# How large a download in memory may be.
_MEMORY_BYTES: dict[CacheMode, float] = {"auto": 64 * 2**20, "disk": 0, "memory": math.inf}
# This much is decoded at a time, before it is resized and its memory used again.
_BLOCK_BYTES = 32 * 2**20


async def process_source(source: Source, recipe: Recipe, num_threads: int) -> Result:
    """Return the frames that a recipe takes from a source and their `meta`; if it fails, what went wrong.

    A thread of its own does the work. It cannot be stopped from outside: after the time limit, or when this
    is cancelled, nothing waits for it any more, not even the end of the program.
    """
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()  # from here on, cancelling is left to the one who waits
    is_abandoned = threading.Event()

    def check() -> None:
        if is_abandoned.is_set():
            raise InterruptedError

    def run() -> None:
        try:
            future.set_result(_processed(source, recipe, num_threads, check))
        except BaseException as error:
            future.set_exception(error)

    limits = recipe.fetching
    # All of the tries, the waits between them, and the decoding.
    waits = limits.backoff_seconds * (2.0**limits.retries - 1)
    seconds = (limits.retries + 2) * limits.timeout_seconds + waits
    try:
        threading.Thread(target=run, daemon=True, name="pvio_lab_video").start()
        return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
    except asyncio.TimeoutError:  # before Python 3.11 another class than the built-in one
        late = f"{shown(source)} was not ready after {seconds:g} seconds; "
        advice = f"raise timeout_s={limits.timeout_seconds:g}, or ask for fewer frames"
        return failure(source, TimeoutError(late + advice))
    except Exception as error:
        return failure(source, error)
    finally:
        is_abandoned.set()


def failure(source: Any, error: Exception) -> Result:
    """Return the result for a source that failed, or could not even be named."""
    return _result(source, [], [], attempts=getattr(error, "attempts", 1), error=error)


def _processed(source: Source, recipe: Recipe, num_threads: int, check: Callable[[], None]) -> Result:
    if not isinstance(source, str | PathLike):
        raise TypeError(f"a source must be a path or a URL, not {type(source).__name__}")
    name, fetching = source_name(source), recipe.fetching

    def from_file(path: str, download: Any) -> Result:
        check()
        with _named(path, name), open_video(path, num_threads=num_threads, cache_bytes=0) as reader:
            numbers = recipe.policy.numbers(reader)
            seconds, frames = reader.times[0][numbers], _decoded(reader, numbers, check)
            rows = zip(numbers.tolist(), seconds.tolist(), frames, strict=True)
            found = Selection(reader.fps, reader.info.duration_seconds, rows)
            return _selected(source, found, recipe.form, download)

    is_local = not is_url(name) or name.lower().startswith("file:")
    if is_local or recipe.keep_downloaded:
        with HeldSource(name, fetching) as file:
            return from_file(file.path, file)
    in_memory = _MEMORY_BYTES[recipe.cache_mode]
    with (
        opened_stream(name, fetching) as stream,
        closing(Front(stream, fetching.cache_dir, memory_bytes=in_memory, check=check)) as front,
    ):
        download = getattr(stream, "raw", None)
        if recipe.cache_mode == "auto" and recipe.policy.needs_beginning_only:
            with suppress(NotStreamable):  # then what has come so far is used, and the rest
                found = select_from_front(front, shown(name), recipe.policy, num_threads)
                return _selected(source, found, recipe.form, download)
        return from_file(front.fetch_all(), download)


def _decoded(
    reader: VideoReader | ImageSequence, numbers: Numbers, check: Callable[[], None]
) -> Iterator[Pixels]:
    """Yield frames decoded in blocks, so that memory does not grow with their number."""
    size = max(1, _BLOCK_BYTES // math.prod(reader.shape[1:]))
    for begin in range(0, len(numbers), size):
        check()
        yield from reader.read(numbers[begin : begin + size])


@contextmanager
def _named(path: str, name: str) -> Iterator[None]:
    """Let errors about a download name its source, not a file that is gone when they are read."""
    try:
        yield
    except (DecodeError, OpenError) as error:
        if path == name:
            raise
        raise type(error)(str(error).replace(path, shown(name))) from None


def _selected(source: Source, found: Selection, form: Form, download: Any) -> Result:
    """Bring the frames into their form; the attempts count up to the last of them."""
    rows = [(number, seconds, form.of_frame(pixels)) for number, seconds, pixels in found.frames]
    frames = [frame for *_, frame in rows]
    return _result(
        source,
        form.of_video(frames),
        rows,
        attempts=getattr(download, "attempts", 1),
        size=form.size_of(frames[0]) if frames else None,
        fps=found.fps,
        duration_seconds=found.duration_seconds,
    )


def _result(
    source: Any,
    frames: Any,
    rows: list[tuple[int, float, Any]],
    *,
    attempts: int,
    error: Exception | None = None,
    size: list[int] | None = None,
    fps: float | None = None,
    duration_seconds: float | None = None,
) -> Result:
    meta = {
        "source": public_name(source) if isinstance(source, str | PathLike) else outline(source),
        "failed": error is not None,
        "error_type": None if error is None else type(error).__name__,
        "error_message": None if error is None else str(error),
        "attempts": max(attempts, 1),  # 0 where nothing had to be fetched
        "retried": attempts > 1,
        "video_size": size,
        "video_num_frames": len(rows),
        "frame_timestamps": [seconds for _, seconds, _ in rows],
        "frame_indices": [number for number, *_ in rows],
        "source_fps": fps,
        "duration_seconds": duration_seconds,
    }
    return {"frames": frames, "meta": meta}
