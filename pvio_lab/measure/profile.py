"""`profile_reads`: the time of each phase when frames are read one by one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import show
from ..base import Drawn, text_table
from ..read import (
    Fetching,
    HeldSource,
    ImageSequence,
    VideoReader,
    frame_numbers,
    is_directory,
    open_video,
    public_name,
)
from .pieces import Pattern


@dataclass(frozen=True)
class Facts:
    """The facts that the advice is based on."""

    num_frames: int
    """The number of frames that were returned."""
    open_share: float
    """The share of opening in the whole time."""
    pixels_share: float
    """The share of converting and copying in the time for reading."""
    decoded_per_frame: float
    """The number of frames decoded for each one returned."""
    batch_per_frame: float
    """The number that would be decoded if all were requested in one call."""
    spacing: int
    """The largest distance between two keyframes, in frames."""
    is_in_order: bool
    """Each frame followed the one before it."""
    order_reason: str | None = None
    """The reason why the order of the frames had to be learnt by decoding; None if it did not."""
    is_images: bool = False
    """The source is a directory of images."""


def advise(facts: Facts) -> str:
    """Return the most useful change in a sentence.

    >>> advise(Facts(60, 0.1, 0.2, decoded_per_frame=118, batch_per_frame=90, spacing=250, is_in_order=False))
    'GOP 250: 118 frames decoded for each one returned; re-encode with gop=10.'
    """
    frames = "1 frame" if facts.num_frames == 1 else f"{facts.num_frames} frames"
    opening = f"Opening took {facts.open_share:.0%} of the time"
    wasteful = facts.decoded_per_frame >= 3
    waste = f"GOP {facts.spacing}: {facts.decoded_per_frame:.0f} frames decoded for each one returned"
    rules = (  # the first that applies counts
        (
            facts.is_images and facts.open_share <= 0.5,
            "Each image is decoded on its own; ask for many in one call to use all cores.",
        ),
        (
            facts.order_reason is not None and facts.open_share > 0.3,
            f"{opening}, as the order of the frames is learnt by decoding: {facts.order_reason}; keep the "
            "reader open, or re-encode the file as mp4.",
        ),
        (
            facts.open_share > 0.5,
            f"{opening} for {frames}: keep the reader open, and read more from it.",
        ),
        (
            facts.is_in_order and facts.num_frames > 1 and not wasteful,
            "These frames follow each other, and hardly any is decoded in vain; reader.batches(32) reads "
            "them on all cores.",
        ),
        (
            wasteful and facts.batch_per_frame <= facts.decoded_per_frame / 2,
            f"{waste}; ask for them in one call, which decodes {facts.batch_per_frame:.1f}, or re-encode "
            "with gop=10.",
        ),
        (wasteful and facts.spacing > 20, f"{waste}; re-encode with gop=10."),
        (
            facts.pixels_share > 0.5,
            f"Converting and copying pixels took {facts.pixels_share:.0%} of the time for reading: ask for "
            "smaller frames with width= or height=.",
        ),
        (
            True,
            f"Keyframes are dense enough (GOP {facts.spacing}, {facts.decoded_per_frame:.1f} frames decoded "
            "for each one returned); ask for many frames in one call to use all cores.",
        ),
    )
    return next(sentence for applies, sentence in rules if applies)


PHASES = ("open", "seek", "decode", "convert", "copy")
# A few frames show how long more would take; many are enough.
_FEW, _MANY = 4, 64


@dataclass(frozen=True)
class ReadProfile(Drawn):
    """The time of each phase; seconds are those of one thread."""

    source: str
    """The video or directory that was read."""
    num_frames: int
    """The number of frames that were returned."""
    open_seconds: float
    """Opening the file and learning where its frames are; once."""
    seek_seconds: float
    """Getting to the places where decoding can begin."""
    decode_seconds: float
    """Decoding, including the frames before the ones asked for."""
    convert_seconds: float
    """Turning decoded frames into RGB."""
    copy_seconds: float
    """Copying them to where they are wanted."""
    total_seconds: float
    """All of it, measured from beginning to end."""
    frames_decoded: int
    """The number of frames that had to be decoded."""
    keyframe_spacing_median: float
    """The usual number of frames from one keyframe to the next."""
    keyframe_spacing_max: int
    """The largest number of frames from one keyframe to the next."""
    advice: str
    """The most useful change."""

    drawn_as = "read_profile"

    @property
    def phases(self) -> dict[str, float]:
        """The seconds of each phase, in order."""
        return {name: getattr(self, f"{name}_seconds") for name in PHASES}

    @property
    def decoded_per_frame(self) -> float:
        """The number of frames that had to be decoded for each one returned."""
        return self.frames_decoded / self.num_frames

    def to_dicts(self) -> list[dict[str, Any]]:
        """One plain dictionary, as for `pandas.DataFrame` or JSON."""
        return [asdict(self) | {"decoded_per_frame": self.decoded_per_frame}]

    def plot(self) -> Any:
        """Draw the phases as one bar."""
        return show.plot("read_profile", self)

    def __repr__(self) -> str:
        head = f"ReadProfile({self.source!r}: {self.num_frames} frames in {self.total_seconds:.3g} s)"
        table = text_table(("phase", "seconds", "ms a frame", "share"), phase_cells(self), right=(1, 2, 3))
        return "\n".join([head, table, keyframes_text(self), self.advice])


def profile_reads(
    source: str | PathLike[str], indices: Any, *, fetching: Fetching | None = None
) -> ReadProfile:
    """Read frames one by one, in the order given, in one thread, and show where the time goes.

    The reader is a new one that remembers no frames.

    >>> profile = profile_reads("data_samples/shapes.mp4", [200, 100])
    >>> profile.num_frames, profile.keyframe_spacing_max
    (2, 250)
    >>> profile.decoded_per_frame > 50
    True

    Args:
        source: A video file, its URL, or a directory of images.
        indices: The numbers of the frames: a number, a slice, or a sequence.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Raises:
        IndexError: There is no such frame.
        ValueError: There are no numbers.
    """
    if is_directory(source, fetching):
        return _profile_images(source, indices)
    return _profile_video(source, indices, fetching)


def profile_pattern(
    source: str | PathLike[str], pattern: Pattern, *, seconds: float = 1.0, fetching: Fetching | None = None
) -> ReadProfile:
    """Profile as many frames as can be read in about this time: in order ("sequential"), or anywhere.

    >>> profile_pattern("data_samples/gop2.mp4", "random", seconds=0.1).num_frames <= 64
    True
    """
    with open_video(source, fetching=fetching) as reader:
        length = len(reader)
    order = np.arange(length) if pattern == "sequential" else np.random.default_rng(0).permutation(length)
    few = profile_reads(source, order[:_FEW], fetching=fetching)
    reading = (few.total_seconds - few.open_seconds) / few.num_frames
    count = min(_MANY, int(seconds / max(reading, 1e-9)))
    return profile_reads(source, order[:count], fetching=fetching) if count > 2 * _FEW else few


class Clock:
    """Sums up the seconds of each phase."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._begin = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block towards this phase."""
        begin = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - begin

    def fields(self) -> dict[str, float]:
        """Return the fields of a profile."""
        total = time.perf_counter() - self._begin
        return {f"{name}_seconds": value for name, value in self.seconds.items()} | {"total_seconds": total}


