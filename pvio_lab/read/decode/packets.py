"""The packets of a video: the stream that ffmpeg picks, its facts, and a table from one pass over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ...errors import OpenError, printable
from ..info import AudioInfo
from .bitstream import Look, look_for
from .container import check_size, open_container, text_of

# This many packets are never too many, no matter how small the file is.
_FEW_PACKETS = 100_000
# Containers that say at their beginning how long they are.
_WITH_LENGTH = {"mov", "matroska", "avi", "asf", "flv"}
# Sound may be cut in the middle of a packet, and some writers round to whole frames.
_SLACK_SECONDS = 0.5

NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing time or place in the tables below."""


@dataclass(frozen=True)
class StreamFacts:
    """Facts about a video stream that container and codec state before anything is decoded."""

    index: int
    """Its place in the file."""
    codec: str
    """The codec, as ffmpeg calls it."""
    containers: tuple[str, ...]
    """The names that ffmpeg has for the container."""
    pixel_format: str | None
    """The pixel format, if it is known already."""
    is_intra_only: bool
    """Every frame of this codec is complete in itself."""
    has_b_frames: bool
    """Frames may be shown in another order than they are stored in."""
    promised_frames: int
    """Number of frames in the header; 0 if unknown."""
    promised_seconds: float | None
    """Duration of the file in the header, if there is one."""
    start_seconds: float
    """Time at which the container begins."""
    time_base: float
    """Seconds in a tick."""
    rates: tuple[float, ...]
    """Frames a second, as container and codec have it; the most trusted first."""
    keyframe_table: tuple[bool, ...]
    """Keyframe or not, for each packet, from a table in the container; may be empty."""
    num_videos: int
    """Number of video streams in the file."""
    has_size: bool
    """The decoder has accepted the size of its pictures."""
    audio: AudioInfo | None
    """The sound of the file."""


@dataclass(frozen=True)
class Packets:
    """One row for each packet of a stream, in the order of the file: mostly one frame each."""

    pts: NDArray[np.int64]
    """Time at which its frame is shown, in ticks of the stream."""
    dts: NDArray[np.int64]
    """Time at which it is decoded, in ticks of the stream."""
    pos: NDArray[np.int64]
    """Position in the file."""
    size: NDArray[np.int64]
    """Its length in bytes."""
    is_key: NDArray[np.bool_]
    """The container or the parser calls it a keyframe."""
    is_discarded: NDArray[np.bool_]
    """Decoded and not shown, because of an edit list."""
    is_corrupt: NDArray[np.bool_]
    """The demuxer knows that part of it is missing."""
    duration: NDArray[np.int64]
    """Time for which its frame is shown, in ticks; 0 if unknown."""
    notes: NDArray[np.int64]
    """The note that a look inside has made, from `bitstream`."""
    trouble: str | None
    """Why the demuxer stopped before the end."""

    def __len__(self) -> int:
        return len(self.pts)


class HeaderCheck(NamedTuple):
    """The promises of a file's header, compared with its packets."""

    num_frames: int
    """Number of frames to be shown; 0 if the header has no reliable count."""
    trouble: str | None
    """A sentence, if the file ends before its time."""


def pick_stream(container: InputContainer, path: str) -> VideoStream:
    """Return the stream that the ffmpeg program picks: a default one, the largest picture, the first."""
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


def stream_facts(container: InputContainer, stream: VideoStream) -> StreamFacts:
    """Collect the facts that container and codec state."""
    context = stream.codec_context
    rates = (context.framerate, stream.guessed_rate, stream.average_rate)
    return StreamFacts(
        index=stream.index,
        codec=context.codec.canonical_name,
        containers=tuple(container.format.name.split(",")),
        pixel_format=pixel_format(context),
        is_intra_only=bool(context.codec.intra_only),
        has_b_frames=bool(context.has_b_frames),
        promised_frames=stream.frames,
        promised_seconds=_promised_seconds(container, stream),
        start_seconds=(container.start_time or 0) / av.time_base,
        time_base=float(stream.time_base or 1),
        rates=tuple(float(rate) for rate in rates if rate),
        keyframe_table=tuple(entry.is_keyframe for entry in stream.index_entries),
        num_videos=len(container.streams.video),
        has_size=bool(context.width),
        audio=_audio(container),
    )


