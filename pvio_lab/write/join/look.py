"""A look into the packets of a video to be joined, while they pass: damage, and how it begins."""

from __future__ import annotations

from typing import Any

import av.error
from av.packet import Packet
from av.video.stream import VideoStream

from ...read import Matrix, display_matrix, look_for, unit_length, units


class Refusal(Exception):
    """Why a file cannot be joined without re-encoding; the words begin with what it does."""


class Look:
    """Looks into each packet on the way: the notes of the index, the first packet, and damage."""

    def __init__(self, stream: VideoStream):
        context = stream.codec_context
        self._context, self._codec = context, context.codec.canonical_name
        self._note = look_for(self._codec, context.extradata)
        self._length = unit_length(self._codec, context.extradata)
        self.first: Packet[Any] | None = None
        self.num_broken = 0

    def __call__(self, packet: Packet[Any]) -> int:
        """Notes what the index needs to know of a packet."""
        if self.first is None:
            self.first = packet
        if self._length and not _is_whole(packet, self._length):
            self.num_broken += 1
        return self._note(packet) if self._note else 0

    def stands_alone(self) -> bool:
        """Only of H.264 and HEVC are there keyframes that do not end what was before."""
        if self._codec not in ("h264", "hevc") or self.first is None:
            return True
        for unit in units(memoryview(self.first), self._length):
            kind = unit[0] & 31 if self._codec == "h264" else unit[0] >> 1 & 63
            if self._codec == "h264" and kind in (1, 2, 5):
                return kind == 5
            if self._codec == "hevc" and kind < 32:
                keeps_others = len(unit) > 2 and not unit[2] & 0x40  # they are still to be shown
                return 16 <= kind <= 20 and keeps_others
        return False

    def matrix(self) -> Matrix | None:
        """How the picture is turned, as only a decoded frame tells."""
        try:
            self._context.thread_type = "NONE"
            frames = self._context.decode(self.first) or self._context.decode(None)
        except av.error.FFmpegError as error:
            raise Refusal(f"begins with a frame that cannot be decoded ({error.strerror})") from error
        if not frames:
            raise Refusal("begins with a frame that cannot be decoded")
        return display_matrix(frames[0])


def _is_whole(packet: Packet[Any], length: int) -> bool:
    """The units in a packet fill it to the last byte."""
    data, at = memoryview(packet), 0
    end = len(data)
    while at + length < end:
        if data[at + length] & 0x80:  # a bit that is never set
            return False
        at += length + int.from_bytes(data[at : at + length], "big")
    return at == end
