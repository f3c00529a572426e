"""What sampling was asked for, checked before any video is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import positive_integer
from ...marks import FrameNotes
from ...read import Fetching, sample_indices

Resize = int | tuple[int, int] | None


@dataclass(frozen=True)
class Policy:
    """Which frames to take of each video."""

    start: int
    end: int | None
    step: int
    fps: float | None
    num_frames: int | None
    first: int | None
    max_frames: int | None
    only: Iterable[int] | None
    only_annotated: bool

    def __post_init__(self) -> None:
        if isinstance(self.only, Iterator):  # it is needed for every video
            object.__setattr__(self, "only", tuple(self.only))

    def check(self) -> None:
        """Raises TypeError or ValueError for what is wrong with any video."""
        others = ("step", "fps", "num_frames", "first", "only")
        given = [name for name in others if not _is_default(getattr(self, name))]
        if given and self.only_annotated:
            raise ValueError(f"only_annotated and {given[0]} are different policies: give one of them")
        options = self._options(None) | {"only": None if self.only is None else ()}
        sample_indices(SimpleNamespace(num_frames=0, fps=25.0), **options)

    def numbers(self, reader: Any, notes: FrameNotes | None) -> NDArray[np.int64]:
        """The frames of a video, in order, each once."""
        annotated = (notes.numbers() if notes else []) if self.only_annotated else None
        return np.unique(sample_indices(reader, **self._options(annotated)))

    def _options(self, annotated: Iterable[int] | None) -> dict[str, Any]:
        options = {name: value for name, value in vars(self).items() if name != "only_annotated"}
        return options if annotated is None else options | {"only": annotated}


def _is_default(value: Any) -> bool:
    return value is None or (isinstance(value, int) and value == 1)


def checked_resize(resize: Any) -> Resize:
    """The size that images shall have."""
    if resize is None:
        return None
    if isinstance(resize, tuple | list):
        if len(resize) != 2:
            raise ValueError(f"resize={resize!r} must be a width and a height")
        width, height = (positive_integer(each, "resize") for each in resize)
        return width, height
    return positive_integer(resize, "resize")


def image_size(own: tuple[int, int], resize: Resize) -> tuple[int, int]:
    """Width and height of the images of a video.

    >>> image_size((640, 360), 180), image_size((360, 640), 180), image_size((640, 360), (64, 64))
    ((320, 180), (180, 320), (64, 64))
    """
    if resize is None:
        return own
    if isinstance(resize, tuple):
        return resize
    width, height = (max(1, round(each * resize / min(own))) for each in own)
    return width, height


@dataclass(frozen=True)
class Plan:
    """What is to be done with every video."""

    policy: Policy
    """Which frames."""
    resize: Resize
    """Which size."""
    annotations: Any
    """As they were given."""
    copies_notes: bool
    """Whether each image gets its share of them."""
    fetching: Fetching | None = None
    """How a URL is fetched, and what may be opened."""

    @classmethod
    def checked(
        cls,
        policy: Policy,
        resize: Any,
        annotations: Any,
        copies_notes: bool,
        fetching: Fetching | None = None,
    ) -> Plan:
        """Raises TypeError or ValueError for what is wrong with any video."""
        policy.check()
        return cls(policy, checked_resize(resize), annotations, copies_notes, fetching)
