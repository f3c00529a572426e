"""Containers, opened within limits: a few bytes may name other files, or claim what fills the memory."""

from __future__ import annotations

import os
import re
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import av
import av.error
from av.container import InputContainer

from ...base import odd_kind, open_regular
from ...errors import OpenError, printable

# Characters with a meaning in the names of image sequences.
_PATTERN = re.compile(r"[%*?{\[]")

# FFmpeg's demuxers. Left out: lists of other files and addresses (hls, dash, concat, sdp, imf, rtsp,
# webm_dash_manifest), demuxers that find their files themselves (image2, mlv, vobsub), scripts (avisynth,
# vapoursynth, lavfi), drawings that may name pictures (svg_pipe), devices, and those that take any text for
# a picture (tty, bin, adf, idf, xbin).
_CONTAINERS = """
    mov matroska avi flv live_flv kux mpegts mpegtsraw mpeg ogg asf asf_o mxf mxg nut wtv rm ivr dv gxf
    gif apng avif cine dhav dxa filmstrip fits frm ifv lmlm4 luodat lxf mgsts mods moflex mtv nc nsv nuv
    pdv pmp pva r3d ser smjpeg swf ty usm vividas vivo
"""
_RAW_STREAMS = """
    apv av1 avs2 avs3 cavsvideo dirac dnxhd evc h261 h263 h264 hevc ingenient ipu ivf m4v mjpeg
    mjpeg_2000 mpegvideo mpjpeg obu vc1 vc1test vvc yuv4mpegpipe
"""
_GAMES = """
    3dostr 4xm anm avs bethsoftvid bfi bink bmv c93 cdg cdxl dsicin ea film_cpk flic gdv hnm idcin iff
    ipmovie iss iv8 jv mm mv mvi paf psxstr rl2 roq rpl sdr2 sga siff smk smush thp tiertexseq tmv txd
    vmd wc3movie wsvqa xmv yop
"""
_PICTURES = """
    alias_pix bmp_pipe brender_pix cri_pipe dds_pipe dpx_pipe exr_pipe gem_pipe gif_pipe hdr_pipe ico
    j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe pcx_pipe
    pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe
    qdraw_pipe qoi_pipe sgi_pipe sunrast_pipe tiff_pipe vbn_pipe webp_pipe webp webp_anim xbm_pipe
    xpm_pipe xwd_pipe
"""
# They may hold a cover picture; if not, the error can say what they are.
_SOUND = "aac ac3 aiff amr ape au caf dts dtshd eac3 flac mlp mp3 oma tak truehd tta voc w64 wav wv"

ONE_VIDEO = ",".join(f"{_CONTAINERS} {_RAW_STREAMS} {_GAMES} {_PICTURES} {_SOUND}".split())
"""The demuxers that may be used, as a value of FFmpeg's `format_whitelist`."""

# Signs by which lists of other files are recognised.
_LISTS = {
    b"#EXTM3U": "an HLS or M3U playlist",
    b"ffconcat version": "an ffconcat list",
    b"<MPD": "a DASH manifest",
    b"<SmoothStreamingMedia": "a Smooth Streaming manifest",
    b"<CompositionPlaylist": "an IMF playlist",
    b"<AssetMap": "an IMF asset map",
    b"c=IN IP": "an SDP description of a network stream",
    b"[playlist]": "a PLS playlist",
    b"[Reference]": "an ASX playlist",
    b"<asx": "an ASX playlist",
    b"<smil": "a SMIL playlist",
    b"rtsp://": "a list of network streams",
}
_HEAD_BYTES = 4096

MAX_PIXELS_VARIABLE = "PVIO_LAB_MAX_PIXELS"
# 16384x8192: more than any camera has.
_MAX_PIXELS = 2**27
_ROUNDING_PIXELS = 64 * 2**16

# Larger files pass: FFmpeg's own limit of 2 GB a table is no more than they may ask for.
_LARGE_BYTES = 2**26
# Old QuickTime sound counts the samples inside its packets: up to six per byte.
_SAMPLES_PER_BYTE = 16
# This many are never too many.
_FEW_SAMPLES = 2_000_000
_MOST_BOXES = 100_000
_BEGINNINGS = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx"}
_WITH_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex"}
# Offset of the number of entries in a box.
_COUNTS = {b"stsz": 16, b"stz2": 16, b"trun": 12, b"elst": 12}


def open_container(path: str) -> InputContainer:
    """Open a local file, no matter what its name looks like, but no other file or address that it names.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a directory.
        OpenError: It is not a media file, or one that names others, or no regular file.
        PermissionError: It may not be read.
    """
    _check_file(path)
    max_pixels()  # a wrong value of the variable must not be blamed on the file
    try:
        return open_limited(f"file:{os.path.abspath(path)}", "file")
    except (av.error.FFmpegError, ValueError) as error:
        found = _list_clause(path)
        # FFmpeg may take the name for one of many images, or for a pattern that means many.
        if found is None and (isinstance(error, av.error.ArgumentError) or _PATTERN.search(path)):
            with suppress(av.error.FFmpegError, ValueError), open_regular(path) as file:
                return open_limited("fd:", "fd", fd=str(file.fileno()))
        raise OpenError(f"{printable(path)} {found or _why_not(error)}") from error


