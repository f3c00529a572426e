"""Videos prepared with Ray: as a stage of Ray's LLM processors, and as plain columns of a dataset."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base import positive_integer
from ..read import Fetching
from .arrow import meta_column, video_column, with_column
from .messages import video_sources
from .processor import Result, VideoProcessor, failure, processor_with

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

try:  # not every Ray has these, and they need packages that the `ray` extra does not
    from ray.llm._internal.batch.stages.base import StatefulStage, StatefulStageUDF
except (ImportError, AttributeError):
    from .stages import StatefulStage, StatefulStageUDF

# Rows with something in it failed in an earlier stage of Ray's LLM processors.
_ERROR_COLUMN = "__inference_error__"
_STAGE_FIELDS = ("fn", "fn_constructor_kwargs", "map_batches_kwargs")
_REQUIRED = {"messages": "Chat messages, OpenAI-style, with `video` and `video_url` items."}


class PrepareVideoUDF(StatefulStageUDF):  # type: ignore[misc]
    """Prepares the videos of chats in batches `{data_column: [row, ...]}`, for Ray's `map_batches`.

    Each row gains `video`, the frames of each source in its `messages`, and `video_meta`, the `meta` of each;
    see `VideoProcessor`. A row whose messages cannot be read gets one failed `video_meta`; a row that failed
    in an earlier stage is passed on as it is. Messages may name any file that this machine can read, and
    any address that it reaches, unless `fetching=Fetching.untrusted()` forbids it.

    Args:
        data_column: The column of the rows.
        expected_input_keys: What each row must have.
        fetching: What may be opened, limits, and headers, as for `VideoProcessor`; where strangers write the
            messages, `Fetching.untrusted()`.
        **options: Those of `VideoProcessor`.

    Raises:
        ImportError: Ray is missing.
        TypeError: An option is of the wrong type.
        ValueError: An option has a value that is not allowed.
    """

    def __init__(
        self,
        data_column: str,
        expected_input_keys: Sequence[str] | None = None,
        *,
        fetching: Fetching | None = None,
        **options: Any,
    ):
        _need_ray()
        self.data_column = data_column
        self.expected_input_keys = set(expected_input_keys or ())
        self._processor = processor_with({**options, "fetching": fetching}, "PrepareVideoUDF")
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, batch: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The batch with prepared rows, in the same order.

        Raises:
            ValueError: The column, or something a row must have, is missing.
        """
        if self.data_column not in batch:
            raise ValueError(f"the batch has no column {self.data_column!r}; it has {list(batch)}")
        rows = [dict(row) for row in batch[self.data_column]]
        todo = [row for row in rows if not row.get(_ERROR_COLUMN)]
        self._check(todo)
        if self._processor.bypass_if_frames_present:
            todo = [row for row in todo if not _has_frames(row)]
        prepared = await _prepare(self._processor, [row.get("messages") for row in todo], self._gate())
        for row, results in zip(todo, prepared, strict=True):
            row["video"] = [result["frames"] for result in results]
            row["video_meta"] = [result["meta"] for result in results]
        yield {**batch, self.data_column: rows}

    def _check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            missing = sorted(self.expected_input_keys - set(row))
            if missing:
                raise ValueError(f"a row lacks {missing[0]!r}; it has {sorted(row)}")

    def _gate(self) -> asyncio.Semaphore:
        """Ray works on several batches at once: together they may not exceed the limit either."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._limit = loop, asyncio.Semaphore(self._processor.max_concurrency)
        return self._limit


class PrepareVideoStage(StatefulStage):  # type: ignore[misc]
    """`PrepareVideoUDF` as a stage of Ray's LLM processors.

    >>> stage = PrepareVideoStage(sampling={"uniform": 8})
    >>> stage.fn.__name__, stage.fn_constructor_kwargs, list(stage.get_required_input_keys())
    ('PrepareVideoUDF', {'sampling': {'uniform': 8}}, ['messages'])

    Args:
        fn_constructor_kwargs: The options of `VideoProcessor`, as Ray's own stages take them. Where strangers
            write the messages, `{"fetching": Fetching.untrusted()}` is one of them.
        map_batches_kwargs: Those of Ray's `map_batches`, such as `{"concurrency": 4}`.
        **options: The options of `VideoProcessor`, in place of `fn_constructor_kwargs` or beside them.

    Raises:
        TypeError: There is no such option, it comes twice, or it is of the wrong type.
        ValueError: An option has a value that is not allowed.
    """

    fn: Any = PrepareVideoUDF

    def __init__(self, **options: Any):
        # Ray's stages drop what they do not know.
        fields = {name: options.pop(name) for name in _STAGE_FIELDS if name in options}
        given = dict(fields.get("fn_constructor_kwargs") or {})
        for name in options.keys() & given.keys():
            raise TypeError(f"PrepareVideoStage has option {name!r} twice: leave it out of one of the two")
        processor_with({**given, **options}, "PrepareVideoStage")
        super().__init__(**{**fields, "fn_constructor_kwargs": {**given, **options}})

    def get_required_input_keys(self) -> dict[str, str]:
        """What each row must have, and what that is."""
        return dict(_REQUIRED)


def prepare_videos(
    ds: ray.data.Dataset,
    *,
    messages_column: str = "messages",
    concurrency: int | None = None,
    fetching: Fetching | None = None,
    **processor_options: Any,
) -> ray.data.Dataset:
    """Adds the videos of chats to a Ray dataset, as Arrow columns that can be written to Parquet.

    The column `video` has, for each source, the shape and the bytes of one array `(T, H, W, C)`, or
    `(T, C, H, W)` with `pack_for_model="TCHW"`; `video_arrays(row["video"])` gives the arrays back. The
    column `video_meta` has the `meta` of each source, as in `VideoProcessor.process`. Other columns stay;
    messages of which some contents are texts and others lists are no Arrow column, so drop them before you
    write Parquet.

    Args:
        ds: The dataset.
        messages_column: The column of the messages; what else is in the messages does not matter.
        concurrency: How many tasks prepare videos at once; None leaves that to Ray.
        fetching: What may be opened, limits, and headers, as for `VideoProcessor`; where strangers write the
            messages, `Fetching.untrusted()`.
        **processor_options: Those of `VideoProcessor`, but for the form of the frames.

    Raises:
        ImportError: Ray is missing.
        TypeError: An option is of the wrong type.
        ValueError: An option has a value that is not allowed.
    """
    _need_ray()
    processor = _packing({"fetching": fetching, **processor_options})
    return ds.map_batches(
        _with_videos,
        fn_kwargs={"processor": processor, "messages_column": messages_column},
        batch_size=processor.max_concurrency,
        batch_format="pyarrow",
        **_at_once(concurrency),
    )


def _at_once(concurrency: int | None) -> dict[str, Any]:
    import ray.data

    if concurrency is None:
        return {}
    return {"compute": ray.data.TaskPoolStrategy(positive_integer(concurrency, "concurrency"))}


def _packing(options: dict[str, Any]) -> VideoProcessor:
    """Frames in a table are packed arrays."""
    if options.get("output_format", "numpy") != "numpy":
        raise ValueError(f"output_format={options['output_format']!r}: a table has arrays; leave it out")
    layout = options.get("pack_for_model") or ("TCHW" if options.get("channels_first") else "THWC")
    options = {**options, "output_format": "numpy", "pack_for_model": layout}
    return processor_with(options, "prepare_videos")


def _with_videos(table: pa.Table, processor: VideoProcessor, messages_column: str) -> pa.Table:
    chats = table[messages_column].to_pylist()
    kept = _rows_with_frames(table) if processor.bypass_if_frames_present else [False] * len(chats)
    todo = [[] if keep else chat for keep, chat in zip(kept, chats, strict=True)]
    rows = asyncio.run(_prepare(processor, todo, asyncio.Semaphore(processor.max_concurrency)))
    channels_first = processor.pack_for_model == "TCHW"
    videos = video_column([[each["frames"] for each in row] for row in rows], channels_first=channels_first)
    metas = meta_column([[each["meta"] for each in row] for row in rows])
    table = with_column(table, "video", _unless(kept, table, "video", videos))
    return with_column(table, "video_meta", _unless(kept, table, "video_meta", metas))


async def _prepare(
    processor: VideoProcessor, chats: Sequence[Any], gate: asyncio.Semaphore
) -> list[list[Result]]:
    """For each chat a result for each of its sources, or one that says why its sources are not known."""
    return await asyncio.gather(*(_prepare_chat(processor, chat, gate) for chat in chats))


async def _prepare_chat(processor: VideoProcessor, chat: Any, gate: asyncio.Semaphore) -> list[Result]:
    try:
        sources = video_sources(chat)
    except ValueError as error:
        return [failure("", error)]
    return await processor.process_within(sources, gate)


def _has_frames(row: Mapping[str, Any]) -> bool:
    return row.get("video") is not None and len(row["video"]) > 0


def _rows_with_frames(table: pa.Table) -> list[bool]:
    if "video" not in table.column_names:
        return [False] * len(table)
    return [each.is_valid and len(each) > 0 for each in table["video"]]


def _unless(kept: list[bool], table: pa.Table, name: str, new: pa.Array) -> Any:
    """The new column, but in the rows that are kept what was there."""
    if not any(kept) or name not in table.column_names:
        return new
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pa.array(kept), table[name].cast(new.type), new)


def _need_ray() -> None:
    try:
        importlib.import_module("ray.data")
    except ImportError as error:
        raise ImportError(f'Ray Data cannot be imported ({error}): pip install "pvio_lab[ray]"') from error
