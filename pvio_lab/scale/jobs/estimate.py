"""The seconds that some clips cost, and from these the hours and cores that all of them will take. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Real
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...base import Drawn, positive_integer
from .process_clip import PHASES

if TYPE_CHECKING:
    from .store import JobReport

Seconds = NDArray[np.float64]
_FEW = 30
# Clips that follow each other meet the same disturbances, so they are drawn together.
_PIECES, _DRAWS = 20, 2000
_CURES = {
    "transport": "keep the files nearer: on a local disk, in the same data centre, or in the cache",
    "open": "put more clips of one video side by side, or shorter videos, as opening reads every packet",
    "decode": "re-encode with a keyframe every second or so, or ask for fewer frames",
    "convert": "ask for smaller frames, or for fewer",
    "other": "make the function faster, or write fewer images",
    "between": "put more clips into a shard (clips_per_shard=)",
}


@dataclass(frozen=True, repr=False)
class ClipCosts:
    """The seconds that the clips of a run took, one entry per clip, in the order in which they began."""

    transport_seconds: Seconds
    """Fetching the file to this machine."""
    open_seconds: Seconds
    """Opening it, and learning where its frames are."""
    decode_seconds: Seconds
    """Decoding the frames asked for, and those between a keyframe and them."""
    convert_seconds: Seconds
    """Turning decoded frames into RGB."""
    other_seconds: Seconds
    """Everything else: a function, encoding images."""
    begun_at: Seconds
    """The time at which each clip began."""
    num_cpus: int
    """The number of clips that could be processed at the same time."""

    @classmethod
    def of(cls, columns: dict[str, Seconds], num_cpus: int) -> ClipCosts:
        """Return costs from columns of these names, which have the clips in any order."""
        order = np.argsort(columns["begun_at"], kind="stable")
        return cls(**{name: np.asarray(values)[order] for name, values in columns.items()}, num_cpus=num_cpus)

    def __len__(self) -> int:
        return len(self.begun_at)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {1000 * value:.3g}" for name, value in self.phases.items())
        return f"ClipCosts({len(self)} clips; milliseconds of a clip: {parts})"

    @property
    def total_seconds(self) -> Seconds:
        """The seconds that each clip took."""
        total: Seconds = np.sum([getattr(self, f"{name}_seconds") for name in PHASES], axis=0)
        return total

    @property
    def phases(self) -> dict[str, float]:
        """The mean seconds of each phase; the last, "between", is what passes from one clip to the next."""
        means = {name: float(getattr(self, f"{name}_seconds").mean()) for name in PHASES}
        return means | {"between": max(0.0, self.core_seconds - float(self.total_seconds.mean()))}

    @property
    def core_seconds(self) -> float:
        """The seconds for which a clip takes a core, until the next clip begins."""
        return steady_seconds(self.begun_at, self.begun_at + self.total_seconds, self.num_cpus)


def steady_seconds(begin: Seconds, end: Seconds, num_cpus: int) -> float:
    """Return core seconds a clip while all cores have work: without starting up, and without the end.

    >>> begin = np.array([0.0, 0.0, 2.0, 2.0, 4.0])  # two at a time, then one is left over
    >>> float(steady_seconds(begin, begin + 1.5, num_cpus=2))
    2.0
    """
    own, starts = float((end - begin).mean()), np.sort(begin)
    running = np.arange(1, len(starts) + 1) - np.searchsorted(np.sort(end), starts, side="right")
    full = starts[running >= num_cpus]
    if len(full) < 2 or full[-1] <= full[0]:
        return own
    inside = np.clip(np.minimum(end, full[-1]) - np.maximum(begin, full[0]), 0, None)
    done = float((inside / np.maximum(end - begin, 1e-9)).sum())
    return max(own, num_cpus * float(full[-1] - full[0]) / done)


@dataclass(frozen=True)
class JobEstimate(Drawn):
    """The time that a job will take, on cores like those that were measured, and as busy."""

    drawn_as: ClassVar[str] = "estimate"

    num_clips: int
    """The number of clips in the job."""
    num_measured: int
    """The number of clips that were measured."""
    num_cores: int
    """The number of cores that work on it."""
    core_hours: float
    """Hours of one core for all clips."""
    core_hours_low: float
    """The lower end of the interval."""
    core_hours_high: float
    """The upper end of the interval."""
    confidence: float
    """The probability that such an interval contains the true value, if the sample is drawn at random."""
    shares: dict[str, float]
    """The parts of the time, 1 in sum: transport, open, decode, convert, other, and between clips."""
    advice: str
    """A sentence about what would halve the time."""

    @property
    def hours(self) -> float:
        """The hours that it takes on these cores."""
        return self.core_hours / self.num_cores

    def cores_for(self, hours: Any) -> int:
        """Return how many cores finish it within these hours, even at the upper end of the interval."""
        if isinstance(hours, bool) or not isinstance(hours, Real) or not 0 < float(hours) < math.inf:
            raise ValueError(f"hours={hours!r} must be a number, more than 0 and finite")
        return max(1, math.ceil(round(self.core_hours_high / float(hours), 6)))  # 4.0000000001 is 4

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one plain dictionary in a list, as for `pandas.DataFrame` or JSON."""
        return [asdict(self) | {"hours": self.hours}]

    def rows(self) -> list[tuple[str, str]]:
        """Return the figures in words."""
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


