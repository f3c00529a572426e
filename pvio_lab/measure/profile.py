"""`profile_reads`: the time of each phase when frames are read one by one."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import Drawn, LineProfile, LineTimer, line_timer, plot_of, text_table
from ..read import (
    Fetching,
    HeldSource,
    VideoReader,
    frame_numbers,
    is_directory,
    open_video,
    public_name,
)
from .timed_reads import Pattern

PHASES = ("open", "seek", "decode", "convert", "copy")
# A few frames show how long more would take; many are enough.
_FEW, _MANY = 4, 64
Function = Callable[[Any], Any]


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
    function_seconds: float | None = None
    """Your own function; None if there was none."""
    lines: LineProfile | None = field(default=None, repr=False)
    """The time of each line of your function, with `profile=True`."""

    drawn_as = "read_profile"

    @property
    def phases(self) -> dict[str, float]:
        """The seconds of each phase, in order; the last is your function, if there was one."""
        own = {} if self.function_seconds is None else {"function": self.function_seconds}
        return {name: getattr(self, f"{name}_seconds") for name in PHASES} | own

    @property
    def decoded_per_frame(self) -> float:
        """The number of frames that had to be decoded for each one returned."""
        return self.frames_decoded / self.num_frames

    def to_dicts(self) -> list[dict[str, Any]]:
        """One plain dictionary, as for `pandas.DataFrame` or JSON."""
        facts = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "lines"}
        return [facts | {"decoded_per_frame": self.decoded_per_frame}]

    def plot(self) -> Any:
        """Draw the phases as one bar."""
        return plot_of("read_profile", self)

    def __repr__(self) -> str:
        head = f"ReadProfile({self.source!r}: {self.num_frames} frames in {self.total_seconds:.3g} s)"
        table = text_table(("phase", "seconds", "ms a frame", "share"), phase_cells(self), right=(1, 2, 3))
        lines = [] if self.lines is None else [repr(self.lines)]
        return "\n".join([head, table, keyframes_text(self), self.advice, *lines])


def profile_reads(
    source: str | PathLike[str],
    indices: Any,
    *,
    function: Function | None = None,
    profile: bool = False,
    fetching: Fetching | None = None,
) -> ReadProfile:
    """Read frames one by one, in the order given, in one thread, and show where the time goes.

    The reader is a new one that remembers no frames. With `function`, your own work on each frame is one
    more phase, and with `profile=True` a table shows the time of each of its lines.

    >>> profile = profile_reads("data_samples/shapes.mp4", [200, 100])
    >>> profile.num_frames, profile.keyframe_spacing_max
    (2, 250)
    >>> profile.decoded_per_frame > 50
    True
    >>> list(profile_reads("data_samples/shapes.mp4", 0, function=np.mean).phases)
    ['open', 'seek', 'decode', 'convert', 'copy', 'function']

    Args:
        source: A video file, its URL, or a directory of images.
        indices: The numbers of the frames: a number, a slice, or a sequence.
        function: Is called with each frame, `(H, W, 3)`; what it returns is thrown away.
        profile: Time the lines of the function, too, by the package line_profiler: `.lines`. That makes a
            function slower in which many short lines run.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Raises:
        ImportError: The package line_profiler is missing.
        IndexError: There is no such frame.
        ValueError: There are no numbers, or `profile=True` has no function, or one without lines of Python.
    """
    own = _Own(function, line_timer(profile, function))
    if is_directory(source, fetching):
        return _profile_images(source, indices, own)
    return _profile_video(source, indices, fetching, own)


class _Own:
    """The user's own function, with the time that it takes."""

    def __init__(self, function: Function | None, timer: LineTimer | None):
        self._function, self._timer, self.seconds = function, timer, 0.0

    def __call__(self, frame: Any) -> None:
        if self._function is None:
            return
        with self._timer or nullcontext():
            begin = time.perf_counter()
            self._function(frame)
            self.seconds += time.perf_counter() - begin

    def facts(self) -> dict[str, Any]:
        """Return the fields of a profile that are about it."""
        if self._function is None:
            return {}
        lines = None if self._timer is None else LineProfile.of(self._timer.counts())
        return {"function_seconds": self.seconds, "lines": lines}


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


def _profile_video(
    source: str | PathLike[str], indices: Any, fetching: Fetching | None, own: _Own
) -> ReadProfile:
    held, begin = HeldSource(source, fetching), time.perf_counter()
    with VideoReader(held.path, num_threads=1, cache_bytes=0) as reader:
        opened = time.perf_counter()
        numbers = _checked_numbers(indices, len(reader))
        decoded, spent = reader.num_decoded, reader.spent_seconds
        for number in numbers.tolist():
            own(reader[number])
        end = time.perf_counter()
        seconds = {name: total - spent[name] for name, total in reader.spent_seconds.items()}
        decode = end - opened - sum(seconds.values()) - own.seconds
        return _profile(
            source,
            own,
            {"open": opened - begin, "decode": decode, **seconds},
            end - begin,
            reader.index.gop_lengths,
            reader.num_decoded - decoded,
            num_frames=len(numbers),
            batch_per_frame=reader.index.decode_cost(numbers) / len(numbers),
            is_in_order=bool((np.diff(numbers) == 1).all()),
            order_reason=reader.index.order_reason,
        )


