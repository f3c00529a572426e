"""The parameter sets of H.264: what a decoder must know of a clip, repeated where clips differ in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...read import unit_length, units

_SEQUENCE, _PICTURE = 7, 8
_DELIMITER = re.compile(rb"\x00*\x01\x09.", re.DOTALL)


@dataclass(frozen=True)
class ParameterSets:
    """The parameter sets of a clip, and how its units are told apart.

    Encoders that differ only in quality (`crf`) share the sequence sets, and differ in the picture sets.
    """

    length: int
    """The number of bytes that hold the length of each unit; 0 if there are start codes."""
    sequence: tuple[bytes, ...]
    """Size, order of frames, colours: they must be the same in all clips."""
    picture: tuple[bytes, ...]
    """The coding of pictures: these may differ, if they are repeated before each keyframe."""

    @classmethod
    def of(cls, extradata: bytes) -> ParameterSets | None:
        """Return the sets in the extradata of an H.264 stream; None if there are none."""
        length = unit_length("h264", extradata)
        found = _in_header(extradata) if length else [bytes(each) for each in units(memoryview(extradata), 0)]
        sets = [each.rstrip(b"\0") for each in found if each]
        sequence = tuple(each for each in sets if each[0] & 31 == _SEQUENCE)
        picture = tuple(each for each in sets if each[0] & 31 == _PICTURE)
        return cls(length, sequence, picture) if sequence and picture else None

    @property
    def fixed(self) -> bytes:
        """The part that must be the same in all clips."""
        return bytes([self.length]) + b"".join(self.sequence)

    def before(self, packet: bytes) -> bytes:
        """Return a packet with the sets before its picture, and after the delimiter if it has one."""
        at = self._after_delimiter(packet)
        return packet[:at] + b"".join(map(self._unit, (*self.sequence, *self.picture))) + packet[at:]

    def _unit(self, data: bytes) -> bytes:
        return (len(data).to_bytes(self.length, "big") if self.length else b"\0\0\0\1") + data

    def _after_delimiter(self, packet: bytes) -> int:
        if not self.length:
            found = _DELIMITER.match(packet)
            return found.end() if found else 0
        is_there = packet[self.length : self.length + 1] == b"\x09"
        return self.length + int.from_bytes(packet[: self.length], "big") if is_there else 0


def _in_header(extradata: bytes) -> list[bytes]:
    """Return the sets in the header of an mp4 or mkv file: numbers of sets, and each after its length."""
    sets, at = [], 5
    for mask in (31, 255):
        count, at = extradata[at] & mask if at < len(extradata) else 0, at + 1
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            sets.append(extradata[at + 2 : at + 2 + size])
            at += 2 + size
    return sets
