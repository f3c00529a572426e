"""`VideoProcessor`: sources, as chats name them, become frames for a multimodal model, many at once."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from os import PathLike
from typing import Any, Literal, TypeVar, get_args

from ..base import not_negative_integer, num_cpus, one_of, positive_integer, waiting
from ..read import Fetching, outline
from .process_source import Result, Source, process_source
from .recipe import LAYOUTS, CacheMode, Form, Policy, Recipe, out_of_order, preprocess_steps

T = TypeVar("T")
# Options of a processor, and what each is called in `Fetching`.
_LIMITS = {
    "timeout_s": "timeout_seconds",
    "retries": "retries",
    "retry_backoff_base": "backoff_seconds",
    "cache_dir": "cache_dir",
}


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

    sampling: Mapping[str, Any] | None = field(default_factory=lambda: {"fps": 3.0})
    """One of `{"fps": frames a second}`, `{"num_frames": the first n}`, `{"uniform": n spread evenly}`; None
    for three a second."""
    max_sampled_frames: int | None = None
    """At most this many frames of each video, from the beginning."""
    preprocess: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = field(default_factory=dict)
    """`{"resize": {"size": (w, h), "resample": "BILINEAR"}, "crop": {"box": (left, top, right, bottom)},
    "convert": "RGB"}`, or some of these steps, applied in this order; or a list of dictionaries of one step
    each, applied in the order of the list."""
    output_format: Literal["pil", "numpy"] = "pil"
    """A frame becomes a Pillow image, or an array `(H, W, C)`."""
    channels_first: bool = False
    """Arrays are `(C, H, W)` instead. Pillow images stay as they are."""
    pack_for_model: str | bool = False
    """All frames of a video become one array of this layout: "THWC" or "TCHW", or for True the one that
    `channels_first` says; False for a list of frames."""
    cache_mode: CacheMode = "auto"
    """The place of downloads: "disk", "memory", or "auto": what is small goes to memory; and where only the
    beginning of a video is needed, no more than that is fetched."""
    cache_dir: str | PathLike[str] | None = None
    """The folder for downloads on disk; None for the folder of temporary files, or with `keep_downloaded` for
    the user's cache folder."""
    keep_downloaded: bool = False
    """Downloads stay in the cache, and are used from there the next time; those in memory do not."""
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
        if not isinstance(self.pack_for_model, bool):
            one_of(self.pack_for_model, tuple(LAYOUTS), "pack_for_model")
        for name in ("channels_first", "keep_downloaded", "bypass_if_frames_present"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r} must be True or False")
        if self.channels_first and self.pack_for_model == "THWC":
            raise ValueError("channels_first=True contradicts pack_for_model='THWC'; leave one of them out")
        _ = self._recipe  # checks the rest
        warning = out_of_order(self.preprocess)
        if warning:
            warnings.warn(warning, stacklevel=3)

    async def process(
        self, sources: Iterable[Source], *, gate: asyncio.Semaphore | None = None
    ) -> list[Result]:
        """Prepare many sources at once, without blocking the event loop.

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
        listed, limit = list(sources), gate or asyncio.Semaphore(self.max_concurrency)
        num_threads = max(1, num_cpus() // max(1, min(self.max_concurrency, len(listed))))

        async def one(source: Source) -> Result:
            async with limit:
                return await process_source(source, self._recipe, num_threads)

        return await asyncio.gather(*map(one, listed))

    def process_sync(self, sources: Iterable[Source]) -> list[Result]:
        """Do the same without `await`, even inside a running event loop, as in a notebook."""
        return _run_anywhere(self.process(sources))

    @cached_property
    def _recipe(self) -> Recipe:
        sampling = {"fps": 3.0} if self.sampling is None else self.sampling
        policy = Policy.of(sampling, self.max_sampled_frames)
        form = Form(
            steps=tuple(preprocess_steps({} if self.preprocess is None else self.preprocess)),
            is_picture=self.output_format == "pil" and not self.pack_for_model,
            channels_first=self.channels_first or LAYOUTS.get(str(self.pack_for_model), False),
            is_packed=bool(self.pack_for_model),
        )
        keeps = self.keep_downloaded and self.cache_mode != "memory"
        return Recipe(policy, form, self._limits(), self.cache_mode, keeps)

    def _limits(self) -> Fetching:
        """Return how to fetch; errors have the names that the options have here."""
        own = self.fetching
        if own is not None and not isinstance(own, Fetching):
            raise TypeError(f"fetching must be a Fetching, not {type(own).__name__}")
        changes = {
            _LIMITS[each.name]: getattr(self, each.name)
            for each in fields(self)
            if each.name in _LIMITS and (own is None or getattr(self, each.name) != each.default)
        }
        try:
            return replace(own or Fetching(), **changes)
        except (TypeError, ValueError) as error:
            message = str(error)
            for name, its_name in _LIMITS.items():
                message = message.replace(its_name, name)
            raise type(error)(message) from None


def processor_with(options: Mapping[str, Any], who: str) -> VideoProcessor:
    """Return a processor with these options; an error about one of them names who was given it."""
    allowed = [each.name for each in fields(VideoProcessor) if each.init]
    for name in options:
        if name not in allowed:
            raise TypeError(f"{who} has no option {name!r}; there are {', '.join(allowed)}")
    return VideoProcessor(**options)


def _run_anywhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; in another thread where this one has a running loop, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)

    def run() -> None:
        with closing(loop):
            loop.run_until_complete(asyncio.wait([task]))

    threads = [threading.Thread(target=run, daemon=True)]
    try:
        waiting.start(threads)
        waiting.join(threads)
    except BaseException:
        loop.call_soon_threadsafe(task.cancel)
        waiting.join(threads)
        raise
    return task.result()


def video_sources(messages: Any) -> list[str]:
    """Return the sources of the `video` and `video_url` items of OpenAI-style chat messages, in their order.

    >>> question = [
    ...     {"type": "text", "text": "What is different?"},
    ...     {"type": "video", "video": "before.mp4"},
    ...     {"type": "video_url", "video_url": {"url": "https://example.org/after.mp4"}},
    ... ]
    >>> video_sources([{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}])
    ['before.mp4', 'https://example.org/after.mp4']

    A message may name any file and any address: open what strangers have written with
    `fetching=Fetching.untrusted()`. Lists may also be arrays, and what an item lacks may be None in it, as in
    the rows of tables.

    Args:
        messages: The messages of one chat; the content of each is a text or a list of items.

    Raises:
        ValueError: A message or a video item has another shape; the error says which one, and where.
    """
    return [
        source
        for number, message in enumerate(_sequence(messages, "messages"))
        for source in _of_message(message, f"messages[{number}]")
    ]


def _of_message(message: Any, where: str) -> Iterator[str]:
    if not isinstance(message, Mapping):
        raise _wrong(where, message, 'a message: {"role": ..., "content": ...}')
    content, where = message.get("content"), f"{where}['content']"
    if content is None or isinstance(content, str):
        return
    for number, item in enumerate(_sequence(content, where)):
        if isinstance(item, str):
            continue
        if not isinstance(item, Mapping):
            raise _wrong(f"{where}[{number}]", item, 'a text or an item: {"type": ..., ...}')
        kind = item.get("type")
        if kind not in ("video", "video_url"):
            continue
        source = item.get(kind)
        if isinstance(source, Mapping):
            source = source.get("url")
        if not isinstance(source, str | PathLike) or not str(source):
            forms = '{"type": "video", "video": ...} or {"type": "video_url", "video_url": {"url": ...}}'
            raise _wrong(f"{where}[{number}]", item, f"{forms}, with the path or URL of a video")
        yield str(source)


def _sequence(value: Any, where: str) -> Sequence[Any]:
    if hasattr(value, "tolist"):  # an array, as rows of a table have it
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _wrong(where, value, "a list")
    return value


def _wrong(where: str, value: Any, wanted: str) -> ValueError:
    return ValueError(f"{where} must be {wanted}; it is {outline(value)}")
