"""One source becomes the frames that a policy takes from it, fetching no more than that needs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DecodeError, OpenError
from ..read import (
    Fetching,
    ImageSequence,
    VideoReader,
    fetched,
    is_url,
    open_video,
    opened_stream,
    shown,
    source_name,
    timeline,
)
from .head import Front, NotStreamable, needs_beginning_only, open_beginning
from .policies import Policy
from .preprocess import Form, Pixels
from .spool import Spool

CacheMode = Literal["auto", "disk", "memory"]
Check = Callable[[], None]
# Downloads up to this size stay in memory.
_SMALL_BYTES = 64 * 2**20
# So much is decoded at a time, before it is resized and its memory used again.
_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Wishes:
    """What is wanted from each source, and how it may be fetched."""

    policy: Policy
    """Which frames."""
    form: Form
    """What becomes of them."""
    fetching: Fetching
    """Time limits and tries."""
    cache_mode: CacheMode = "auto"
    """Where a download goes."""
    keep_downloaded: bool = False
    """It stays in the cache."""


@dataclass(frozen=True)
class Taken:
    """The frames taken from a source, and what is known about them."""

    frames: Any
    """As the form has them."""
    numbers: list[int]
    """Which frames they are."""
    seconds: list[float]
    """When they are shown."""
    fps: float | None
    """The rate of the source."""
    duration_seconds: float | None
    """How long the source is."""
    attempts: int
    """How often it was tried."""


def take(source: str | PathLike[str], wishes: Wishes, threads: int, check: Check) -> Taken:
    """Fetches and decodes one source.

    Args:
        source: A path, a URL or a directory of images.
        wishes: What is wanted.
        threads: How many threads decode.
        check: Called often; raises where that shall stop.

    Raises:
        FileNotFoundError: There is no such file.
        SourceError: It cannot be fetched.
        VideoError: It is no video, or a frame cannot be decoded.
    """
    name = source_name(source)
    if not _comes_over_a_network(name) or wishes.keep_downloaded:
        with fetched(name, wishes.fetching) as file, _named(file.path, name):
            return _read(file.path, wishes, threads, check, lambda: file.attempts)
    with ExitStack() as stack:
        stream = stack.enter_context(opened_stream(name, wishes.fetching))
        front = Front(stream, stack.enter_context(spool_for(wishes)), check)

        def attempts() -> int:
            return int(getattr(getattr(stream, "raw", None), "attempts", 1))

        if wishes.cache_mode == "auto" and needs_beginning_only(wishes.policy):
            try:
                return _read_beginning(front, name, wishes, threads, attempts)
            except NotStreamable:
                pass  # goes on with what has come so far, and the rest
        path = front.fetch_all()
        with _named(path, name):
            return _read(path, wishes, threads, check, attempts)


def _comes_over_a_network(name: str) -> bool:
    return is_url(name) and not name.lower().startswith("file:")


def spool_for(wishes: Wishes) -> Spool:
    """Where a download goes."""
    limits = {"auto": _SMALL_BYTES, "disk": 0, "memory": math.inf}
    return Spool(wishes.fetching.cache_dir, memory_bytes=limits[wishes.cache_mode])


def _read_beginning(
    front: Front, name: str, wishes: Wishes, threads: int, attempts: Callable[[], int]
) -> Taken:
    video = open_beginning(front, shown(name), wishes.policy, threads)
    rows = [(number, seconds, wishes.form.of_frame(pixels)) for number, seconds, pixels in video.frames]
    return Taken(
        frames=wishes.form.of_video([frame for *_, frame in rows]),
        numbers=[number for number, *_ in rows],
        seconds=[seconds for _, seconds, _ in rows],
        fps=video.fps,
        duration_seconds=video.duration_seconds,
        attempts=attempts(),
    )


def _read(path: str, wishes: Wishes, threads: int, check: Check, attempts: Callable[[], int]) -> Taken:
    check()
    options: dict[str, Any] = {} if os.path.isdir(path) else {"num_threads": threads, "cache_bytes": 0}
    with open_video(path, **options) as reader:
        return _from_reader(reader, wishes, check, attempts())


def _from_reader(reader: VideoReader | ImageSequence, wishes: Wishes, check: Check, attempts: int) -> Taken:
    numbers = wishes.policy.numbers(reader)
    frames = [wishes.form.of_frame(pixels) for pixels in _decoded(reader, numbers, check)]
    return Taken(
        frames=wishes.form.of_video(frames),
        numbers=numbers.tolist(),
        seconds=timeline(reader)[0][numbers].tolist(),
        fps=reader.fps,
        duration_seconds=reader.info.duration_seconds,
        attempts=attempts,
    )


def _decoded(
    reader: VideoReader | ImageSequence, numbers: NDArray[np.int64], check: Check
) -> Iterator[Pixels]:
    """In blocks, so that memory does not grow with the number of frames."""
    size = max(1, _BLOCK_BYTES // math.prod(reader.shape[1:]))
    for begin in range(0, len(numbers), size):
        check()
        yield from reader.read(numbers[begin : begin + size])


@contextmanager
def _named(path: str, name: str) -> Iterator[None]:
    """Errors about a download name its source, not a file that is gone when they are read."""
    try:
        yield
    except (DecodeError, OpenError) as error:
        if path == name:
            raise
        raise type(error)(str(error).replace(path, shown(name))) from None
