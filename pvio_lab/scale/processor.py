"""`VideoProcessor`: sources become frames for a multimodal model, many at once, failures as data."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from os import PathLike
from typing import Any, Literal, TypeVar, get_args

from ..base import not_negative_integer, num_cpus, one_of, positive_integer, waiting
from ..read import Fetching, outline, public_name, shown
from .recipe import LAYOUTS, CacheMode, Form, Policy, Recipe, preprocess_steps
from .take import Taken, take

T = TypeVar("T")
Source = str | PathLike[str]
Result = dict[str, Any]
_FLAGS = ("channels_first", "keep_downloaded", "bypass_if_frames_present")
# Options of a processor, and what each is called in `Fetching`.
_LIMITS = {
    "timeout_s": "timeout_seconds",
    "retries": "retries",
    "retry_backoff_base": "backoff_seconds",
    "cache_dir": "cache_dir",
}


class _Abandoned(Exception):
    """Nobody waits for the result any more."""


@dataclass(frozen=True, kw_only=True)
class VideoProcessor:
    """Fetches, decodes and prepares videos for a multimodal model.

    Where strangers name the sources, as in chat messages, use `fetching=Fetching.untrusted()`: otherwise they
    can have files of this machine and of its network read.

    >>> processor = VideoProcessor(sampling={"uniform": 8}, preprocess={"resize": {"size": (320, 180)}})
    >>> good, bad = processor.process_sync(["data_samples/shapes.mp4", "missing.mp4"])
    >>> len(good["frames"]), good["frames"][0].size, good["meta"]["frame_indices"]
    (8, (320, 180), [0, 43, 85, 128, 171, 214, 256, 299])
    >>> bad["frames"], bad["meta"]["error_type"], bad["meta"]["error_message"]
    ([], 'FileNotFoundError', 'there is no video file missing.mp4')

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option has a value that is not allowed, or two do not go together.
    """

    sampling: Mapping[str, Any] = field(default_factory=lambda: {"fps": 3.0})
    """One of `{"fps": frames a second}`, `{"num_frames": the first n}`, `{"uniform": n spread evenly}`."""
    max_sampled_frames: int | None = None
    """At most this many frames of each video, from the beginning."""
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    """Steps in the order given: `{"resize": {"size": (w, h), "resample": "BILINEAR"}}`,
    `{"crop": {"box": (left, top, right, bottom)}}`, `{"convert": "RGB"}`."""
    output_format: Literal["pil", "numpy"] = "pil"
    """A frame becomes a Pillow image, or an array `(H, W, C)`."""
    channels_first: bool = False
    """Arrays are `(C, H, W)` instead."""
    pack_for_model: str | Literal[False] = False
    """All frames of a video become one array of this layout: "THWC" or "TCHW"; False for a list of frames."""
    cache_mode: CacheMode = "auto"
    """The place of downloads: "disk", "memory", or "auto": what is small goes to memory; and where only the
    beginning of a video is needed, no more than that is fetched."""
    cache_dir: str | PathLike[str] | None = None
    """The folder for downloads on disk; None for the folder of temporary files, or with `keep_downloaded` for
    the user's cache folder."""
    keep_downloaded: bool = False
    """Downloads stay in the cache, and are used from there the next time."""
    timeout_s: float = 30.0
    """Seconds that each try may wait for the server, and that decoding may take; after all of them the
    processor gives up."""
    max_concurrency: int = 8
    """The number of sources that are fetched and decoded at once."""
    retries: int = 2
    """The number of retries after a fault that may pass: a time-out, a reset, 429, 5xx."""
    retry_backoff_base: float = 0.5
    """Seconds before the first retry, doubled each time."""
    bypass_if_frames_present: bool = False
    """For tables: a row that already has frames in `video` stays as it is."""
    fetching: Fetching | None = None
    """Limits, headers, and what may be opened; see `Fetching`. Where `timeout_s`, `retries`,
    `retry_backoff_base` or `cache_dir` differ from the defaults above, they replace its own."""

    def __post_init__(self) -> None:
        positive_integer(self.max_concurrency, "max_concurrency")
        not_negative_integer(self.retries, "retries")
        if self.max_sampled_frames is not None:
            positive_integer(self.max_sampled_frames, "max_sampled_frames")
        one_of(self.output_format, ("pil", "numpy"), "output_format")
        one_of(self.cache_mode, get_args(CacheMode), "cache_mode")
        if self.pack_for_model is not False:
            one_of(self.pack_for_model, tuple(LAYOUTS), "pack_for_model")
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r} must be True or False")
        if self.channels_first and not self.pack_for_model and self.output_format == "pil":
            raise ValueError(
                "channels_first=True is for arrays: add output_format='numpy' or pack_for_model='TCHW'"
            )
        if self.channels_first and self.pack_for_model == "THWC":
            raise ValueError("channels_first=True contradicts pack_for_model='THWC'; leave one of them out")
        if self.keep_downloaded and self.cache_mode == "memory":
            raise ValueError("keep_downloaded=True contradicts cache_mode='memory'; leave one of them out")
        _ = self._recipe  # checks the rest

    async def process(
        self, sources: Iterable[Source], *, gate: asyncio.Semaphore | None = None
    ) -> list[Result]:
        """Prepare many sources at once; the event loop goes on meanwhile.

        Args:
            sources: Paths, URLs and directories of images.
            gate: Limits how many sources several calls prepare at once; `max_concurrency` for each call when
                left out.

        Returns:
            For each source, in this order, `{"frames": ..., "meta": {...}}`. A source that fails has no
            frames, and `meta` says why: `failed`, `error_type`, `error_message`, `attempts`, `retried`. About
            the frames it says `video_size` ([width, height]), `video_num_frames`, `frame_indices` and
            `frame_timestamps` (seconds), and about the source `source_fps` and `duration_seconds`: exact, or
            what the header says where only the beginning was fetched.

        Raises:
            TypeError: `sources` is a single one.
        """
        if isinstance(sources, str | PathLike):
            raise TypeError(f"sources must be a list of paths or URLs, not a single one: {outline(sources)}")
        listed, gate = list(sources), gate or asyncio.Semaphore(self.max_concurrency)
        threads = max(1, num_cpus() // max(1, min(self.max_concurrency, len(listed))))
        return await asyncio.gather(*(self._one(source, threads, gate) for source in listed))

    def process_sync(self, sources: Iterable[Source]) -> list[Result]:
        """Do the same without `await`, even inside a running event loop, as in a notebook."""
        return run_anywhere(self.process(sources))

    async def _one(self, source: Source, threads: int, gate: asyncio.Semaphore) -> Result:
        try:
            async with gate:
                return _result(source, await self._take(source, threads))
        except Exception as error:
            return failure(source, error)

    async def _take(self, source: Source, threads: int) -> Taken:
        if not isinstance(source, str | PathLike):
            raise TypeError(f"a source must be a path or a URL, not {type(source).__name__}")
        stop, limits = threading.Event(), self._recipe.fetching
        # All of the tries, the waits between them, and the decoding.
        waits = limits.backoff_seconds * (2.0**limits.retries - 1)
        seconds = (limits.retries + 2) * limits.timeout_seconds + waits

        def check() -> None:
            if stop.is_set():
                raise _Abandoned

        try:
            return await in_thread(partial(take, source, self._recipe, threads, check), seconds)
        except asyncio.TimeoutError:  # before Python 3.11 another class than the built-in one
            raise TimeoutError(
                f"{shown(source)} was not ready after {seconds:g} seconds; "
                f"raise timeout_s={limits.timeout_seconds:g}, or ask for fewer frames"
            ) from None
        finally:
            stop.set()

    @cached_property
    def _recipe(self) -> Recipe:
        return Recipe(
            policy=Policy.of(self.sampling, self.max_sampled_frames),
            form=Form(
                steps=tuple(preprocess_steps(self.preprocess)),
                is_picture=self.output_format == "pil" and not self.pack_for_model,
                channels_first=self.channels_first or LAYOUTS.get(str(self.pack_for_model), False),
                is_packed=bool(self.pack_for_model),
            ),
            fetching=_fetching(self),
            cache_mode=self.cache_mode,
            keep_downloaded=self.keep_downloaded,
        )


def processor_with(options: Mapping[str, Any], who: str) -> VideoProcessor:
    """Return a processor with these options; `who` was given them.

    Raises:
        TypeError: There is no such option.
    """
    allowed = [each.name for each in fields(VideoProcessor) if each.init]
    for name in options:
        if name not in allowed:
            raise TypeError(f"{who} has no option {name!r}; there are {', '.join(allowed)}")
    return VideoProcessor(**options)


def _fetching(processor: VideoProcessor) -> Fetching:
    """Return the limits of a processor; their checks are those of its options, by their names there."""
    own = processor.fetching
    if own is not None and not isinstance(own, Fetching):
        raise TypeError(f"fetching must be a Fetching, not {type(own).__name__}")
    defaults = {each.name: each.default for each in fields(processor)}
    given = {name: getattr(processor, name) for name in _LIMITS}
    changes = {_LIMITS[name]: value for name, value in given.items() if not own or value != defaults[name]}
    try:
        return replace(own or Fetching(), **changes)
    except (TypeError, ValueError) as error:
        words = str(error)
        for name, its_name in _LIMITS.items():
            words = words.replace(its_name, name)
        raise type(error)(words) from None


def failure(source: Any, error: Exception) -> Result:
    """Return the result for a source that failed, or could not even be named."""
    return _result(source, Taken(attempts=getattr(error, "attempts", 1)), error)


def _result(source: Any, taken: Taken, error: Exception | None = None) -> Result:
    meta = {
        "source": public_name(source) if isinstance(source, str | PathLike) else outline(source),
        "failed": error is not None,
        "error_type": None if error is None else type(error).__name__,
        "error_message": None if error is None else str(error),
        "attempts": max(taken.attempts, 1),
        "retried": taken.attempts > 1,
        "video_size": taken.size,
        "video_num_frames": len(taken.numbers),
        "frame_timestamps": taken.seconds,
        "frame_indices": taken.numbers,
        "source_fps": taken.fps,
        "duration_seconds": taken.duration_seconds,
    }
    return {"frames": taken.frames, "meta": meta}


async def in_thread(work: Callable[[], T], timeout_seconds: float) -> T:
    """Return what `work` returns, which runs in a thread of its own while the loop goes on.

    A thread cannot be stopped from outside: after the time limit, or when this is cancelled, nothing waits
    for it any more, not even the end of the program.

    Raises:
        asyncio.TimeoutError: It takes longer.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on, cancelling is left to the one who waits

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="pvio_lab_video").start()
    return await asyncio.wait_for(asyncio.wrap_future(future), timeout_seconds)


def run_anywhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; in another thread where this one has a running loop, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    threads = [threading.Thread(target=_run_out, args=(loop, task), daemon=True)]
    try:
        waiting.start(threads)
        waiting.join(threads)
    except BaseException:
        loop.call_soon_threadsafe(task.cancel)
        waiting.join(threads)
        raise
    return task.result()


def _run_out(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    try:
        loop.run_until_complete(asyncio.wait([task]))
    finally:
        loop.close()
