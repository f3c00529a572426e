"""Reports of measurements as tables."""

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
from .html import TEXT, box, facts_html, note_html, table_html

PHASE_COLUMNS = ("phase", "seconds", "ms a frame", "share")
WIDTH = 960


def throughput_table(report: Any) -> str:
    """Draw one table per file; readers whose frames are wrong, or that fail, are in the colour of errors."""
    parts, right = [], range(3, 7)
    for source, group in groupby(report, key=lambda row: row.source):
        rows = list(group)
        wrong = [bool(row.wrong_frames or row.error) for row in rows]
        cells = zip(sparse_cells(rows), wrong, strict=True)
        parts.append(note_html(source) + table_html(THROUGHPUT_COLUMNS, cells, right=right))
    parts += map(note_html, report.remarks)
    return box(f"Frames per second, {report.num_cores} cores", *parts, width=WIDTH)


def profile_table(profile: Any) -> str:
    """Draw the phases, and the advice."""
    table = table_html(PHASE_COLUMNS, ((cells, False) for cells in phase_cells(profile)), right=(1, 2, 3))
    heading = f"{profile.num_frames} frames of {profile.source}, one by one, in one thread"
    advice = f'<div style="{TEXT}; font-weight: 600; margin: 4px 0 0">{escape(profile.advice)}</div>'
    return box(heading, table, note_html(keyframes_text(profile)), advice)


def doctor_table(report: Any) -> str:
    """Draw one line per part; a fault comes with its cure."""
    rows = []
    for row in report:
        *cells, details = doctor_cells(row)
        cure = f"; to cure it: {row.cure}" if row.cure else ""
        rows.append(([*cells, details + cure], row.state in ("broken", "warning")))
    return box(f"Installation: {report.summary}", table_html(DOCTOR_COLUMNS, rows), width=WIDTH)


def workers_table(report: Any) -> str:
    """Draw one line for each number and kind of workers."""
    heading = f"Frames per second, batches of {report.batch_size}, {report.num_cores} cores"
    return _workers_box(heading, report)


def choice_table(choice: Any) -> str:
    """Draw the suggestion, and the measurements behind it."""
    return _workers_box(str(choice), choice)


def estimate_table(estimate: Any) -> str:
    """Draw the figures, and what would halve them."""
    heading = f"What {estimate.num_clips:,} clips will take"
    return box(heading, facts_html(list(estimate.rows())), note_html(estimate.advice))


def _workers_box(heading: str, report: Any) -> str:
    cells = zip(worker_cells(report), (bool(row.error) for row in report.rows), strict=True)
    return box(heading, table_html(WORKER_COLUMNS, cells, right=range(1, 8)), width=WIDTH)
