"""An mp4 with its table of frames before the frames, as servers need it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_WITH_OFFSETS = {b"stco": "I", b"co64": "Q"}


def faststart(source: Path, target: Path) -> Path:
    """Write the same video with `moov` right after `ftyp`; in the source it must come after the frames."""
    data = bytearray(source.read_bytes())
    places = {kind: (begin, size) for kind, begin, size in _boxes(data, 0, len(data))}
    begin, size = places[b"moov"]
    after_type = places[b"ftyp"][1]
    table = data[begin : begin + size]
    _shift(table, 8, size, size)
    target.write_bytes(data[:after_type] + table + data[after_type:begin] + data[begin + size :])
    return target


def _boxes(data: bytearray, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while begin < end:
        size = struct.unpack_from(">I", data, begin)[0]
        yield bytes(data[begin + 4 : begin + 8]), begin, size
        begin += size


def _shift(table: bytearray, begin: int, end: int, by: int) -> None:
    """Add `by` to the offset of every frame."""
    for kind, place, size in _boxes(table, begin, end):
        if kind in (b"trak", b"mdia", b"minf", b"stbl"):
            _shift(table, place + 8, place + size, by)
        elif kind in _WITH_OFFSETS:
            form = f">{struct.unpack_from('>I', table, place + 12)[0]}{_WITH_OFFSETS[kind]}"
            offsets = struct.unpack_from(form, table, place + 16)
            struct.pack_into(form, table, place + 16, *(offset + by for offset in offsets))
