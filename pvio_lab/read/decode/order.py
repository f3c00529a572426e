"""The display order of frames: by the times of packets if these can be trusted, else by decoding."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bitstream import NO_FRAME, NOT_A_START, UNKNOWN
from .decoder import Damage, Decoder, FileMark, Lost
from .packets import NO_TIME, Packets, StreamFacts

# Codecs of which each packet is one frame, and decoding can begin at each keyframe.
_NO_REORDERING = set("vp8 vp9 av1 theora ffv1 flv1 msmpeg4v1 msmpeg4v2 msmpeg4v3 wmv1 wmv2".split())
_REORDERING = {"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"}
# Of these, frames that refer to frames before the first keyframe are not shown.
_WAIT_FOR_KEYFRAME = {"h264", "hevc", "mpeg1video", "mpeg2video"}
# Containers that store no presentation times; those of the demuxer are made up.
_TIMELESS = {"avi", "h264", "hevc", "vvc", "m4v", "mpegvideo"}
# To learn about the ends of files up to this length, all of it is decoded.
_SHORT = 300


@dataclass(frozen=True)
class Order:
    """The frames of a video, each by its packet."""

    packet_of: NDArray[np.int64]
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


def find_order(packets: Packets, stream: StreamFacts, decode: Callable[[int, int], list[int]]) -> Order:
    """Find the display order of a video.

    Args:
        packets: Its packets.
        stream: What is known about it.
        decode: Decodes from one packet up to, not including, another, and returns the packets of the frames
            that come out; called only where the times cannot be trusted.
    """
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


def learn_order(mark: FileMark, packets: Packets, facts: StreamFacts, threads: int) -> Order:
    """Find the display order of a video file; decodes only where the packets leave it open."""

    def decode(first: int, last: int) -> list[int]:
        with suppress(Damage), closing(Decoder(mark, facts, packets, threads)) as decoder:
            shown = _decode_range(decoder, first, last)
            if threads == 1 or len(shown) >= last - first:
                return shown  # several threads may silently lose good frames at the end with a bad one
        with closing(Decoder(mark, facts, packets, 1, is_tolerant=True)) as decoder:
            return _decode_range(decoder, first, last)

    return find_order(packets, facts, decode)


def _decode_range(decoder: Decoder, first: int, last: int) -> list[int]:
    """Return the packets of the frames that come out when packets `first` to `last` are decoded."""
    shown: list[int] = []
    for _ in range(2):
        with suppress(Lost):
            shown.clear()
            decoder.go_to(first)
            while decoder.next_packet < last and not decoder.ended:
                shown += (number for number, _ in decoder.step())
            if not decoder.ended:
                shown += (number for number, _ in decoder.flush())
            break
    return shown


def _by_decoding(packets: Packets, decode: Callable[[int, int], list[int]], why: str) -> Order:
    shown = decode(0, len(packets))
    rows = np.array(shown, np.int64)
    is_counted = np.unique(rows).size < rows.size or bool((rows < 0).any() or (rows >= len(packets)).any())
    return Order(np.minimum(np.maximum(rows, 0), len(packets) - 1), why, is_counted)


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


def _doubt_of_edits(packets: Packets, times: NDArray[np.int64]) -> str | None:
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
    count = len(packets)
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


def _after(starts: NDArray[np.int64], which: int, count: int) -> int:
    return int(starts[which]) if starts.size > which else count


def _first_has_leading(packets: Packets, starts: NDArray[np.int64]) -> bool:
    group = slice(0, int(starts[1]) if starts.size > 1 else len(packets))
    hidden = packets.is_discarded[group]
    return bool(((packets.pts[group] < packets.pts[0]) & ~hidden).any())
