"""Reports of measurements as tables for notebooks."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import Any

from ..measure import (
    DOCTOR_COLUMNS,
    THROUGHPUT_COLUMNS,
    WORKER_COLUMNS,
    doctor_cells,
    keyframes_text,
    phase_cells,
    sparse_cells,
    worker_cells,
)
from .html import PALE, TEXT, box, facts_html, row_html, table_html

WIDTH = 960
_NUMBERS = (3, 4, 5, 6)


def throughput_table(report: Any) -> str:
    """One table a file; readers whose frames are wrong, or that fail, are in the colour of errors."""
    parts = []
    for source, group in groupby(report, key=lambda row: row.source):
        rows = list(group)
        lines = [
            row_html(cells, wrong=bool(row.wrong_frames or row.error), right=_NUMBERS)
            for row, cells in zip(rows, sparse_cells(rows), strict=True)
        ]
        parts.append(_line(source) + table_html(THROUGHPUT_COLUMNS, lines, right=_NUMBERS))
    parts += map(_line, report.remarks)
    return box(f"Frames per second, {report.num_cores} cores", *parts, width=WIDTH)


def profile_table(profile: Any) -> str:
    """The phases, and the advice."""
    lines = [row_html(cells, right=(1, 2, 3)) for cells in phase_cells(profile)]
    table = table_html(("phase", "seconds", "ms a frame", "share"), lines, right=(1, 2, 3))
    heading = f"{profile.num_frames} frames of {profile.source}, one by one, in one thread"
    advice = f'<div style="{TEXT}; font-weight: 600; margin: 4px 0 0">{escape(profile.advice)}</div>'
    return box(heading, table, _line(keyframes_text(profile)), advice)


def doctor_table(report: Any) -> str:
    """One line a part; what is wrong comes with its cure."""
    lines = []
    for row in report:
        *cells, details = doctor_cells(row)
        cure = f"; to cure it: {row.cure}" if row.cure else ""
        lines.append(row_html([*cells, details + cure], wrong=row.state in ("broken", "warning")))
    return box(f"Installation: {report.summary}", table_html(DOCTOR_COLUMNS, lines), width=WIDTH)


def workers_table(report: Any) -> str:
    """One line a number and kind of workers."""
    heading = f"Frames per second, batches of {report.batch_size}, {report.num_cores} cores"
    return box(heading, _worker_lines(report), width=WIDTH)


def estimate_table(estimate: Any) -> str:
    """The figures, and what would halve them."""
    heading = f"What {estimate.num_clips:,} clips will take"
    return box(
        heading, facts_html([(label, words) for label, words in estimate.rows()]), _line(estimate.advice)
    )


def choice_table(choice: Any) -> str:
    """The suggestion, and what was tried for it."""
    return box(str(choice), _worker_lines(choice), width=WIDTH)


def _worker_lines(report: Any) -> str:
    right = range(1, 8)
    lines = [
        row_html(cells, wrong=bool(row.error), right=right)
        for row, cells in zip(report.rows, worker_cells(report), strict=True)
    ]
    return table_html(WORKER_COLUMNS, lines, right=right)


def _line(text: str) -> str:
    return f'<div style="{PALE}; margin: 6px 0 2px; overflow-wrap: anywhere">{escape(text)}</div>'


MAX_ROWS = 200
SAMPLE_COLUMNS = ("video", "result", "frames", "images", "kept from before", "seconds")


def sample_table(report: Any) -> str:
    """One row a video; of a long report the bad ones first, and not all of the good ones."""
    rows = sorted(report, key=lambda row: row.ok) if len(report) > MAX_ROWS else list(report)
    right = range(2, len(SAMPLE_COLUMNS))
    lines = [row_html(_cells(row), wrong=not row.ok, right=right) for row in rows[:MAX_ROWS]]
    more = f"... and {len(rows) - MAX_ROWS} more" if len(rows) > MAX_ROWS else ""
    heading = f"{len(rows)} videos sampled, {report.num_images} images, {len(report.bad)} bad"
    return box(heading, table_html(SAMPLE_COLUMNS, lines, right=right), more)


def _cells(row: Any) -> tuple[str, ...]:
    return (
        str(row.source),
        "good" if row.ok else row.error or "incomplete",
        "" if row.num_frames is None else str(row.num_frames),
        str(row.num_images),
        str(row.num_kept or ""),
        f"{row.seconds:.2f}",
    )
