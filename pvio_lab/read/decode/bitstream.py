"""Notes on single packets: places where decoding cannot begin, packets without a frame, layers.

Only headers are read, and only of the packets that matter, which costs little beside demuxing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

PLAIN, NO_FRAME, NOT_A_START, UNKNOWN = 0, 1, 2, 3
"""Notes on a packet: nothing special, no frame, a keyframe where decoding cannot begin, not understood."""

Look = Callable[["Packet[Any]"], int]


def look_for(codec: str, extradata: bytes | None) -> Look | None:
    """Return the function that makes a note on each packet of this codec, if one is needed."""
    length = unit_length(codec, extradata)
    if codec == "h264":
        return lambda packet: _h264_keyframe(packet, length)
    if codec == "hevc":
        return lambda packet: _hevc_layers(packet, length)
    return {"vp8": _vp8_hidden, "mpeg4": _mpeg4_packed, "ffv1": _ffv1_keyframe}.get(codec)


def unit_length(codec: str, extradata: bytes | None) -> int:
    """Return how many bytes hold the length of each NAL unit; 0 if there are start codes."""
    at = {"h264": 4, "hevc": 21}.get(codec)
    if at is None or not extradata or len(extradata) <= at or extradata[0] != 1:
        return 0
    return (extradata[at] & 3) + 1


def _h264_keyframe(packet: Packet[VideoStream], length: int) -> int:
    """Find intra refresh: decoding cannot begin at a "keyframe" from which the picture only recovers."""
    if not packet.is_keyframe:
        return PLAIN
    for unit in units(memoryview(packet), length):
        kind = unit[0] & 31
        if kind == 6 and _recovery_frames(bytes(unit[1:])) > 0:
            return NOT_A_START
        if kind in (1, 5):
            break
    return PLAIN


def _hevc_layers(packet: Packet[VideoStream], length: int) -> int:
    """Find temporal layers: there "no reference" means none in its own layer, so nothing may be skipped."""
    for unit in units(memoryview(packet), length):
        if len(unit) > 1 and unit[0] >> 1 & 63 < 32:
            return UNKNOWN if (unit[1] & 7) > 1 else PLAIN
    return PLAIN


def _vp8_hidden(packet: Packet[VideoStream]) -> int:
    return PLAIN if memoryview(packet)[0] & 0x10 else NO_FRAME


def _ffv1_keyframe(packet: Packet[VideoStream]) -> int:
    """Find false keyframes: the first bit of the arithmetic code knows better than the container."""
    is_key = int.from_bytes(bytes(memoryview(packet)[:2]), "big") >= 0x7F80
    return PLAIN if is_key or not packet.is_keyframe else NOT_A_START


def _mpeg4_packed(packet: Packet[VideoStream]) -> int:
    """Find packets of two pictures, or of one that repeats the last: their frames belong elsewhere."""
    data = bytes(packet)
    if len(data) < 20 or data.count(b"\0\0\1\xb6") != 1:
        return UNKNOWN
    return PLAIN


def units(data: memoryview, length: int) -> Iterator[memoryview]:
    """Yield the NAL units of a packet: each after its length of `length` bytes or, for 0, a start code."""
    at = 0
    if not length:
        text = bytes(data[: 1 << 16])
        at = text.find(b"\0\0\1")
        while at >= 0:
            end = text.find(b"\0\0\1", at + 3)
            if at + 3 < len(text):
                yield data[at + 3 : end if end >= 0 else len(data)]
            at = end
        return
    while at + length < len(data):
        size = int.from_bytes(data[at : at + length], "big")
        if not size:
            return
        yield data[at + length : at + length + size]
        at += length + size


def _recovery_frames(sei: bytes) -> int:
    """Return how many frames it takes until the picture is right, by a recovery point; 0 without one."""
    payload, at = sei.replace(b"\0\0\3", b"\0\0"), 0
    while at + 2 < len(payload) and payload[at] != 0x80:
        kind, at = _sum_of_bytes(payload, at)
        size, at = _sum_of_bytes(payload, at)
        if kind == 6:
            return _exponential_golomb(payload[at : at + size])
        at += size
    return 0


def _sum_of_bytes(data: bytes, at: int) -> tuple[int, int]:
    """Return the number coded as 255, 255, ..., rest, and where the next one begins."""
    total = 0
    while at < len(data) and data[at] == 255:
        total, at = total + 255, at + 1
    return total + (data[at] if at < len(data) else 0), at + 1


def _exponential_golomb(data: bytes) -> int:
    bits = "".join(f"{byte:08b}" for byte in data[:16])
    zeros = len(bits) - len(bits.lstrip("0"))
    digits = bits[zeros : 2 * zeros + 1]
    return int(digits, 2) - 1 if len(digits) == zeros + 1 else 0
