"""Whether files fit together, and a table of what does not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from av.audio.stream import AudioStream
from av.stream import Stream
from av.video.stream import VideoStream

from ...read import Matrix, pixel_format

KINDS = {"video": "video", "audio": "sound", "subtitle": "subtitles"}
"""The kinds of streams that are joined, and what they are called."""

_MOST_ROWS = 30
_HEAD = ("property", "first file", "this file", "")


def table_of_differences(first: Mapping[str, str], others: Sequence[tuple[str, Mapping[str, str]]]) -> str:
    """A row for each property that differs from the first file's, with the name of the file.

    >>> print(table_of_differences({"size": "320x240"}, [("b.mp4", {"size": "64x64"})]))
    property | first file | this file |
    size     | 320x240    | 64x64     | b.mp4

    Args:
        first: The properties of the first file, in words.
        others: The names of the other files, and their properties; what one of two has not is no difference.

    Returns:
        The table, or nothing if all is the same.
    """
    rows = [
        (what, value, properties[what], repr(path)[1:-1])
        for path, properties in others
        for what, value in first.items()
        if properties.get(what, value) != value
    ]
    if not rows:
        return ""
    shown = [_HEAD, *rows[:_MOST_ROWS]]
    widths = [max(len(row[column]) for row in shown) for column in range(3)]
    lines = [" | ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in shown]
    if len(rows) > _MOST_ROWS:
        files = len({row[3] for row in rows})
        lines.append(f"... and {len(rows) - _MOST_ROWS} more differences; {files} files differ in all")
    return "\n".join(lines)


def properties_of(
    streams: Sequence[Stream], rates: Mapping[int, Fraction | None], matrices: Mapping[int, Matrix | None]
) -> Iterator[tuple[str, str]]:
    """What has to be the same in all files, each as its name and its value in words.

    Args:
        streams: The streams that are joined.
        rates: For each video stream its frames a second; where they vary there is no row, as any others fit.
        matrices: How the pictures of each video stream are turned.
    """
    yield "streams", ", ".join(KINDS[stream.type] for stream in streams)
    counts = dict.fromkeys(KINDS, 0)
    for stream in streams:
        counts[stream.type] += 1
        place = counts[stream.type]
        prefix = f"{KINDS[stream.type]} {place if place > 1 else ''}".strip()
        if isinstance(stream, VideoStream):
            rows = _video_properties(stream, rates[stream.index], matrices[stream.index])
        else:
            rows = _other_properties(stream)
        for name, value in rows.items():
            yield f"{prefix} {name}", value


def _video_properties(stream: VideoStream, rate: Fraction | None, matrix: Matrix | None) -> dict[str, str]:
    context = stream.codec_context
    rows = {
        "codec": context.codec.canonical_name,
        "size": f"{context.width}x{context.height}",
        "pixel format": str(pixel_format(context)),
        "time base": str(stream.time_base),
        "sample aspect ratio": str(stream.sample_aspect_ratio or "unknown"),
        "display matrix": "none" if matrix is None else " ".join(map(str, matrix)),
        "colour range": str(context.color_range),
        "colour primaries": str(context.color_primaries),
        "colour transfer": str(context.color_trc),
        "colour space": str(context.colorspace),
        "extradata": _digest(context.extradata),
    }
    return rows if rate is None else rows | {"frame rate": str(rate)}


def _other_properties(stream: Stream) -> dict[str, str]:
    rows = {"codec": stream.codec_context.codec.canonical_name}
    if isinstance(stream, AudioStream):
        rows["sample rate"] = str(stream.codec_context.sample_rate)
        rows["channel layout"] = stream.codec_context.layout.name
    return rows | {"extradata": _digest(stream.codec_context.extradata)}


def _digest(data: bytes | None) -> str:
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:10]}" if data else "none"
