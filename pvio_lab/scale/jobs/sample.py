"""`measure_clips`: a few hundred clips of a manifest, drawn at random, and what they cost."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from ...base import positive_integer
from ...read import Fetching
from .job import process_manifest
from .manifest import Manifest, manifest_batches
from .report import JobReport


def measure_clips(
    manifest: Manifest,
    *,
    num_clips: int = 300,
    seed: int = 0,
    progress: bool = True,
    fetching: Fetching | None = None,
    **options: Any,
) -> JobReport:
    """Does a job with clips drawn at random, for `estimate_job`. The results themselves are thrown away.

    Args:
        manifest: See `process_manifest`.
        num_clips: How many clips to draw; all, if there are fewer.
        seed: For the drawing.
        progress: Show Ray's progress bars.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.
        options: The options of `process_manifest` that the job will have.

    Raises:
        ImportError: Ray is missing.
        ValueError: An option is wrong.
    """
    rows = draw_rows(manifest, positive_integer(num_clips, "num_clips"), seed)
    with tempfile.TemporaryDirectory(prefix="pvio_lab_") as folder:
        return process_manifest(rows, folder, progress=progress, fetching=fetching, **options)


def draw_rows(manifest: Manifest, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows drawn at random, each as likely as the others, in one pass that holds only these.

    >>> len(draw_rows([f"{number}.mp4" for number in range(1000)], 3))  # doctest: +SKIP
    3
    """
    random, kept = np.random.default_rng(seed), np.zeros(0)
    rows: list[dict[str, Any]] = []
    for batch in manifest_batches(manifest):
        keys = np.concatenate([kept, random.random(batch.num_rows)])
        best = np.argsort(keys, kind="stable")[:count]
        rows = [_row(rows, batch, int(place)) for place in best]
        kept = keys[best]
    return rows


def _row(rows: list[dict[str, Any]], batch: Any, place: int) -> dict[str, Any]:
    """The rows kept so far come first, then those of the batch."""
    if place < len(rows):
        return rows[place]
    row: dict[str, Any] = batch.slice(place - len(rows), 1).to_pylist()[0]
    return row
