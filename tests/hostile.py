"""Files made to do harm: they name other files, or claim more than a file of their size can hold."""

from __future__ import annotations

import struct
import zlib

from truth_frames import SAMPLES

CLIP = SAMPLES / "gop2.mp4"
STREAM = SAMPLES / "stream.ts"
SDP = "v=0\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
HLS = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{STREAM}\n#EXT-X-ENDLIST\n"

# Name of the file -> its text, and a word that the error contains.
LISTS = {
    "hls.m3u8": (HLS, "HLS"),
    "endless.m3u8": (HLS.replace("#EXT-X-ENDLIST\n", ""), "HLS"),
    "hls.mp4": (HLS, "HLS"),
    "list.ffconcat": (f"ffconcat version 1.0\nfile {STREAM}\n", "ffconcat"),
    "list.mp4": (f"ffconcat version 1.0\nfile {STREAM}\n", "ffconcat"),
    "dash.mpd": (
        f'<?xml version="1.0"?>\n<MPD type="static" mediaPresentationDuration="PT2S"><Period><AdaptationSet>'
        f'<Representation id="1" mimeType="video/mp4"><BaseURL>{CLIP}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "DASH",
    ),
    "stream.sdp": (SDP, "SDP"),
    "hidden.mkv": ("\x1aE\xdf\xa3\n" + SDP, "SDP"),
    "letter.txt": ("Dear reader,\nthis is not a video.\n" * 50, "text"),
    "talk.json": ('{"captions":[{"duration":1000,"content":"a","startOfParagraph":true,"startTime":0}]}', ""),
}


def _box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + kind + data


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, _u32(flags), *parts)


def _u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def mp4(
    *,
    count: int = 1,
    size: int = 1,
    per_chunk: int | None = None,
    chunks: int = 1,
    edits: int = 0,
    tracks: int = 1,
    fragment: bytes = b"",
    dref: bytes | None = None,
) -> bytes:
    """Return an MP4 file of JPEG pictures, with tables of any kind."""
    matrix = _u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    per_chunk = count if per_chunk is None else per_chunk
    entry = _box(
        b"jpeg",
        struct.pack(">6xH16xHHIIIH32xHh", 1, 64, 64, 0x480000, 0x480000, 0, 1, 24, -1),
    )
    fragments = _box(b"mvex", _full(b"trex", _u32(1, 1, 40, 1, 0))) if fragment else b""

    def moov(place: int) -> bytes:
        table = _box(
            b"stbl",
            _full(b"stsd", _u32(1), entry),
            _full(b"stts", _u32(1, count, 40)),
            _full(b"stsc", _u32(1, 1, per_chunk, 1)),
            _full(b"stsz", _u32(size, count)),
            _full(b"stco", _u32(chunks), _u32(place) * chunks),
        )
        data = _box(b"dinf", _full(b"dref", _u32(1), dref or _full(b"url ", flags=1)))
        media = _box(
            b"mdia",
            _full(b"mdhd", _u32(0, 0, 1000, 1000, 0x55C40000)),
            _full(b"hdlr", _u32(0), b"vide", bytes(13)),
            _box(b"minf", _full(b"vmhd", bytes(8), flags=1), data, table),
        )
        list_of_edits = _full(b"elst", _u32(edits), _u32(4_000_000, 0, 0x10000) * edits)
        edit = _box(b"edts", list_of_edits) if edits else b""
        head = _full(b"mvhd", _u32(0, 0, 1000, 1000, 0x10000), bytes(12), matrix, bytes(24), _u32(2))
        track = [
            _full(b"tkhd", _u32(0, 0, i + 1, 0, 1000), bytes(16), matrix, _u32(64 << 16, 64 << 16), flags=3)
            for i in range(tracks)
        ]
        return _box(b"moov", head, *(_box(b"trak", each, edit, media) for each in track), fragments)

    kind = _box(b"ftyp", b"isom", _u32(512), b"isommp41")
    place = len(kind) + len(moov(0)) + len(fragment) + 8
    return kind + moov(place) + fragment + _box(b"mdat", bytes(300))


def run_of_samples(count: int) -> bytes:
    """Return a fragment that claims this many samples in a few bytes."""
    run = _full(b"trun", _u32(count))
    return _box(b"moof", _full(b"mfhd", _u32(1)), _box(b"traf", _full(b"tfhd", _u32(1), flags=0x20000), run))


def alias(path: str) -> bytes:
    """Return a QuickTime data reference to another file."""
    name = path.encode()
    volume = b"\4root" + bytes(23)
    head = bytes(10) + volume + bytes(12) + b"\4file" + bytes(59) + bytes(36)
    text = struct.pack(">hH", 2, len(name)) + name + b"\0" * (len(name) % 2)
    return _full(b"alis", head + text + struct.pack(">hH", -1, 0))


def gif(width: int, height: int) -> bytes:
    """Return a GIF of a few bytes that claims a picture of this size."""
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + size + b"\0\2\2\x4c\1\0;"


def png(width: int, height: int) -> bytes:
    """Return a PNG file with a black picture of this size, or only its beginning."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(min((3 * width + 1) * height, 100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


TABLES = {
    "samples.mp4": mp4(count=80_000_000),
    "most_samples.mp4": mp4(count=2**32 - 1),
    "tracks.mp4": mp4(count=20_000_000, tracks=8),
    "edits.mp4": mp4(count=100_000, edits=20_000),
    "run.mp4": mp4(count=0, chunks=0, fragment=run_of_samples(80_000_000)),
    "chunks.mp4": mp4(count=200_000, per_chunk=200, chunks=1000),
}
"""Files whose tables claim more than they can hold."""

LARGE = {
    "large.gif": gif(16000, 16000),
    "large.png": png(16000, 16000),
    "large.y4m": b"YUV4MPEG2 W16000 H16000 F25:1 C420\nFRAME\n" + bytes(1000),
}
"""Files with one picture each that would take gigabytes."""

ALL = {
    **{name: text.encode("latin-1") for name, (text, _) in LISTS.items()},
    **TABLES,
    **LARGE,
    "reference.mov": mp4(size=100, dref=alias(str(CLIP))),
}
