"""One sentence of advice for a profile of reads: the first line of a table that fits. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What the advice rests on."""

    num_frames: int
    """How many frames were returned."""
    open_share: float
    """Which part of the whole time opening took."""
    pixels_share: float
    """Which part of the time for reading went into converting and copying."""
    decoded_per_frame: float
    """How many frames were decoded for each one returned."""
    batch_per_frame: float
    """How many would be, if all were asked for in one call."""
    spacing: int
    """The largest distance between two keyframes, in frames."""
    is_in_order: bool
    """Each frame followed the one before it."""
    order_reason: str | None = None
    """Why the order of the frames had to be learnt by decoding; None if it did not."""
    is_images: bool = False
    """The source is a directory of images."""

    @property
    def decoded(self) -> str:
        """In words, how much was decoded."""
        return f"{self.decoded_per_frame:.0f} frames decoded for each one returned"


Rule = tuple[Callable[[Facts], bool], Callable[[Facts], str]]

_RULES: tuple[Rule, ...] = (
    (
        lambda facts: facts.is_images and facts.open_share <= 0.5,
        lambda facts: "Each image is decoded on its own; ask for many in one call to use all cores.",
    ),
    (
        lambda facts: facts.order_reason is not None and facts.open_share > 0.3,
        lambda facts: (
            f"Opening took {facts.open_share:.0%} of the time, as the order of the frames is learnt by "
            f"decoding: {facts.order_reason}; keep the reader open, or re-encode the file as mp4."
        ),
    ),
    (
        lambda facts: facts.open_share > 0.5,
        lambda facts: (
            f"Opening took {facts.open_share:.0%} of the time for {_frames(facts.num_frames)}: keep the "
            "reader open, and read more from it."
        ),
    ),
    (
        lambda facts: facts.is_in_order and facts.num_frames > 1 and facts.decoded_per_frame < 3,
        lambda facts: (
            "These frames follow each other, and hardly any is decoded in vain; reader.batches(32) "
            "reads them on all cores."
        ),
    ),
    (
        lambda facts: facts.decoded_per_frame >= 3 and facts.batch_per_frame <= facts.decoded_per_frame / 2,
        lambda facts: (
            f"GOP {facts.spacing}: {facts.decoded}; ask for them in one call, which decodes "
            f"{facts.batch_per_frame:.1f}, or re-encode with gop=10."
        ),
    ),
    (
        lambda facts: facts.decoded_per_frame >= 3 and facts.spacing > 20,
        lambda facts: f"GOP {facts.spacing}: {facts.decoded}; re-encode with gop=10.",
    ),
    (
        lambda facts: facts.pixels_share > 0.5,
        lambda facts: (
            f"Converting and copying pixels took {facts.pixels_share:.0%} of the time for reading: ask for "
            "smaller frames with width= or height=."
        ),
    ),
    (
        lambda facts: True,
        lambda facts: (
            f"Keyframes are dense enough (GOP {facts.spacing}, {facts.decoded_per_frame:.1f} frames decoded "
            "for each one returned); ask for many frames in one call to use all cores."
        ),
    ),
)


def advise(facts: Facts) -> str:
    """What to do about it.

    >>> advise(Facts(60, 0.1, 0.2, decoded_per_frame=118, batch_per_frame=90, spacing=250, is_in_order=False))
    'GOP 250: 118 frames decoded for each one returned; re-encode with gop=10.'
    """
    return next(sentence(facts) for fits, sentence in _RULES if fits(facts))


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
