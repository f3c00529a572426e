"""What a run of a job returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrow import dataset
from .clip import PHASES
from .costs import ClipCosts
from .store import Store

# So many clips tell what a clip costs.
_MANY = 20_000


@dataclass(frozen=True)
class JobReport:
    """What a run has done. The results themselves are in the folder: `.dataset()`."""

    output: str
    """The folder of the job."""
    num_clips: int
    """How many clips are in the manifest; each has one row in the results."""
    num_before: int
    """How many of them an earlier run had done already."""
    num_failed: int
    """How many rows have an `error_type` instead of a result."""
    num_cpus: int
    """How many clips were in work at the same time."""
    seconds: float
    """How long this run took, without starting Ray."""
    costs: ClipCosts | None
    """What the clips of this run cost; None if there were none."""

    def dataset(self) -> dataset.Dataset:
        """The rows, as a pyarrow dataset: `.to_table(columns=[...])`, `.to_batches(filter=...)`."""
        return Store.of(self.output).clips()

    def errors(self) -> list[dict[str, Any]]:
        """The clips that failed, and why."""
        columns = ["clip", "path", "error_type", "error_message"]
        table = self.dataset().to_table(columns=columns, filter=dataset.field("error_type").is_valid())
        return list(table.sort_by("clip").to_pylist())

    def __repr__(self) -> str:
        before = f", {self.num_before:,} of them before" if self.num_before else ""
        done = f"{self.num_clips:,} clips{before}, {self.num_failed:,} failed"
        return f"JobReport({self.output!r}: {done}; {self.seconds:.3g} s on {self.num_cpus} cores)"


def make_report(
    store: Store, *, num_before: int, begun_at: float, num_cpus: int, seconds: float
) -> JobReport:
    """Looks at the rows that a run has written."""
    rows = store.clips()
    names = [*(f"{name}_seconds" for name in PHASES), "begun_at"]
    recent = rows.head(_MANY, columns=names, filter=dataset.field("begun_at") >= begun_at)
    columns = {name: np.asarray(recent[name], np.float64) for name in names}
    return JobReport(
        output=store.uri,
        num_clips=rows.count_rows(),
        num_before=num_before,
        num_failed=rows.count_rows(filter=dataset.field("error_type").is_valid()),
        num_cpus=num_cpus,
        seconds=seconds,
        costs=ClipCosts.of(columns, num_cpus) if recent.num_rows else None,
    )
