"""`sampling={"fps": 3.0}` and its like: which frames a model gets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..base import positive_integer
from ..read import Numbers, frame_rate, sample_indices

# What each key is called in `sample_indices`, and what its value must be.
_KEYS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "fps": ("fps", lambda value, _: frame_rate(value)),
    "num_frames": ("first", positive_integer),
    "uniform": ("num_frames", positive_integer),
}


@dataclass(frozen=True)
class Policy:
    """Which frames of a video to take."""

    name: str
    """"fps": on a timeline; "first": the first n; "num_frames": n spread evenly."""
    value: float | int
    """How many, or how many a second."""
    max_frames: int | None = None
    """At most this many, from the beginning."""

    @classmethod
    def of(cls, sampling: Any, max_frames: int | None = None) -> Policy:
        """What a user asked for.

        >>> Policy.of({"uniform": 8})
        Policy(name='num_frames', value=8, max_frames=None)

        Raises:
            ValueError: It is no dictionary with one known key and a value that fits.
        """
        allowed = 'one of {"fps": frames a second}, {"num_frames": the first n}, {"uniform": n spread evenly}'
        if not isinstance(sampling, Mapping) or len(sampling) != 1 or not set(sampling) <= set(_KEYS):
            raise ValueError(f"sampling={sampling!r} must be {allowed}")
        key, value = next(iter(sampling.items()))
        name, check = _KEYS[key]
        try:
            return cls(name, check(value, key), max_frames)
        except (TypeError, ValueError) as error:
            raise ValueError(f"sampling={sampling!r}: {error}") from None

    def numbers(self, reader: Any) -> Numbers:
        """The numbers of the frames to take from this reader, in order; of slow videos some come twice."""
        chosen: dict[str, Any] = {self.name: self.value}
        return sample_indices(reader, **chosen, max_frames=self.max_frames)

    @property
    def num_first(self) -> int | None:
        """How many frames from the beginning are all that is needed; None where others are, too."""
        if self.name != "first":
            return None
        return min(int(self.value), self.max_frames or int(self.value))

    @property
    def last_seconds(self) -> float | None:
        """The time after the first frame of the last one that may be taken; None where that is not known."""
        if self.name != "fps" or self.max_frames is None:
            return None
        return (self.max_frames - 1) / self.value
