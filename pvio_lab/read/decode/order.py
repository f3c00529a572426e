"""The display order of frames, by the times of packets or by decoding, and where decoding begins for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bitstream import NO_FRAME, NOT_A_START, UNKNOWN
from .container import FileMark
from .packets import NO_TIME, Packets, StreamFacts

Numbers = NDArray[np.int64]

# Codecs of which each packet is one frame, and decoding can begin at each keyframe.
_NO_REORDERING = set("vp8 vp9 av1 theora ffv1 flv1 msmpeg4v1 msmpeg4v2 msmpeg4v3 wmv1 wmv2".split())
_REORDERING = {"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"}
# Of these, frames that refer to frames before the first keyframe are not shown.
_WAIT_FOR_KEYFRAME = {"h264", "hevc", "mpeg1video", "mpeg2video"}
# Containers that store no presentation times; those of the demuxer are made up.
_TIMELESS = {"avi", "h264", "hevc", "vvc", "m4v", "mpegvideo"}
# To learn about the ends of files up to this length, all of it is decoded.
_SHORT = 300
# Codecs in which unwanted frames that no other frame needs may be left out of the decoding.
_SKIPPING = {"h264", "hevc", "mpeg1video", "mpeg2video"}
# Beginning somewhere costs about as much as decoding this many frames.
SEEK_COST = 2
# Many short runs are shared out in this many portions for each worker.
_PORTIONS = 4

Decode = Callable[[int, int], list[int]]
"""Decodes from one packet up to, not including, another; returns the packets of the frames that come out."""


@dataclass(frozen=True)
class Order:
    """The frames of a video, each by its packet."""

    packet_of: Numbers
    """The packet of each frame, in display order."""
    why: str | None = None
    """Why the order had to be learnt by decoding; None if the times were enough."""
    is_counted: bool = False
    """Frames cannot be identified by their packets: they are counted from the start of the file."""


def is_known(stream: StreamFacts) -> bool:
    """Return whether each packet of the codec is one frame, and keyframes can be trusted."""
    return stream.is_intra_only or stream.codec in _NO_REORDERING | _REORDERING


def _may_reorder(stream: StreamFacts) -> bool:
    return not stream.is_intra_only and stream.codec not in _NO_REORDERING


def find_order(packets: Packets, stream: StreamFacts, decode: Decode) -> Order:
    """Find the display order of a video; decodes only where the packets leave it open."""
    why = doubt(packets, stream)
    if why:
        return _by_decoding(packets, decode, why)
    gives_frame = ~packets.is_discarded & (packets.notes != NO_FRAME)
    for first, last, why in _doubtful_ends(packets, stream):
        shown = decode(first, last)
        if (np.diff(packets.pts[shown]) <= 0).any():
            return _by_decoding(packets, decode, why)
        gives_frame[first:last] = False
        gives_frame[shown] = True
    rows = np.flatnonzero(gives_frame)
    return Order(rows[np.argsort(packets.pts[rows], kind="stable")])


def _by_decoding(packets: Packets, decode: Decode, why: str) -> Order:
    count = len(packets.pts)
    rows = np.array(decode(0, count), np.int64)
    is_counted = np.unique(rows).size < rows.size or bool((rows < 0).any() or (rows >= count).any())
    return Order(np.minimum(np.maximum(rows, 0), count - 1), why, is_counted)


def doubt(packets: Packets, stream: StreamFacts) -> str | None:
    """Return why the times do not determine the order of the frames; None if they do."""
    shown = ~packets.is_discarded & (packets.notes != NO_FRAME)
    times = packets.pts[shown]
    if not is_known(stream):
        return f"packets of the codec {stream.codec} are not always one frame"
    if not _TIMELESS.isdisjoint(stream.containers) and _may_reorder(stream):
        return "the container stores no presentation times"
    if (times == NO_TIME).any():
        return "some frames have no presentation time"
    if np.unique(times).size < times.size:
        return "some frames have the same presentation time"
    if not _may_reorder(stream) and (np.diff(times) < 0).any():
        return "the presentation times go backwards"
    if stream.codec == "mpeg4" and (packets.notes == UNKNOWN).any():
        return "some packets hold two frames, or none"
    if packets.is_corrupt[:-1].any():
        return "parts of the file are missing"
    if _may_reorder(stream) and stream.has_b_frames and (packets.pts == packets.dts).all():
        return "the presentation times are only decoding times"
    return _doubt_of_edits(packets, times)


def _doubt_of_edits(packets: Packets, times: Numbers) -> str | None:
    """Return why an edit list may change the order: one that hides only a beginning and an end does not."""
    hidden = packets.pts[packets.is_discarded]
    if hidden.size and times.size and ((hidden > times.min()) & (hidden < times.max())).any():
        return "an edit list hides frames in the middle"
    if packets.pos.size and (packets.pos != NO_TIME).all():
        places = packets.pos * (packets.size.max() + 1) + packets.size
        if np.unique(places).size < places.size:
            return "an edit list shows parts more than once"
    return None


def _doubtful_ends(packets: Packets, stream: StreamFacts) -> list[tuple[int, int, str]]:
    """Return ranges of packets at the beginning and the end, some of which may give no frame, and why."""
    count = len(packets.pts)
    starts = np.flatnonzero(packets.is_key & (packets.notes != NOT_A_START))
    ends = []
    if not starts.size or starts[0] > 0 or packets.notes[0] == NOT_A_START:
        ends.append((0, _after(starts, 1, count), "the file does not begin with a keyframe"))
    elif stream.codec in _WAIT_FOR_KEYFRAME and _first_has_leading(packets, starts):
        ends.append((0, _after(starts, 1, count), "the file begins with frames whose keyframe is missing"))
    elif _may_be_decoding_times(packets, stream):
        end = min(_after(starts, 1, count), _SHORT)
        ends.append((0, end, "the presentation times may be decoding times"))
    is_cut = packets.trouble or packets.is_corrupt[-1:].any() or stream.promised_frames > count
    if is_cut:
        begin = int(starts[-2]) if starts.size > 1 else 0
        ends.append((begin, count, "the file is cut short"))
    return [(0, count, why) for *_, why in ends[:1]] if ends and count <= _SHORT else ends


def _may_be_decoding_times(packets: Packets, stream: StreamFacts) -> bool:
    """Return whether the two kinds of times may be mixed up; only the mov family stores both."""
    is_suspicious = _may_reorder(stream) and stream.has_b_frames and "mov" not in stream.containers
    return is_suspicious and bool((np.diff(packets.pts) > 0).all())


def _after(starts: Numbers, which: int, count: int) -> int:
    return int(starts[which]) if starts.size > which else count


def _first_has_leading(packets: Packets, starts: Numbers) -> bool:
    group = slice(0, int(starts[1]) if starts.size > 1 else None)
    hidden = packets.is_discarded[group]
    return bool(((packets.pts[group] < packets.pts[0]) & ~hidden).any())


@dataclass(frozen=True, eq=False)
class Layout:
    """The packets of a file, and how they lead to its frames: what the engines need, and nobody else."""

    mark: FileMark
    stream: StreamFacts
    packets: Packets
    order: Order
    number_of: Numbers
    """The frame of each packet, -1 for none."""
    starts: Numbers
    """The packets at which decoding can begin; the first one always counts."""
    entry: Numbers
    """For each frame, the packet at which decoding has to begin."""
    may_skip: bool
    """Unwanted frames may be left out of the decoding."""


def make_layout(mark: FileMark, stream: StreamFacts, packets: Packets, decode: Decode) -> Layout:
    """Work out the order of the frames, and where decoding has to begin for each."""
    order = find_order(packets, stream, decode)
    number_of = np.full(len(packets.pts), -1)
    number_of[order.packet_of] = np.arange(order.packet_of.size)
    starts = _starts(packets, stream, order)
    entry = _entries(packets, order.packet_of, number_of, starts)
    may_skip = stream.codec in _SKIPPING and order.why is None and not (packets.notes == UNKNOWN).any()
    return Layout(mark, stream, packets, order, number_of, starts, entry, may_skip)


def _starts(packets: Packets, stream: StreamFacts, order: Order) -> Numbers:
    is_packed = stream.codec == "mpeg4" and (packets.notes == UNKNOWN).any()
    has_palette = stream.pixel_format == "pal8"  # which only the first packet carries
    is_trusted = is_known(stream) and not (is_packed or has_palette or order.is_counted)
    keys = np.flatnonzero(packets.is_key & (packets.notes != NOT_A_START) & is_trusted)
    return np.union1d(keys, [0]).astype(np.int64)


def _entries(packets: Packets, packet_of: Numbers, number_of: Numbers, starts: Numbers) -> Numbers:
    """Return the last start before each frame, or the one before that for frames shown before theirs."""
    which = np.searchsorted(starts, packet_of, side="right") - 1
    begin = starts[which]
    earlier = packets.pts[packet_of] < packets.pts[begin]
    earlier |= packets.pts[begin] == NO_TIME
    leading = np.where(number_of[begin] >= 0, np.arange(packet_of.size) < number_of[begin], earlier)
    return starts[np.maximum(which - leading, 0)]


class Run(NamedTuple):
    """Frames that are decoded together, from one place to begin."""

    entry: int
    """The packet at which decoding begins."""
    numbers: tuple[int, ...]
    """The frames to get, sorted."""
    cost: int
    """About how many frames have to be decoded."""


def plan_runs(numbers: Numbers, entry: Numbers, packet_of: Numbers) -> list[Run]:
    """Return one run for each place where decoding has to begin.

    >>> entry, packets = np.array([0, 0, 0, 3, 3, 3]), np.arange(6)
    >>> plan_runs(np.array([5, 1, 3, 1]), entry, packets)
    [Run(entry=0, numbers=(1,), cost=4), Run(entry=3, numbers=(3, 5), cost=5)]

    Args:
        numbers: The frames to get; in any order, duplicates allowed.
        entry: For each frame of the video, the packet at which decoding begins.
        packet_of: For each frame of the video, its packet.
    """
    wanted = np.unique(numbers)
    if not wanted.size:
        return []
    by_entry = wanted[np.argsort(entry[wanted], kind="stable")]
    edges = np.flatnonzero(np.diff(entry[by_entry])) + 1
    runs = []
    for part in np.split(by_entry, edges):
        first, last = int(entry[part[0]]), int(packet_of[part].max())
        runs.append(Run(first, tuple(part.tolist()), last - first + 1 + SEEK_COST))
    return runs


def share_out(runs: list[Run], num_workers: int) -> list[list[Run]]:
    """Return portions for workers that take one after the other: neighbours together, costly ones first."""
    most = num_workers * _PORTIONS
    if len(runs) <= most:
        portions = [[run] for run in runs]
    else:
        done = np.cumsum([run.cost for run in runs])
        cuts = np.searchsorted(done, np.linspace(0, done[-1], most + 1)[1:-1])
        portions = [runs[a:b] for a, b in pairwise([0, *cuts.tolist(), len(runs)]) if a < b]
    return sorted(portions, key=lambda portion: -sum(run.cost for run in portion))
