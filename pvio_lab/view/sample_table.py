"""What was sampled, as a table for notebooks."""

from __future__ import annotations

from typing import Any

from .tables import box, row_html, table_html

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
