"""`estimate_job`: from what some clips cost to hours and cores for all of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import show
from ...base import positive_integer
from .costs import ClipCosts

if TYPE_CHECKING:
    from .report import JobReport

_FEW = 30
# Clips one after the other meet the same disturbances, so they are drawn together.
_PIECES, _DRAWS = 20, 2000
_CURES = {
    "transport": "keep the files nearer: on a local disk, in the same data centre, or in the cache",
    "open": "put more clips of one video side by side, or shorter videos, as opening reads every packet",
    "decode": "re-encode with a keyframe every second or so, or ask for fewer frames",
    "convert": "ask for smaller frames, or for fewer",
    "other": "make the function quicker, or write fewer images",
    "between": "put more clips into a shard (clips_per_shard=)",
}


@dataclass(frozen=True)
class JobEstimate:
    """What a job will take, on cores like those that were measured, and as busy."""

    num_clips: int
    """How many clips the job has."""
    num_measured: int
    """How many were measured."""
    num_cores: int
    """How many cores work on it."""
    core_hours: float
    """Hours of one core for all clips."""
    core_hours_low: float
    """The lower end of the interval."""
    core_hours_high: float
    """The upper end of the interval."""
    confidence: float
    """How often such an interval has the true value in it, if the sample is drawn at random."""
    shares: dict[str, float]
    """Where the time goes, as parts of 1: transport, open, decode, convert, other, and between clips."""
    advice: str
    """What would halve it, in a sentence."""

    @property
    def hours(self) -> float:
        """How long it takes on these cores."""
        return self.core_hours / self.num_cores

    def cores_for(self, hours: Any) -> int:
        """How many cores have it done in so many hours, even at the upper end of the interval."""
        if isinstance(hours, bool) or not isinstance(hours, Real) or not 0 < float(hours) < math.inf:
            raise ValueError(f"hours={hours!r} must be a number, more than 0 and finite")
        return max(1, math.ceil(round(self.core_hours_high / float(hours), 6)))  # 4.0000000001 is 4

    def to_dicts(self) -> list[dict[str, Any]]:
        """One plain dictionary, as for `pandas.DataFrame` or JSON."""
        return [asdict(self) | {"hours": self.hours}]

    def rows(self) -> list[tuple[str, str]]:
        """The figures in words."""
        interval = f"{_number(self.core_hours_low)} to {_number(self.core_hours_high)}"
        parts = ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items() if share >= 0.005)
        return [
            ("clips", f"{self.num_clips:,}, from {self.num_measured:,} measured"),
            ("core hours", f"{_number(self.core_hours)} ({interval}, {self.confidence:.0%})"),
            ("time", f"{duration_text(self.hours)} on {self.num_cores:,} cores"),
            ("in a day", f"with {self.cores_for(24):,} cores"),
            ("goes to", parts),
        ]

    def __repr__(self) -> str:
        lines = [f"{label:<12}{words}" for label, words in self.rows()]
        return "\n".join(["JobEstimate", *lines, self.advice])

    def _repr_html_(self) -> str:
        return show.html("estimate", self)


def estimate_job(
    sample_report: JobReport | ClipCosts,
    num_clips: int,
    *,
    num_cores: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> JobEstimate:
    """From what a sample of clips cost to what all of them will.

    The interval comes from drawing the measured clips again and again (a bootstrap, in pieces that followed
    each other). It knows what differs between the clips and between the minutes of the measurement; it does
    not know what is not in the sample: other machines, a slower network, videos of another kind.

    >>> costs = ClipCosts(*np.full((5, 100), 0.02), begun_at=np.arange(100) / 10, num_cpus=1)
    >>> estimate = estimate_job(costs, 1_000_000, num_cores=100)
    >>> round(estimate.core_hours, 1), estimate.cores_for(1)
    (27.8, 28)

    Args:
        sample_report: The report of `measure_clips`, or of `process_manifest` for a part of the clips, best
            drawn at random; a few hundred.
        num_clips: How many clips the whole job has.
        num_cores: How many cores there will be; as many as worked on the sample when left out.
        confidence: The probability that goes with the interval.
        seed: For the drawing.

    Raises:
        ValueError: There are fewer than 30 clips in the sample, or an option is out of range.
    """
    costs = sample_report if isinstance(sample_report, ClipCosts) else sample_report.costs
    measured = 0 if costs is None else len(costs)
    if costs is None or measured < _FEW:
        raise ValueError(
            f"{measured} clips are too few to tell anything; measure {_FEW} or more, best some 300"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} must be between 0 and 1")
    count, cores = positive_integer(num_clips, "num_clips"), costs.num_cpus
    hours = costs.core_seconds * count / 3600
    low, high = _interval(costs.total_seconds, confidence, seed)
    phases = costs.phases
    total = sum(phases.values()) or 1.0
    return JobEstimate(
        num_clips=count,
        num_measured=measured,
        num_cores=cores if num_cores is None else positive_integer(num_cores, "num_cores"),
        core_hours=hours,
        core_hours_low=hours * low,
        core_hours_high=hours * high,
        confidence=confidence,
        shares={name: value / total for name, value in phases.items()},
        advice=advice_for({name: value / total for name, value in phases.items()}),
    )


def _interval(seconds: NDArray[np.float64], confidence: float, seed: int) -> tuple[float, float]:
    """Lower and upper end, as parts of the mean."""
    pieces = np.array_split(seconds, min(_PIECES, len(seconds)))
    sums, sizes = np.array([piece.sum() for piece in pieces]), np.array([len(piece) for piece in pieces])
    drawn = np.random.default_rng(seed).integers(0, len(pieces), (_DRAWS, len(pieces)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1) / seconds.mean()
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(min(low, 1)), float(max(high, 1))


def advice_for(shares: dict[str, float]) -> str:
    """What would halve the time.

    >>> advice_for({"decode": 0.8, "open": 0.2})[:40]
    'Twice the cores halve it; so does less d'
    """
    name, share = max(shares.items(), key=_by_share)
    if share < 0.5:
        return f"Twice the cores halve it; nothing else alone does, the largest part is {name} ({share:.0%})."
    return f"Twice the cores halve it; so does less {name} ({share:.0%} of it): {_CURES[name]}."


def _by_share(item: tuple[str, float]) -> float:
    return item[1]


def duration_text(hours: float) -> str:
    """In words.

    >>> [duration_text(hours) for hours in (0.01, 0.5, 30, 500)]
    ['36 s', '30 min', '30 h', '21 days']
    """
    steps: Iterable[tuple[float, str, float]] = ((1 / 30, "s", 3600), (2, "min", 60), (72, "h", 1))
    for limit, unit, factor in steps:
        if hours < limit:
            return f"{_number(hours * factor)} {unit}"
    return f"{_number(hours / 24)} days"


def _number(value: float) -> str:
    """1234.5 -> '1,234'; 21.4 -> '21'; 3.14 -> '3.1'."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