def pixel_format(context: VideoCodecContext) -> str | None:
    """Return the pixel format, if it is known: where it is not, PyAV 17 crashes on `context.pix_fmt`."""
    return context.format.name if context.format else None


def _promised_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if container.duration is None:
        return None
    seconds = container.duration / av.time_base
    if container.format.name == "avi" and stream.average_rate:  # its count of frames includes gaps
        return max(seconds, float(stream.frames / stream.average_rate))
    return seconds


def _audio(container: InputContainer) -> AudioInfo | None:
    stream = next(iter(container.streams.audio), None)
    context = stream and stream.codec_context
    if context is None:
        return None
    return AudioInfo(
        channels=context.channels,
        codec=context.codec.canonical_name,
        sample_rate=context.sample_rate,
        bit_rate=context.bit_rate or None,
        bit_depth=context.format.bits if context.format else None,
        channel_layout=context.layout.name if context.layout else None,
    )


def read_video(container: InputContainer, path: str) -> tuple[StreamFacts, Packets]:
    """Return the facts and the packets of the stream that the ffmpeg program picks.

    Raises:
        OpenError: There is no video, or there are no frames in it.
    """
    stream = pick_stream(container, path)
    facts = stream_facts(container, stream)
    look = look_for(facts.codec, stream.codec_context.extradata)
    packets = read_streams(container, {facts.index: look})[facts.index]
    if not len(packets.pts):
        reason = f": {packets.trouble}" if packets.trouble else ""
        raise OpenError(f"there are no frames in {printable(path)}{reason}")
    return facts, packets


def read_streams(container: InputContainer, looks: Mapping[int, Look | None]) -> dict[int, Packets]:
    """Read the packets of some streams in one pass.

    Args:
        container: An open container, at its beginning.
        looks: For each stream, by its number in the file, a function that looks into its packets and returns
            a note on each, or None. Streams may be of any kind.

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
        pass  # the end: a stream has appeared halfway, which PyAV does not know
    except av.error.FFmpegError as error:
        trouble = text_of(error)
    return {index: _table(each, trouble) for index, each in rows.items()}


def _table(rows: list[tuple[int, ...]], trouble: str | None) -> Packets:
    pts, dts, pos, size, *marks, duration, notes = np.array(rows, np.int64).reshape(-1, 9).T.copy()
    is_key, is_discarded, is_corrupt = (mark.astype(np.bool_) for mark in marks)
    return Packets(pts, dts, pos, size, is_key, is_discarded, is_corrupt, duration, notes, trouble)


def check_header(path: str, facts: StreamFacts, packets: Packets) -> HeaderCheck:
    """Compare the header of a file with its packets, as a file may be cut short; nothing is decoded."""
    if _WITH_LENGTH.isdisjoint(facts.containers):
        return HeaderCheck(0, None)
    count = max(facts.promised_frames - int(packets.is_discarded.sum()), 0)
    promised, begin = facts.promised_seconds or 0.0, facts.start_seconds
    end = _end_ticks(packets) * facts.time_base
    if promised - (end - begin) > _SLACK_SECONDS:
        end = max(end, _end_of_others(path, facts.index))  # the sound may be longer
    found = end - begin
    short = f"the file is cut short: its header promises {promised:.2f} s, and it ends after {found:.2f} s"
    is_cut = promised - found > _SLACK_SECONDS
    return HeaderCheck(0 if "avi" in facts.containers else count, short if is_cut else None)


def _end_ticks(packets: Packets) -> int:
    times = np.where(packets.pts == NO_TIME, packets.dts, packets.pts)
    return int((times + packets.duration)[times != NO_TIME].max(initial=0))


def _end_of_others(path: str, index: int) -> float:
    """Return when the last packet of all other streams ends, in seconds."""
    with open_container(path) as container:
        others = {stream.index: stream for stream in container.streams if stream.index != index}
        tables = read_streams(container, dict.fromkeys(others)) if others else {}
        ends = (_end_ticks(table) * float(others[at].time_base or 0) for at, table in tables.items())
        return max(ends, default=0.0)
