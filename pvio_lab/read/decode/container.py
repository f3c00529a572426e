"""A file becomes packets: opening it, picking the stream that ffmpeg picks, and one pass over its packets."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...base import odd_kind, open_regular
from ...errors import OpenError, printable
from .limits import ONE_VIDEO, check_size, codec_options, has_too_many_samples, refusal

Look = Callable[["Packet[Any]"], int]

# The signs that have a meaning in the names of images.
_PATTERN = re.compile(r"[%*?{\[]")

# So many packets are never too many, whatever the file's size.
_FEW_PACKETS = 100_000

NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing time or place in the tables below."""


@dataclass(frozen=True)
class Packets:
    """One row for each packet of a video stream, in the order of the file: mostly one frame each."""

    pts: NDArray[np.int64]
    """When its frame is shown, in ticks of the stream."""
    dts: NDArray[np.int64]
    """When it is decoded, in ticks of the stream."""
    pos: NDArray[np.int64]
    """Where it lies in the file."""
    size: NDArray[np.int64]
    """Its length in bytes."""
    is_key: NDArray[np.bool_]
    """The container or the parser calls it a keyframe."""
    is_discarded: NDArray[np.bool_]
    """Decoded and not shown: an edit list says so."""
    is_corrupt: NDArray[np.bool_]
    """The demuxer knows that part of it is missing."""
    duration: NDArray[np.int64]
    """How long its frame is shown, in ticks; 0 where that is not known."""
    notes: NDArray[np.int64]
    """What a look into it found, as the caller of `read_packets` counts."""
    trouble: str | None
    """Why the demuxer stopped before the end."""

    def __len__(self) -> int:
        return len(self.pts)

    def find(self, packet: Packet[VideoStream]) -> int | None:
        """The row of a packet that was just demuxed, or None where that is not certain."""
        size = self.size == packet.size
        if packet.pos is not None and packet.pos >= 0:
            rows = np.flatnonzero((self.pos == packet.pos) & size)
            if rows.size == 1:
                return int(rows[0])
        if packet.dts is None and packet.pts is None:
            return None
        same_time = (self.dts == _ticks(packet.dts)) & (self.pts == _ticks(packet.pts))
        rows = np.flatnonzero(same_time & size)
        return int(rows[0]) if rows.size == 1 else None


def open_container(path: str) -> InputContainer:
    """Open a local file, whatever its name looks like; no other file and no address that it names.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a directory.
        OpenError: It is no media file, or one that names others, or no regular file.
        PermissionError: It may not be read.
    """
    name = printable(path)
    _check_file(path, name)
    options = open_options("file")
    try:
        container: InputContainer = av.open(f"file:{os.path.abspath(path)}", **options)
        return container
    except (av.error.FFmpegError, ValueError) as error:
        found = refusal(path)
        if found is None and (isinstance(error, av.error.ArgumentError) or _PATTERN.search(path)):
            with suppress(av.error.FFmpegError, ValueError):
                return _open_without_name(path)
        raise OpenError(f"{name} {found or _why_not(error)}") from error


def open_options(protocol: str) -> dict[str, Any]:
    """Return the arguments of `av.open` under which FFmpeg reads one file, and none that this one names.

    Args:
        protocol: How FFmpeg gets at its bytes: "file", say.
    """
    return {
        "metadata_errors": "replace",
        "options": codec_options(),
        "container_options": {"format_whitelist": ONE_VIDEO, "protocol_whitelist": protocol},
    }


def _check_file(path: str, name: str) -> None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise FileNotFoundError(f"there is no video file {name}") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(
            f"{name} is a directory; for a directory of images use ImageSequence or open_video"
        )
    kind, size = odd_kind(status.st_mode), status.st_size
    if kind is not None:
        raise OpenError(
            f"{name} is {kind}, and only regular files are read; copy what comes out of it to one"
        )
    if not size:
        raise OpenError(f"{name} is empty: 0 bytes")
    try:
        with open_regular(path) as file:
            if has_too_many_samples(file, size):
                raise OpenError(
                    f"{name} claims more samples than {size} bytes can hold: its tables are wrong"
                )
    except PermissionError as error:
        raise PermissionError(f"{name} may not be read: {error.strerror}") from error


