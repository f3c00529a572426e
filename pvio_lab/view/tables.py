"""Cards and tables of videos for notebooks: readers with a filmstrip on top, facts, scans and samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Any

import numpy as np

from .html import Facts, box, facts_html, table_html
from .stills import strip_html

MAX_ROWS = 200
SCAN_COLUMNS = ("file", "result", "frames", "damaged frames", "rate", "read by", "seconds")
SAMPLE_COLUMNS = ("video", "result", "frames", "images", "kept from before", "seconds")


def reader_card(reader: Any) -> str:
    """Draw the card of an open reader: a filmstrip, and the facts of the video."""
    facts = _info_facts(reader.info) + _index_facts(getattr(reader, "index", None))
    return box(_name(reader.info.path), strip_html(reader), facts_html(facts))


def info_table(info: Any) -> str:
    """Draw the facts of a video as a small table."""
    return box(_name(info.path), facts_html(_info_facts(info)))


def scan_table(report: Any) -> str:
    """Draw a scan, one row per file."""
    heading = f"{len(report)} files scanned, {len(report.bad)} bad"
    return _file_table(heading, SCAN_COLUMNS, report, _scan_cells, right=())


def sample_table(report: Any) -> str:
    """Draw a report of sampled videos, one row per video."""
    heading = f"{len(report)} videos sampled, {report.num_images} images, {len(report.bad)} bad"
    return _file_table(heading, SAMPLE_COLUMNS, report, _sample_cells, right=range(2, len(SAMPLE_COLUMNS)))


def _file_table(
    heading: str, columns: Sequence[str], report: Any, cells: Callable[[Any], Sequence[str]], right: Any
) -> str:
    """Draw one row per file; of a long report the bad ones first, and not all of the good ones."""
    rows = sorted(report, key=lambda row: row.ok) if len(report) > MAX_ROWS else list(report)
    table = table_html(columns, ((cells(row), not row.ok) for row in rows[:MAX_ROWS]), right=right)
    return box(heading, table, f"... and {len(rows) - MAX_ROWS} more" if len(rows) > MAX_ROWS else "")


def _scan_cells(row: Any) -> tuple[str, ...]:
    promised = "" if row.frames_promised in (None, row.frames_decoded) else f" of {row.frames_promised}"
    return (
        str(row.path),
        "good" if row.ok else row.error or "damaged",
        f"{row.frames_decoded}{promised}",
        _runs(row.damaged_frames),
        "variable" if row.is_variable_rate else "",
        row.engine or "",
        f"{row.seconds:.2f}",
    )


def _sample_cells(row: Any) -> tuple[str, ...]:
    return (
        str(row.source),
        "good" if row.ok else row.error or "incomplete",
        "" if row.num_frames is None else str(row.num_frames),
        str(row.num_images),
        str(row.num_kept or ""),
        f"{row.seconds:.2f}",
    )


def _runs(numbers: Sequence[int], most: int = 8) -> str:
    """Shorten numbers: (3, 4, 5, 9) -> '3 to 5, 9'."""
    breaks = [i for i in range(1, len(numbers)) if numbers[i] != numbers[i - 1] + 1]
    parts = [numbers[i:j] for i, j in pairwise([0, *breaks, len(numbers)])] if numbers else []
    texts = [f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts]
    return ", ".join([*texts[:most], *(["..."] if len(texts) > most else [])])


def _info_facts(info: Any) -> Facts:
    turned = f", turned by {info.rotation_degrees}°" if info.rotation_degrees else ""
    rate = f"{info.fps:.6g} frames/s" + (" on average, variable" if info.is_variable_rate else "")
    begins = f", beginning at {info.start_seconds:.6g} s" if info.start_seconds else ""
    return [
        ("codec", f"{info.codec}, {info.pixel_format}, {_container(info)}"),
        ("size", f"{info.width} × {info.height} pixels{turned}, {_bytes_text(info.size_bytes)}"),
        ("rate", rate),
        ("duration", f"{info.duration_seconds:.6g} s{begins}"),
        ("frames", f"{info.num_frames}"),
        ("sound", _sound(info.audio)),
    ]


def _index_facts(index: Any) -> Facts:
    if index is None:
        return []
    return [("keyframes", _spacing(index)), ("read by", f"{index.engine}: {index.reason}")]


def _spacing(index: Any) -> str:
    lengths = np.asarray(index.gop_lengths)
    if lengths.size < 2:
        return "only the first frame" if lengths.size else "none"
    if lengths.max() == 1:
        return "every frame"
    return f"{lengths.size}, up to {lengths.max()} frames apart"


def _sound(audio: Any) -> str:
    if audio is None:
        return "none"
    parts = (
        audio.codec,
        audio.channel_layout or (audio.channels and f"{audio.channels} channels"),
        audio.sample_rate and f"{audio.sample_rate / 1000:g} kHz",
    )
    return ", ".join(part for part in parts if part)


def _container(info: Any) -> str:
    """Pick one of ffmpeg's names for a family of containers: 'mov,mp4,m4a' for clip.mp4 -> 'mp4'."""
    names, ending = info.container.split(","), PurePath(info.path).suffix[1:].lower()
    return str(ending if ending in names else names[0])


def _bytes_text(size: float | None) -> str:
    """Write a size in words: 1536 -> '1.5 KiB'."""
    if size is None:
        return "of unknown length"
    power = min(max(int(size).bit_length() - 1, 0) // 10, 4)
    return f"{size / 1024**power:.{1 if power else 0}f} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def _name(path: str | PurePath) -> str:
    """Return the last part of a path or URL; of a long one, its beginning and end."""
    name = str(path).rstrip("/").rpartition("/")[2] if "://" in str(path) else PurePath(path).name
    return name if len(name) <= 100 else f"{name[:60]} ... {name[-30:]}"