def _profile_images(source: str | PathLike[str], indices: Any, own: _Own) -> ReadProfile:
    """Profile images, which Pillow decodes and converts in one step."""
    begin, copying = time.perf_counter(), 0.0
    images = open_video(source)
    opened = time.perf_counter()
    numbers = _checked_numbers(indices, len(images))
    for number in numbers.tolist():
        pixels = images[number]
        before = time.perf_counter()
        np.empty(pixels.shape, np.uint8)[:] = pixels
        copying += time.perf_counter() - before
        own(pixels)
    end, count = time.perf_counter(), len(numbers)
    decode = end - opened - copying - own.seconds
    return _profile(
        source,
        own,
        {"open": opened - begin, "decode": decode, "copy": copying},
        end - begin,
        np.ones(len(images), np.int64),
        count,
        num_frames=count,
        is_images=True,
    )


def _profile(
    source: str | PathLike[str],
    own: _Own,
    seconds: dict[str, float],
    total: float,
    gops: NDArray[np.int64],
    decoded: int,
    *,
    num_frames: int,
    **facts: Any,
) -> ReadProfile:
    """Put a profile together, with its advice."""
    phases = dict.fromkeys(PHASES, 0.0) | seconds
    return ReadProfile(
        source=public_name(source),
        num_frames=num_frames,
        **{f"{name}_seconds": phases[name] for name in PHASES},  # type: ignore[arg-type]
        total_seconds=total,
        frames_decoded=decoded,
        keyframe_spacing_median=float(np.median(gops)),
        keyframe_spacing_max=int(gops.max()),
        advice=advise(
            num_frames=num_frames,
            open_share=phases["open"] / total,
            pixels_share=(phases["convert"] + phases["copy"]) / (total - phases["open"]),
            function_share=own.seconds / total,
            decoded_per_frame=decoded / num_frames,
            spacing=int(gops.max()),
            **facts,
        ),
        **own.facts(),
    )


def advise(
    *,
    num_frames: int,
    open_share: float,
    pixels_share: float,
    decoded_per_frame: float,
    spacing: int,
    batch_per_frame: float = 1.0,
    is_in_order: bool = False,
    order_reason: str | None = None,
    is_images: bool = False,
    function_share: float = 0.0,
) -> str:
    """Return the most useful change in a sentence.

    >>> advise(num_frames=60, open_share=0.1, pixels_share=0.2, decoded_per_frame=118, batch_per_frame=90,
    ...     spacing=250)
    'GOP 250: 118 frames decoded for each one returned; re-encode with gop=10.'

    Args:
        num_frames: The number of frames that were returned.
        open_share: The share of opening in the whole time.
        pixels_share: The share of converting and copying in the time for reading.
        decoded_per_frame: The number of frames decoded for each one returned.
        spacing: The largest distance between two keyframes, in frames.
        batch_per_frame: The number that would be decoded if all were requested in one call.
        is_in_order: Each frame followed the one before it.
        order_reason: The reason why the order of the frames had to be learnt by decoding; None if it did not.
        is_images: The source is a directory of images.
        function_share: The share of the user's own function in the whole time.
    """
    frames = "1 frame" if num_frames == 1 else f"{num_frames} frames"
    opening = f"Opening took {open_share:.0%} of the time"
    wasteful = decoded_per_frame >= 3
    waste = f"GOP {spacing}: {decoded_per_frame:.0f} frames decoded for each one returned"
    rules = (  # the first that applies counts
        (
            function_share > 0.5,
            f"Your function took {function_share:.0%} of the time, reading the rest: make it faster first; "
            "profile=True shows the time of each of its lines.",
        ),
        (
            is_images and open_share <= 0.5,
            "Each image is decoded on its own; ask for many in one call to use all cores.",
        ),
        (
            order_reason is not None and open_share > 0.3,
            f"{opening}, as the order of the frames is learnt by decoding: {order_reason}; keep the reader "
            "open, or re-encode the file as mp4.",
        ),
        (
            open_share > 0.5,
            f"{opening} for {frames}: keep the reader open, and read more from it.",
        ),
        (
            is_in_order and num_frames > 1 and not wasteful,
            "These frames follow each other, and hardly any is decoded in vain; reader.batches(32) reads "
            "them on all cores.",
        ),
        (
            wasteful and batch_per_frame <= decoded_per_frame / 2,
            f"{waste}; ask for them in one call, which decodes {batch_per_frame:.1f}, or re-encode with "
            "gop=10.",
        ),
        (wasteful and spacing > 20, f"{waste}; re-encode with gop=10."),
        (
            pixels_share > 0.5,
            f"Converting and copying pixels took {pixels_share:.0%} of the time for reading: ask for smaller "
            "frames with width= or height=.",
        ),
        (
            True,
            f"Keyframes are dense enough (GOP {spacing}, {decoded_per_frame:.1f} frames decoded for each one "
            "returned); ask for many frames in one call to use all cores.",
        ),
    )
    return next(sentence for applies, sentence in rules if applies)


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