def _why_not(error: Exception) -> str:
    if isinstance(error, av.error.ArgumentError):  # what FFmpeg says to a kind of file that is not allowed
        return "cannot be opened as a video: FFmpeg takes it for a text, a list of other files, or the like"
    return f"cannot be opened as a video: {_words(error)}"


def _open_without_name(path: str) -> InputContainer:
    """Open what FFmpeg takes for one of many images because of its name, or for a pattern that means many."""
    with open_regular(path) as file:
        options = open_options("fd")
        options["container_options"]["fd"] = str(file.fileno())
        container: InputContainer = av.open("fd:", **options)
        return container


def pick_stream(container: InputContainer, path: str) -> VideoStream:
    """The video stream that the ffmpeg program picks: a default one, the largest picture, the first."""
    streams = [stream for stream in container.streams.video if isinstance(stream, VideoStream)]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        found = f"only {' and '.join(kinds)}" if kinds else "no streams at all"
        raise OpenError(f"there is no video stream in {printable(path)}: {found}")
    best = max(streams, key=_score)
    if best.codec_context is None:
        raise OpenError(f"the video in {printable(path)} has a codec that is not known here")
    check_size(best.codec_context.width, best.codec_context.height, path)
    return best


def _score(stream: VideoStream) -> float:
    disposition = stream.disposition
    if disposition & Disposition.attached_pic:
        return 1
    area = (stream.codec_context.width * stream.codec_context.height) if stream.codec_context else 0
    return area + 5e6 * bool(disposition & Disposition.default)


def read_packets(container: InputContainer, stream: VideoStream, look: Look | None = None) -> Packets:
    """One pass over the packets; `look` may note a number for each, from what is inside."""
    return read_streams(container, {stream.index: look})[stream.index]


def read_streams(container: InputContainer, looks: Mapping[int, Look | None]) -> dict[int, Packets]:
    """The same for several streams, of any kind, by their numbers in the file.

    Raises:
        OpenError: There are more packets than bytes: the tables of a tiny file can claim billions.
    """
    rows: dict[int, list[tuple[int, ...]]] = {index: [] for index in looks}
    trouble, most = None, max(container.size, _FEW_PACKETS)
    try:
        for number, packet in enumerate(container.demux(*(container.streams[index] for index in looks))):
            if number > most:
                name = printable(container.name.removeprefix("file:"))
                raise OpenError(
                    f"{name} claims more than {most} packets, and has {container.size} bytes: "
                    "its tables are wrong"
                )
            if packet.size:
                index, pts, dts, pos = packet.stream_index, packet.pts, packet.dts, packet.pos
                look = looks[index]
                rows[index].append(
                    (
                        NO_TIME if pts is None else pts,
                        NO_TIME if dts is None else dts,
                        NO_TIME if pos is None else pos,
                        packet.size,
                        packet.is_keyframe,
                        packet.is_discard,
                        packet.is_corrupt,
                        packet.duration or 0,
                        look(packet) if look else 0,
                    )
                )
    except IndexError:
        pass  # at the end, where a stream has appeared on the way, which PyAV does not know
    except av.error.FFmpegError as error:
        trouble = _words(error)
    return {index: _table(each, trouble) for index, each in rows.items()}


def _table(rows: list[tuple[int, ...]], trouble: str | None) -> Packets:
    columns = np.array(rows, np.int64).reshape(-1, 9).T.copy()
    marks = columns[4:7].astype(np.bool_)
    return Packets(
        pts=columns[0],
        dts=columns[1],
        pos=columns[2],
        size=columns[3],
        is_key=marks[0],
        is_discarded=marks[1],
        is_corrupt=marks[2],
        duration=columns[7],
        notes=columns[8],
        trouble=trouble,
    )


def _ticks(time: int | None) -> int:
    return NO_TIME if time is None else time


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