def _profile_video(source: str | PathLike[str], indices: Any, fetching: Fetching | None) -> ReadProfile:
    held, clock = HeldSource(source, fetching), Clock()
    with clock.phase("open"):
        reader = VideoReader(held.path, num_threads=1, cache_bytes=0)
    with reader:
        numbers = _checked_numbers(indices, len(reader))
        decoded, spent = reader.num_decoded, reader.spent_seconds
        with clock.phase("decode"):
            for number in numbers.tolist():
                _ = reader[number]
        fields, decoded = clock.fields(), reader.num_decoded - decoded
        for name, seconds in reader.spent_seconds.items():
            fields[f"{name}_seconds"] = seconds - spent[name]
            fields["decode_seconds"] -= seconds - spent[name]
    return _profile(
        source,
        fields,
        reader.index.gop_lengths,
        decoded,
        num_frames=len(numbers),
        batch_per_frame=reader.index.decode_cost(numbers) / len(numbers),
        is_in_order=bool((np.diff(numbers) == 1).all()),
        order_reason=reader.index.order_reason,
    )


def _profile_images(source: str | PathLike[str], indices: Any) -> ReadProfile:
    """Profile images, which Pillow decodes and converts in one step."""
    clock = Clock()
    with clock.phase("open"):
        images = open_video(source)
        assert isinstance(images, ImageSequence)
    numbers = _checked_numbers(indices, len(images))
    for number in numbers.tolist():
        with clock.phase("decode"):
            pixels = images[number]
        with clock.phase("copy"):
            np.empty(pixels.shape, np.uint8)[:] = pixels
    fields, count, gops = clock.fields(), len(numbers), np.ones(len(images), np.int64)
    return _profile(
        source, fields, gops, count, num_frames=count, batch_per_frame=1.0, is_in_order=False, is_images=True
    )


def _profile(
    source: str | PathLike[str],
    fields: dict[str, float],
    gops: NDArray[np.int64],
    decoded: int,
    *,
    num_frames: int,
    **facts: Any,
) -> ReadProfile:
    """Put a profile together, with its advice."""
    total, opening = fields["total_seconds"], fields["open_seconds"]
    pixels = fields["convert_seconds"] + fields["copy_seconds"]
    known = Facts(
        num_frames=num_frames,
        open_share=opening / total,
        pixels_share=pixels / (total - opening),
        decoded_per_frame=decoded / num_frames,
        spacing=int(gops.max()),
        **facts,
    )
    return ReadProfile(
        source=public_name(source),
        num_frames=num_frames,
        frames_decoded=decoded,
        keyframe_spacing_median=float(np.median(gops)),
        keyframe_spacing_max=int(gops.max()),
        advice=advise(known),
        **fields,
    )


def _checked_numbers(indices: Any, length: int) -> NDArray[np.int64]:
    numbers, _ = frame_numbers(indices, length)
    if not numbers.size:
        raise ValueError(f"indices={indices!r} names no frame; name at least one")
    return numbers


def phase_cells(profile: ReadProfile) -> list[tuple[str, ...]]:
    """Return the rows of a table: phase, seconds, milliseconds per frame, share."""
    whole = profile.phases | {"total": profile.total_seconds}
    return [
        (
            name,
            f"{seconds:.4f}",
            f"{1e3 * seconds / profile.num_frames:.3f}",
            f"{seconds / profile.total_seconds:.0%}",
        )
        for name, seconds in whole.items()
    ]


def keyframes_text(profile: ReadProfile) -> str:
    """Return in words how dense the keyframes are, and how much had to be decoded."""
    usual, most = profile.keyframe_spacing_median, profile.keyframe_spacing_max
    spacing = "every frame is a keyframe" if most == 1 else f"keyframes are {usual:g} apart, at most {most}"
    return (
        f"{profile.frames_decoded} frames decoded, {profile.decoded_per_frame:.1f} for each one returned; "
        f"{spacing}"
    )