def open_limited(source: Any, protocol: str, **options: str) -> InputContainer:
    """Open a container such that FFmpeg reads this one source, and none that it names.

    Args:
        source: An address, or an object with `read`.
        protocol: How FFmpeg gets at its bytes: "file", say.
        **options: More options for the container.
    """
    limits = {"format_whitelist": ONE_VIDEO, "protocol_whitelist": protocol}
    container: InputContainer = av.open(
        source,
        "r",
        metadata_errors="replace",
        options=codec_options(),
        container_options=limits | options,
    )
    return container


@dataclass(frozen=True)
class FileMark:
    """The identity of a file: whether it still is the one that was indexed."""

    path: str
    """Its name, as the user gave it."""
    absolute: str
    """The same, independent of the current folder."""
    inode: tuple[int, int]
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str) -> FileMark:
        """Return the mark of the file as it is now."""
        now = os.stat(path)
        return cls(path, os.path.abspath(path), (now.st_dev, now.st_ino), now.st_size, now.st_mtime_ns)

    @classmethod
    def open(cls, path: str) -> tuple[FileMark, InputContainer]:
        """Open a file, and return its mark, too."""
        container = open_container(path)
        try:
            return cls.of(path), container
        except BaseException:
            container.close()
            raise

    def reopen(self) -> InputContainer:
        """Open the file again; raise FileNotFoundError if it is gone, OpenError if there is another one."""
        if not os.path.exists(self.absolute):
            raise FileNotFoundError(f"{printable(self.path)} is not there any more")
        if replace(FileMark.of(self.absolute), path=self.path) != self:
            raise OpenError(f"{printable(self.path)} was replaced while it was open; open it again")
        return open_container(self.absolute)


def _check_file(path: str) -> None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise FileNotFoundError(f"there is no video file {printable(path)}") from None
    mode, size = status.st_mode, status.st_size
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(
            f"{printable(path)} is a directory; for a directory of images use ImageSequence or open_video"
        )
    if not stat.S_ISREG(mode):
        raise OpenError(
            f"{printable(path)} is {odd_kind(mode)}, and only regular files are read; "
            "copy what comes out of it to one"
        )
    if not size:
        raise OpenError(f"{printable(path)} is empty: 0 bytes")
    try:
        with open_regular(path) as file:
            most = max(_SAMPLES_PER_BYTE * size, _FEW_SAMPLES)
            if size < _LARGE_BYTES and _claimed_samples(file, size) > most:
                raise OpenError(
                    f"{printable(path)} claims more samples than {size} bytes can hold: its tables are wrong"
                )
    except PermissionError as error:
        raise PermissionError(f"{printable(path)} may not be read: {error.strerror}") from error


def _why_not(error: Exception) -> str:
    if isinstance(error, av.error.ArgumentError):  # what FFmpeg says to a kind of file that is not allowed
        return "cannot be opened as a video: FFmpeg takes it for a text, a list of other files, or the like"
    return f"cannot be opened as a video: {text_of(error)}"


def text_of(error: Exception) -> str:
    """Return the text of an error of FFmpeg."""
    return getattr(error, "strerror", None) or str(error)


def _list_clause(path: str) -> str | None:
    """Return a clause about a file that is a list of others, or None if it seems to be something else."""
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    kind = next((kind for sign, kind in _LISTS.items() if sign in head), None)
    if kind is None:
        return None
    return (
        f"is {kind}: it names other files, and these are never opened; give the name of a video file itself"
    )


def max_pixels() -> int:
    """Return the largest number of pixels of a frame: `$PVIO_LAB_MAX_PIXELS`, or 134,217,728.

    An environment variable reaches child processes and workers, too.

    Raises:
        ValueError: The variable is not a number above 0.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE)
    if not text:
        return _MAX_PIXELS
    if not re.fullmatch("[0-9]{1,18}", text) or not int(text):
        raise ValueError(f"{MAX_PIXELS_VARIABLE}={text!r} must be a number of pixels, such as {_MAX_PIXELS}")
    return int(text)


def codec_options() -> dict[str, str]:
    """Return the options under which a decoder refuses frames that are too large, before it asks for memory.

    FFmpeg counts rows rounded up to 64 pixels, so the limit is a little higher.
    """
    return {"max_pixels": str(max_pixels() + _ROUNDING_PIXELS)}


def check_size(width: int, height: int, path: str | os.PathLike[str]) -> None:
    """Refuse frames that are too large.

    >>> check_size(16000, 16000, "bomb.gif")
    Traceback (most recent call last):
    pvio_lab.errors.OpenError: the frames of bomb.gif are 16000x16000, more than 134217728 pixels; \
PVIO_LAB_MAX_PIXELS=256000000 in the environment allows them

    Raises:
        OpenError: They have more than `max_pixels()` pixels.
    """
    limit = max_pixels()
    if width * height > limit:
        raise OpenError(
            f"the frames of {printable(path)} are {width}x{height}, more than {limit} pixels; "
            f"{MAX_PIXELS_VARIABLE}={width * height} in the environment allows them"
        )


def _claimed_samples(file: BinaryIO, size: int) -> int:
    """Return how many samples the tables of an mp4 claim; 0 for other files."""
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
    """Return the sum over all tracks of their samples, each counted once per edit.

    Boxes fill the box they are in, so all of them lie one behind the other.
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
    """Return length and kind of the box that begins here; a length of 0 if there is none."""
    if len(data) < place + 8:
        return 0, b""
    length, kind = struct.unpack_from(">I4s", data, place)
    if length == 1 and len(data) >= place + 16:
        (length,) = struct.unpack_from(">Q", data, place + 8)
    return min(length or rest, rest), kind
