"""The frames that a recipe takes from one source, fetching no more than that needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from ..errors import DecodeError, OpenError
from ..read import (
    ImageSequence,
    NotStreamable,
    Numbers,
    VideoReader,
    fetched,
    is_url,
    open_video,
    opened_stream,
    shown,
    source_name,
)
from .head import Front, Selection, select_from_front
from .recipe import CacheMode, Form, Pixels, Recipe

Check = Callable[[], None]
# How large a download in memory may be.
_MEMORY_BYTES: dict[CacheMode, float] = {"auto": 64 * 2**20, "disk": 0, "memory": math.inf}
# This much is decoded at a time, before it is resized and its memory used again.
_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Taken:
    """The frames taken from a source, and what is known about them; without arguments, none."""

    frames: Any = field(default_factory=list)
    """The frames in the form of the recipe."""
    numbers: list[int] = field(default_factory=list)
    """The numbers of the frames."""
    seconds: list[float] = field(default_factory=list)
    """The times at which they are shown."""
    size: list[int] | None = None
    """Width and height."""
    fps: float | None = None
    """The rate of the source."""
    duration_seconds: float | None = None
    """The duration of the source."""
    attempts: int = 1
    """The number of tries; 0 where nothing had to be fetched."""


def take(source: str | PathLike[str], recipe: Recipe, threads: int, check: Check) -> Taken:
    """Fetch and decode one source.

    Args:
        source: A path, a URL or a directory of images.
        recipe: What is wanted.
        threads: How many threads decode.
        check: Called often; raises where that shall stop.

    Raises:
        FileNotFoundError: There is no such file.
        SourceError: It cannot be fetched.
        VideoError: It is not a video, or a frame cannot be decoded.
    """
    name = source_name(source)
    if not _comes_over_a_network(name) or recipe.keep_downloaded:
        with fetched(name, recipe.fetching) as file, _named(file.path, name):
            return _from_file(file.path, recipe, threads, check, file)
    memory_bytes = _MEMORY_BYTES[recipe.cache_mode]
    with (
        opened_stream(name, recipe.fetching) as stream,
        closing(Front(stream, recipe.fetching.cache_dir, memory_bytes=memory_bytes, check=check)) as front,
    ):
        download: Any = getattr(stream, "raw", None)
        if recipe.cache_mode == "auto" and recipe.policy.needs_beginning_only:
            with suppress(NotStreamable):  # and on with what has come so far, and the rest
                selection = select_from_front(front, shown(name), recipe.policy, threads)
                return _taken(selection, recipe.form, download)
        path = front.fetch_all()
        with _named(path, name):
            return _from_file(path, recipe, threads, check, download)


def _comes_over_a_network(name: str) -> bool:
    return is_url(name) and not name.lower().startswith("file:")


def _from_file(path: str, recipe: Recipe, threads: int, check: Check, download: Any) -> Taken:
    check()
    with open_video(path, num_threads=threads, cache_bytes=0) as reader:
        numbers = recipe.policy.numbers(reader)
        seconds = reader.times[0][numbers]
        frames = zip(numbers.tolist(), seconds.tolist(), _decoded(reader, numbers, check), strict=True)
        selection = Selection(reader.fps, reader.info.duration_seconds, frames)
        return _taken(selection, recipe.form, download)


def _decoded(reader: VideoReader | ImageSequence, numbers: Numbers, check: Check) -> Iterator[Pixels]:
    """Yield frames decoded in blocks, so that memory does not grow with their number."""
    size = max(1, _BLOCK_BYTES // math.prod(reader.shape[1:]))
    for begin in range(0, len(numbers), size):
        check()
        yield from reader.read(numbers[begin : begin + size])


def _taken(selection: Selection, form: Form, download: Any) -> Taken:
    """Bring the frames into their form, and count the attempts up to the last of them."""
    rows = [(number, seconds, form.of_frame(pixels)) for number, seconds, pixels in selection.frames]
    frames = [frame for *_, frame in rows]
    return Taken(
        frames=form.of_video(frames),
        numbers=[number for number, *_ in rows],
        seconds=[seconds for _, seconds, _ in rows],
        size=form.size_of(frames[0]) if frames else None,
        fps=selection.fps,
        duration_seconds=selection.duration_seconds,
        attempts=int(getattr(download, "attempts", 1)),
    )


@contextmanager
def _named(path: str, name: str) -> Iterator[None]:
    """Let errors about a download name its source, not a file that is gone when they are read."""
    try:
        yield
    except (DecodeError, OpenError) as error:
        if path == name:
            raise
        raise type(error)(str(error).replace(path, shown(name))) from None
