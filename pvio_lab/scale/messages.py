"""The videos that the messages of a chat name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

from ..read import outline

_FORMS = '{"type": "video", "video": ...} or {"type": "video_url", "video_url": {"url": ...}}'


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
    content = message.get("content")
    if content is None or isinstance(content, str):
        return
    for number, item in enumerate(_sequence(content, f"{where}['content']")):
        place = f"{where}['content'][{number}]"
        if isinstance(item, str):
            continue
        if not isinstance(item, Mapping):
            raise _wrong(place, item, 'a text or an item: {"type": ..., ...}')
        kind = item.get("type")
        if kind in ("video", "video_url"):
            yield _source(item, kind, place)


def _source(item: Mapping[str, Any], kind: str, where: str) -> str:
    """Return the source of `"video": source`, `"video_url": {"url": source}` or `"video_url": source`."""
    value = item.get(kind)
    if isinstance(value, Mapping):
        value = value.get("url")
    if not isinstance(value, str | PathLike) or not str(value):
        raise _wrong(where, item, f"{_FORMS}, with the path or URL of a video")
    return str(value)


def _sequence(value: Any, where: str) -> Sequence[Any]:
    if hasattr(value, "tolist"):  # an array, as rows of a table have it
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _wrong(where, value, "a list")
    return value


def _wrong(where: str, value: Any, wanted: str) -> ValueError:
    return ValueError(f"{where} must be {wanted}; it is {outline(value)}")
