"""The samples that an MP4 or QuickTime file claims: FFmpeg makes a table of them before it has read any.

A box of 20 bytes can claim billions, and an edit list can ask for each of them thousands of times.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

# Larger files are let pass: FFmpeg's own limit of 2 GB a table is no more than they may ask for.
_LARGE_BYTES = 2**26
# Old QuickTime sound counts the samples inside its packets: up to six a byte.
_SAMPLES_PER_BYTE = 16
# So many are never too many.
_FEW_SAMPLES = 2_000_000
_MOST_BOXES = 100_000
_BEGINNINGS = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx"}
_WITH_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex"}
# Where in them the number of entries stands.
_COUNTS = {b"stsz": 16, b"stz2": 16, b"trun": 12, b"elst": 12}


def has_too_many_samples(file: BinaryIO, size: int) -> bool:
    """Tell whether the tables of a file claim more samples than a file of this size can have."""
    if size >= _LARGE_BYTES:
        return False
    return _claimed_samples(file, size) > max(_SAMPLES_PER_BYTE * size, _FEW_SAMPLES)


def _claimed_samples(file: BinaryIO, size: int) -> int:
    total = place = 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        header = file.read(16)
        length, kind = _box(header, 0, size - place)
        if length < 8 or (place == 0 and kind not in _BEGINNINGS):
            break
        if kind in (b"moov", b"moof"):
            file.seek(place)
            total += _claims(file.read(length))
        place += length
    return total


def _claims(boxes: bytes) -> int:
    """The sum over all tracks: samples, each as often as there are edits.

    Boxes fill the box they are in, so that all of them stand one behind the other.
    """
    total = samples = edits = place = 0
    while True:
        length, kind = _box(boxes, place, len(boxes) - place)
        if length < 8 or kind in (b"trak", b"traf"):
            total += samples * max(edits, 1)
            samples = edits = 0
        if length < 8:
            return total
        if kind in _COUNTS and length >= _COUNTS[kind] + 4:
            (count,) = struct.unpack_from(">I", boxes, place + _COUNTS[kind])
            if kind == b"elst":
                edits += count
            else:
                samples += count
        place += 8 if kind in _WITH_BOXES else length


def _box(data: bytes, place: int, rest: int) -> tuple[int, bytes]:
    """Length and kind of the box that begins here; a length of 0 where there is none."""
    if len(data) < place + 8:
        return 0, b""
    length, kind = struct.unpack_from(">I4s", data, place)
    if length == 1 and len(data) >= place + 16:
        (length,) = struct.unpack_from(">Q", data, place + 8)
    return min(length or rest, rest), kind
