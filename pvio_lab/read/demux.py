"""A file becomes packets: opening it, picking the stream that ffmpeg picks, and one pass over its packets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
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

from ..errors import OpenError

Look = Callable[["Packet[Any]"], int]

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
    """Opens a local file, whatever its name looks like.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a directory.
        OpenError: It is no media file.
        PermissionError: It may not be read.
    """
    if os.path.isdir(path):
        raise IsADirectoryError(
            f"{path} is a directory; for a directory of images use ImageSequence or open_video"
        )
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no video file {path}")
    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise OpenError(f"{path} is empty: 0 bytes")
    except PermissionError as error:
        raise PermissionError(f"{path} may not be read: {error.strerror}") from error
    try:
        return av.open(f"file:{os.path.abspath(path)}", metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise OpenError(f"{path} cannot be opened as a video: {_words(error)}") from error


def pick_stream(container: InputContainer, path: str) -> VideoStream:
    """The video stream that the ffmpeg program picks: a default one, the largest picture, the first."""
    streams = [stream for stream in container.streams.video if isinstance(stream, VideoStream)]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        found = f"only {' and '.join(kinds)}" if kinds else "no streams at all"
        raise OpenError(f"there is no video stream in {path}: {found}")
    best = max(streams, key=_score)
    if best.codec_context is None:
        raise OpenError(f"the video in {path} has a codec that is not known here")
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
    """The same for several streams, of any kind, by their numbers in the file."""
    rows: dict[int, list[tuple[int, ...]]] = {index: [] for index in looks}
    trouble = None
    try:
        for packet in container.demux(*(container.streams[index] for index in looks)):
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
