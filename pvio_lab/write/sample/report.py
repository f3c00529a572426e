"""The report of sampling, video by video."""

from __future__ import annotations

from dataclasses import dataclass

from ...base import Report
from ...errors import printable


@dataclass(frozen=True)
class SampleRow:
    """The images sampled from one video."""

    source: str
    """The video, as it was given or found."""
    ok: bool
    """Every frame asked for has its image."""
    num_frames: int | None = None
    """The number of frames of the video; None if it cannot be opened."""
    num_images: int = 0
    """The number of frames asked for that have an image now."""
    num_kept: int = 0
    """The number of these that had one before."""
    manifest: str | None = None
    """The file that says what each image shows; the images are beside it."""
    error: str | None = None
    """The reason why something is missing."""
    seconds: float = 0.0
    """The time it took."""


@dataclass(frozen=True)
class SampleReport(Report[SampleRow]):
    """The images that were sampled, one row per video; a table in a notebook."""

    drawn_as = "samples"
    rows: tuple[SampleRow, ...]
    """One row per video, in the order of their names."""

    @property
    def bad(self) -> tuple[SampleRow, ...]:
        """The videos of which something is missing."""
        return tuple(row for row in self.rows if not row.ok)

    @property
    def num_images(self) -> int:
        """The number of images there are."""
        return sum(row.num_images for row in self.rows)

    def __repr__(self) -> str:
        lines = [f"SampleReport({len(self)} videos, {self.num_images} images, {len(self.bad)} bad)"]
        lines += [f"{printable(row.source)}: {row.error} ({row.num_images} images)" for row in self.bad[:10]]
        return "\n  ".join(lines if len(self.bad) <= 10 else [*lines, "..."])