def estimate_job(
    sample_report: JobReport | ClipCosts,
    num_clips: int,
    *,
    num_cores: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> JobEstimate:
    """Estimate from the costs of a sample of clips what all of them will take.

    The interval comes from drawing the measured clips again and again (a bootstrap, in pieces that followed
    each other). It covers the differences between clips and between minutes of the measurement; it does not
    cover what is not in the sample: other machines, a slower network, videos of another kind.

    >>> costs = ClipCosts(*np.full((5, 100), 0.02), begun_at=np.arange(100) / 10, num_cpus=1)
    >>> estimate = estimate_job(costs, 1_000_000, num_cores=100)
    >>> round(estimate.core_hours, 1), estimate.cores_for(1)
    (27.8, 28)

    Args:
        sample_report: The report of `measure_clips`, or of `process_manifest` for a part of the clips, best
            drawn at random; a few hundred.
        num_clips: How many clips the whole job has.
        num_cores: How many cores there will be; when left out, as many as worked on the sample.
        confidence: The probability that goes with the interval.
        seed: For the drawing.

    Raises:
        ValueError: There are fewer than 30 clips in the sample, or an option is out of range.
    """
    costs = sample_report if isinstance(sample_report, ClipCosts) else sample_report.costs
    measured = 0 if costs is None else len(costs)
    if costs is None or measured < _FEW:
        raise ValueError(
            f"{measured} clips are too few to say anything; measure {_FEW} or more, best some 300"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} must be between 0 and 1")
    count, cores = positive_integer(num_clips, "num_clips"), costs.num_cpus
    hours = costs.core_seconds * count / 3600
    low, high = _interval(costs.total_seconds, confidence, seed)
    total = sum(costs.phases.values()) or 1.0
    shares = {name: value / total for name, value in costs.phases.items()}
    return JobEstimate(
        num_clips=count,
        num_measured=measured,
        num_cores=cores if num_cores is None else positive_integer(num_cores, "num_cores"),
        core_hours=hours,
        core_hours_low=hours * low,
        core_hours_high=hours * high,
        confidence=confidence,
        shares=shares,
        advice=advice_for(shares),
    )


def _interval(seconds: Seconds, confidence: float, seed: int) -> tuple[float, float]:
    """Return the lower and the upper end, as multiples of the mean."""
    pieces = np.array_split(seconds, min(_PIECES, len(seconds)))
    sums, sizes = np.array([piece.sum() for piece in pieces]), np.array([len(piece) for piece in pieces])
    drawn = np.random.default_rng(seed).integers(0, len(pieces), (_DRAWS, len(pieces)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1) / seconds.mean()
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(min(low, 1)), float(max(high, 1))


def advice_for(shares: dict[str, float]) -> str:
    """Return what would halve the time.

    >>> advice_for({"decode": 0.8, "open": 0.2})[:40]
    'Twice the cores halve it; so does less d'
    """
    name, share = max(shares.items(), key=itemgetter(1))
    if share < 0.5:
        return f"Twice the cores halve it; nothing else alone does, the largest part is {name} ({share:.0%})."
    return f"Twice the cores halve it; so does less {name} ({share:.0%} of it): {_CURES[name]}."


def duration_text(hours: float) -> str:
    """Return a time in words.

    >>> [duration_text(hours) for hours in (0.01, 0.5, 30, 500)]
    ['36 s', '30 min', '30 h', '21 days']
    """
    for limit, unit, factor in ((1 / 30, "s", 3600), (2, "min", 60), (72, "h", 1)):
        if hours < limit:
            return f"{_number(hours * factor)} {unit}"
    return f"{_number(hours / 24)} days"


def _number(value: float) -> str:
    """1234.5 -> '1,234'; 21.4 -> '21'; 3.14 -> '3.1'."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
