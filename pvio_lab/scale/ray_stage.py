"""Videos of chats prepared by Ray: in a stage of its LLM processors, or as plain columns of a dataset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base import positive_integer
from ..read import Fetching
from .arrow import imported, meta_column, pa, video_column
from .process_source import Result, failure
from .processor import VideoProcessor, processor_with, video_sources

if TYPE_CHECKING:
    import ray.data

# Rows with something in it failed in an earlier stage of Ray's LLM processors.
_ERROR_COLUMN = "__inference_error__"
_STAGE_FIELDS = ("fn", "fn_constructor_kwargs", "map_batches_kwargs")

try:  # private to Ray, and absent without pydantic and aiohttp
    from ray.llm._internal.batch.stages.base import StatefulStage, StatefulStageUDF
except (ImportError, AttributeError):

    class StatefulStageUDF:  # type: ignore[no-redef]
        """The work of a stage, where Ray has no class for it."""

    class StatefulStage:  # type: ignore[no-redef]
        """A stage, with its work and options, where Ray has no class for it."""

        fn_constructor_kwargs: dict[str, Any]
        map_batches_kwargs: dict[str, Any]

        def __init__(self, **fields: Any):
            given = {name: value for name, value in fields.items() if value is not None}
            self.__dict__.update({"map_batches_kwargs": {"concurrency": 1}, **given})

        def get_required_input_keys(self) -> dict[str, str]:
            """Return what each row must have, and what that is."""
            return {}

        def get_optional_input_keys(self) -> dict[str, str]:
            """Return what each row may have, and what that is."""
            return {}

        def get_dataset_map_batches_kwargs(self, batch_size: int, data_column: str) -> dict[str, Any]:
            """Return all arguments of `map_batches` beside `fn`."""
            options = {
                **self.fn_constructor_kwargs,
                "data_column": data_column,
                "expected_input_keys": list(self.get_required_input_keys()),
            }
            return {**self.map_batches_kwargs, "batch_size": batch_size, "fn_constructor_kwargs": options}


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
        imported("ray.data", "Ray Data cannot be imported")
        self.data_column = data_column
        self.expected_input_keys = set(expected_input_keys or ())
        self._processor = processor_with({**options, "fetching": fetching}, "PrepareVideoUDF")
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, batch: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield the batch with prepared rows, in the same order.

        Raises:
            ValueError: The column, or something a row must have, is missing.
        """
        if self.data_column not in batch:
            raise ValueError(f"the batch has no column {self.data_column!r}; it has {list(batch)}")
        rows = [dict(row) for row in batch[self.data_column]]
        todo = [row for row in rows if not row.get(_ERROR_COLUMN)]
        for row in todo:
            missing = sorted(self.expected_input_keys - set(row))
            if missing:
                raise ValueError(f"a row lacks {missing[0]!r}; it has {sorted(row)}")
        if self._processor.bypass_if_frames_present:
            todo = [row for row in todo if row.get("video") is None or not len(row["video"])]
        prepared = await _prepare(self._processor, [row.get("messages") for row in todo], self._gate())
        for row, results in zip(todo, prepared, strict=True):
            row["video"] = [result["frames"] for result in results]
            row["video_meta"] = [result["meta"] for result in results]
        yield {**batch, self.data_column: rows}

    def _gate(self) -> asyncio.Semaphore:
        """Return one gate for all batches of a loop, as Ray works on several of them at once."""
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
        fn_constructor_kwargs: The options of `VideoProcessor`, given as to Ray's own stages. Where strangers
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
        """Return what each row must have, and what that is."""
        return {"messages": "Chat messages, OpenAI-style, with `video` and `video_url` items."}


def prepare_videos(
    ds: ray.data.Dataset,
    *,
    messages_column: str = "messages",
    concurrency: int | None = None,
    fetching: Fetching | None = None,
    **processor_options: Any,
) -> ray.data.Dataset:
    """Add the videos of chats to a Ray dataset, as Arrow columns that can be written to Parquet.

    The column `video` has, for each source, the shape and the bytes of one array `(T, H, W, C)`, or
    `(T, C, H, W)` with `pack_for_model="TCHW"`; `video_arrays(row["video"])` returns the arrays. The
    column `video_meta` has the `meta` of each source, as in `VideoProcessor.process`. Other columns stay;
    messages of which some contents are texts and others lists are no Arrow column, so drop them before you
    write Parquet.

    Args:
        ds: The dataset.
        messages_column: The column of the messages; what else they hold does not matter.
        concurrency: How many tasks prepare videos at once; None leaves that to Ray.
        fetching: What may be opened, limits, and headers, as for `VideoProcessor`; where strangers write the
            messages, `Fetching.untrusted()`.
        **processor_options: Those of `VideoProcessor`, except for the form of the frames.

    Raises:
        ImportError: Ray is missing.
        TypeError: An option is of the wrong type.
        ValueError: An option has a value that is not allowed.
    """
    imported("ray.data", "Ray Data cannot be imported")
    options = {"fetching": fetching, **processor_options}
    if options.get("output_format", "numpy") != "numpy":
        raise ValueError(f"output_format={options['output_format']!r}: a table has arrays; leave it out")
    layout = options.get("pack_for_model")
    if layout in (None, False, True):
        layout = "TCHW" if options.get("channels_first") else "THWC"
    options |= {"output_format": "numpy", "pack_for_model": layout}
    processor = processor_with(options, "prepare_videos")
    placed: dict[str, Any] = {}
    if concurrency is not None:
        from ray.data import TaskPoolStrategy

        placed["compute"] = TaskPoolStrategy(positive_integer(concurrency, "concurrency"))
    return ds.map_batches(
        _with_videos,
        fn_kwargs={"processor": processor, "messages_column": messages_column},
        batch_size=processor.max_concurrency,
        batch_format="pyarrow",
        **placed,
    )


def _with_videos(table: pa.Table, processor: VideoProcessor, messages_column: str) -> pa.Table:
    chats = table[messages_column].to_pylist()
    kept = [False] * len(chats)
    if processor.bypass_if_frames_present and "video" in table.column_names:
        kept = [each.is_valid and len(each) > 0 for each in table["video"]]
    todo = [[] if keep else chat for keep, chat in zip(kept, chats, strict=True)]
    rows = asyncio.run(_prepare(processor, todo, asyncio.Semaphore(processor.max_concurrency)))
    videos = [[each["frames"] for each in row] for row in rows]
    channels_first = processor.pack_for_model == "TCHW"
    table = _with_column(table, "video", video_column(videos, channels_first=channels_first), kept)
    metas = meta_column([[each["meta"] for each in row] for row in rows])
    return _with_column(table, "video_meta", metas, kept)


def _with_column(table: pa.Table, name: str, column: pa.Array, kept: list[bool]) -> pa.Table:
    """Add a column, or replace it except in the rows that are kept."""
    if name not in table.column_names:
        return table.append_column(name, column)
    if any(kept):
        import pyarrow.compute as pc

        column = pc.if_else(pa.array(kept), table[name].cast(column.type), column)
    return table.set_column(table.column_names.index(name), name, column)


async def _prepare(
    processor: VideoProcessor, chats: Sequence[Any], gate: asyncio.Semaphore
) -> list[list[Result]]:
    """Return for each chat a result for each of its sources, or one that says why these are unknown."""

    async def results(chat: Any) -> list[Result]:
        try:
            sources = video_sources(chat)
        except ValueError as error:
            return [failure("", error)]
        return await processor.process(sources, gate=gate)

    return await asyncio.gather(*map(results, chats))
