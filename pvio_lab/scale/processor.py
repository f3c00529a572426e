"""`VideoProcessor`: sources become frames for a multimodal model, many at once, failures as data."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from os import PathLike
from typing import Any, Literal, get_args

from ..base import not_negative_integer, num_cpus, positive_integer
from ..read import Fetching, outline, public_name, shown
from .loops import in_thread, run_anywhere
from .policies import Policy
from .preprocess import LAYOUTS, Form, preprocess_steps, size_of
from .take import CacheMode, Taken, Wishes, take

Source = str | PathLike[str]
Result = dict[str, Any]
_FLAGS = ("channels_first", "keep_downloaded", "bypass_if_frames_present")


class _Abandoned(Exception):
    """Nobody waits for the result any more."""


@dataclass(frozen=True, kw_only=True)
class VideoProcessor:
    """Fetches, decodes and prepares videos for a multimodal model.

    Where strangers name the sources, as in chat messages, use `fetching=Fetching.untrusted()`: else they can
    have files of this machine and of its network read.

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
    """Where a URL is downloaded to: "disk", "memory", or "auto": to memory what is small; and where only the
    beginning of a video is needed, no more than that is fetched."""
    cache_dir: str | PathLike[str] | None = None
    """The folder for downloads on disk; None for that of temporary files, or with `keep_downloaded` the
    user's cache folder."""
    keep_downloaded: bool = False
    """Downloads stay in the cache, and count there the next time."""
    timeout_s: float = 30.0
    """How long each try may wait for the server, and decoding may take; after all of it, it is given up."""
    max_concurrency: int = 8
    """How many sources are fetched and decoded at once."""
    retries: int = 2
    """How often a fault that may pass is tried again: a time-out, a reset, 429, 5xx."""
    retry_backoff_base: float = 0.5
    """Seconds before the first of them, doubled each time."""
    bypass_if_frames_present: bool = False
    """For tables: a row that has frames in `video` already stays as it is."""
    fetching: Fetching | None = None
    """What may be opened, limits, and headers; see `Fetching`. Where `timeout_s`, `retries`,
    `retry_backoff_base` or `cache_dir` have other values than those above, they count instead of its own."""

    def __post_init__(self) -> None:
        positive_integer(self.max_concurrency, "max_concurrency")
        not_negative_integer(self.retries, "retries")
        if self.max_sampled_frames is not None:
            positive_integer(self.max_sampled_frames, "max_sampled_frames")
        _one_of(self.output_format, ("pil", "numpy"), "output_format")
        _one_of(self.cache_mode, get_args(CacheMode), "cache_mode")
        _one_of(self.pack_for_model, (False, *LAYOUTS), "pack_for_model")
        for name in _FLAGS:
            _one_of(getattr(self, name), (False, True), name)
        self._check_together()
        _ = self._wishes  # checks the rest

    def _check_together(self) -> None:
        if self.channels_first and not self.pack_for_model and self.output_format == "pil":
            raise ValueError(
                "channels_first=True is for arrays: add output_format='numpy' or pack_for_model='TCHW'"
            )
        if self.channels_first and self.pack_for_model == "THWC":
            raise ValueError("channels_first=True contradicts pack_for_model='THWC'; leave one of them out")
        if self.keep_downloaded and self.cache_mode == "memory":
            raise ValueError("keep_downloaded=True contradicts cache_mode='memory'; leave one of them out")

    async def process(self, sources: Iterable[Source]) -> list[Result]:
        """Prepares many sources at once; the event loop goes on meanwhile.

        Args:
            sources: Paths, URLs and directories of images.

        Returns:
            For each source, in this order, `{"frames": ..., "meta": {...}}`. A source that fails has no
            frames, and `meta` says why: `failed`, `error_type`, `error_message`, `attempts`, `retried`. About
            the frames it says `video_size` ([width, height]), `video_num_frames`, `frame_indices` and
            `frame_timestamps` (seconds), and about the source `source_fps` and `duration_seconds`: exact, or
            what the header says where only the beginning was fetched.

        Raises:
            TypeError: `sources` is a single one.
        """
        return await self.process_within(sources, asyncio.Semaphore(self.max_concurrency))

    def process_sync(self, sources: Iterable[Source]) -> list[Result]:
        """The same without `await`; also inside a running event loop, as in a notebook."""
        return run_anywhere(self.process(sources))

    async def process_within(self, sources: Iterable[Source], gate: asyncio.Semaphore) -> list[Result]:
        """The same, as many at once as the gate lets through; several calls may share one."""
        if isinstance(sources, str | PathLike):
            raise TypeError(f"sources must be a list of paths or URLs, not a single one: {outline(sources)}")
        listed = list(sources)
        threads = max(1, num_cpus() // max(1, min(self.max_concurrency, len(listed))))
        return await asyncio.gather(*(self._one(source, threads, gate) for source in listed))

    async def _one(self, source: Source, threads: int, gate: asyncio.Semaphore) -> Result:
        try:
            async with gate:
                taken = await self._take(source, threads)
        except Exception as error:
            return failure(source, error)
        meta = _meta(source, attempts=taken.attempts, taken=taken, size=self._size(taken))
        return {"frames": taken.frames, "meta": meta}

    async def _take(self, source: Source, threads: int) -> Taken:
        if not isinstance(source, str | PathLike):
            raise TypeError(f"a source must be a path or a URL, not {type(source).__name__}")
        stop = threading.Event()

        def check() -> None:
            if stop.is_set():
                raise _Abandoned

        try:
            return await in_thread(partial(take, source, self._wishes, threads, check), self._limit_seconds)
        except TimeoutError:
            raise TimeoutError(
                f"{shown(source)} was not ready after {self._limit_seconds:g} seconds; "
                f"raise timeout_s={self._wishes.fetching.timeout_seconds:g}, or ask for fewer frames"
            ) from None
        finally:
            stop.set()

    def _size(self, taken: Taken) -> list[int] | None:
        form = self._wishes.form
        return size_of(taken.frames[0], channels_first=form.channels_first) if taken.numbers else None

    @property
    def _limit_seconds(self) -> float:
        """How long a source may take: all of its tries, the waits between them, and the decoding."""
        limits = self._wishes.fetching
        waits = limits.backoff_seconds * (2.0**limits.retries - 1)
        return (limits.retries + 2) * limits.timeout_seconds + waits

    @cached_property
    def _wishes(self) -> Wishes:
        is_first = self.channels_first or LAYOUTS.get(str(self.pack_for_model), False)
        return Wishes(
            policy=Policy.of(self.sampling, self.max_sampled_frames),
            form=Form(
                steps=tuple(preprocess_steps(self.preprocess)),
                is_picture=self.output_format == "pil" and not self.pack_for_model,
                channels_first=is_first,
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


def failure(source: Any, error: Exception) -> Result:
    """The result for a source that failed, or could not even be named."""
    return {"frames": [], "meta": _meta(source, attempts=getattr(error, "attempts", 1), error=error)}


# Options of a processor, and what each is called in `Fetching`.
_LIMITS = {
    "timeout_s": "timeout_seconds",
    "retries": "retries",
    "retry_backoff_base": "backoff_seconds",
    "cache_dir": "cache_dir",
}


def _fetching(processor: VideoProcessor) -> Fetching:
    """Return the limits of a processor; their checks are those of its options, by their names there."""
    own = processor.fetching
    if own is not None and not isinstance(own, Fetching):
        raise TypeError(f"fetching must be a Fetching, not {type(own).__name__}")
    usual = {each.name: each.default for each in fields(processor)}
    given = {name: getattr(processor, name) for name in _LIMITS}
    changes = {_LIMITS[name]: value for name, value in given.items() if not own or value != usual[name]}
    try:
        return replace(own or Fetching(), **changes)
    except (TypeError, ValueError) as error:
        words = str(error)
        for name, its_name in _LIMITS.items():
            words = words.replace(its_name, name)
        raise type(error)(words) from None


def _meta(
    source: Any,
    *,
    attempts: int,
    taken: Taken | None = None,
    size: list[int] | None = None,
    error: Exception | None = None,
) -> dict[str, Any]:
    return {
        "source": public_name(source) if isinstance(source, str | PathLike) else outline(source),
        "failed": error is not None,
        "error_type": None if error is None else type(error).__name__,
        "error_message": None if error is None else str(error),
        "attempts": max(attempts, 1),
        "retried": attempts > 1,
        "video_size": size,
        "video_num_frames": len(taken.numbers) if taken else 0,
        "frame_timestamps": taken.seconds if taken else [],
        "frame_indices": taken.numbers if taken else [],
        "source_fps": taken.fps if taken else None,
        "duration_seconds": taken.duration_seconds if taken else None,
    }


def _one_of(value: Any, allowed: tuple[Any, ...], name: str) -> None:
    if not any(value is each or (isinstance(each, str) and value == each) for each in allowed):
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
