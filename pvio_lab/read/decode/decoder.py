"""One decoder of PyAV: every frame carries the number of its packet, so none can pass for another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import av.error
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ...base import abandon, survive_forks
from ...errors import DecodeError, OpenError, printable
from .container import codec_options, open_container
from .packets import NO_TIME, Packets, StreamFacts

# Containers in which only a position in the file is sure to lead to a packet.
_SEEK_BY_PLACE = {"mpegts", "h264", "hevc", "vvc", "m4v", "mpegvideo"}
# Dropping this many packets is cheaper, and safer, than a seek.
NEAR_PACKETS = 64
# How many packets after a seek may be unknown before it counts as failed.
_MAX_STRANGERS = 64


class Damage(Exception):
    """An error of the decoder; with several threads it may have lost good frames with the bad one."""


class Lost(Exception):
    """Packets that come in another order after a seek than in the index; the decoder will not seek again."""


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
        stat = os.stat(path)
        return cls(path, os.path.abspath(path), (stat.st_dev, stat.st_ino), stat.st_size, stat.st_mtime_ns)

    def check(self) -> None:
        """Raise OpenError if there is another file now, FileNotFoundError if there is none."""
        if not os.path.exists(self.absolute):
            raise FileNotFoundError(f"{printable(self.path)} is not there any more")
        now = FileMark.of(self.absolute)
        if (now.inode, now.size, now.mtime_ns) != (self.inode, self.size, self.mtime_ns):
            raise OpenError(f"{printable(self.path)} was replaced while it was open; open it again")


class Decoder:
    """One open decoder. It never works ahead: each `step` feeds one packet and returns what comes out.

    Args:
        mark: The file, as it was indexed.
        stream: Which of its streams.
        packets: The table of its packets.
        threads: How many threads decode.
        is_tolerant: Go on after an error, and only note it in `damaged`.
        container: The file, if it is open already; it is closed by this decoder.
    """

    def __init__(
        self,
        mark: FileMark,
        stream: StreamFacts,
        packets: Packets,
        threads: int,
        *,
        is_tolerant: bool = False,
        container: InputContainer | None = None,
    ):
        self._mark, self._facts, self._packets = mark, stream, packets
        self._num_packets = len(packets)
        self.threads, self._is_tolerant = threads, is_tolerant
        self.next_packet = self._num_packets
        self.ended = True
        self.damaged: set[int] = set()
        # A palette comes only once, with the first packet.
        self._seekable = stream.pixel_format != "pal8"
        self._skipping = False
        self._container = container
        self._open()
        survive_forks(self)

    def close(self) -> None:
        """Close the file and free the decoder."""
        self._source: Iterator[Packet[VideoStream]] = iter(())
        if self._container:
            self._container.close()
            self._container = None
        self.ended = True

    def __del__(self) -> None:
        # Else the container would wait for the garbage collector, which may run first in a forked child,
        # where closing it hangs.
        self.close()

    def after_fork(self) -> None:
        """Abandon it: its threads are missing here, so not even the traceback of an error may free it."""
        abandon(self, self._container, self._context, self._source)

    def go_to(self, packet: int) -> None:
        """Make decoding begin with this packet, and drop what the decoder holds."""
        if self._colours() != self._first_colours:  # the decoder would keep those it has now
            self._reopen()
        if not self.ended and 0 <= packet - self.next_packet <= NEAR_PACKETS and self._drop_until(packet):
            self._context.flush_buffers()
        elif not (self._seekable and self._seek(packet)):
            self._reopen()
            if not self._drop_until(packet):
                raise DecodeError(
                    f"{printable(self._mark.path)} has changed while it was open: "
                    f"packet {packet} is not found"
                )
        self.ended = False

    def step(self, *, skip: bool = False) -> list[tuple[int, VideoFrame]]:
        """Feed one packet and return the frames that come out, each with the number of its packet.

        Args:
            skip: The frame of this packet may be left out, if no other frame needs it.

        Raises:
            Damage: Something cannot be decoded, and the decoder is not tolerant.
            Lost: The packets do not come as they should; `go_to` sets that right.
        """
        if skip != self._skipping:
            self._context.skip_frame = "NONREF" if skip else "DEFAULT"
            self._skipping = skip
        number = self.next_packet
        packet = self._pull()
        if packet is None:
            return self.flush()
        packet.pts = packet.dts = number
        return self._decode(packet, number)

    def flush(self) -> list[tuple[int, VideoFrame]]:
        """Return the frames that the decoder still holds, as if the file ended here."""
        self.ended = True
        return self._decode(None, self.next_packet - 1)

    def _decode(self, packet: Packet[VideoStream] | None, number: int) -> list[tuple[int, VideoFrame]]:
        frames: list[tuple[int, VideoFrame]] = []
        try:
            for frame in self._context.decode(packet):
                source = -1 if frame.pts is None else frame.pts
                frames.append((source, frame))
                if frame.is_corrupt:
                    self.damaged.add(source)
        except av.error.EOFError:
            pass
        except av.error.FFmpegError:
            self.damaged.add(number)
        if self.damaged and not self._is_tolerant:
            raise Damage
        return frames

    def _open(self) -> None:
        if self._container is None:
            self._mark.check()
            self._container = open_container(self._mark.absolute)
        stream = self._container.streams[self._facts.index]
        assert isinstance(stream, VideoStream)
        self._stream, self._context = stream, stream.codec_context
        if not self._context.is_open:
            prepare(self._context, self.threads, is_tolerant=self._is_tolerant)
        self._source = self._container.demux(self._stream)
        self._first_colours = self._colours()

    def _colours(self) -> tuple[int, int]:
        return self._context.color_range, self._context.colorspace

    def _reopen(self) -> None:
        assert self._container
        self._container.close()
        self._container = None
        self._open()
        self._skipping = False
        self.next_packet = 0

    def _pull(self) -> Packet[VideoStream] | None:
        """Return the next packet, or None at the end; it must be the one that the index has there."""
        packet = self._demux()
        if packet is None:
            return None
        number = self.next_packet
        if number >= self._num_packets or packet.size != self._packets.size[number]:
            self._seekable = False
            raise Lost
        self.next_packet += 1
        return packet

    def _demux(self) -> Packet[VideoStream] | None:
        try:
            return next((packet for packet in self._source if packet.size), None)
        except (
            av.error.FFmpegError,
            IndexError,
        ):  # indexing met the same error, so the index knows what is missing
            return None

    def _drop_until(self, packet: int) -> bool:
        try:
            while self.next_packet < packet:
                if self._pull() is None:
                    return False
        except Lost:
            return False
        return True

    def _seek(self, packet: int) -> bool:
        return any(self._land(offset, packet, by_place) for offset, by_place in self._targets(packet))

    def _targets(self, packet: int) -> Iterator[tuple[int, bool]]:
        """Yield offsets to seek to, the best first: in bytes if the second value is true, else in ticks."""
        assert self._container
        table = self._packets
        if not _SEEK_BY_PLACE.isdisjoint(self._facts.containers) and table.pos[packet] >= 0:
            yield int(table.pos[packet]), True
        for back in (0, NEAR_PACKETS // 4, NEAR_PACKETS):
            row = max(packet - back, 0)
            for time in dict.fromkeys((int(table.pts[row]), int(table.dts[row]))):
                if time != NO_TIME:
                    yield time, False

    def _land(self, offset: int, packet: int, by_place: bool) -> bool:
        """Seek, and go on to the packet; return False if it lands after it or at an unknown place."""
        assert self._container
        try:
            self._container.seek(offset, stream=self._stream, unsupported_byte_offset=by_place)
        except av.error.FFmpegError:
            return False
        self._source = self._container.demux(self._stream)
        for _ in range(_MAX_STRANGERS):
            found = self._demux()
            row = None if found is None else self._packets.find(found)
            if found is None or (row is not None and row > packet):
                return False
            if row is not None:
                return self._arrive(found, row, packet)
        return False

    def _arrive(self, found: Packet[VideoStream], row: int, packet: int) -> bool:
        """Go on from the first known packet after a seek to the wanted one; return False if it is lost."""
        self.next_packet = row
        self._source = chain([found], self._source)
        return packet - row <= 40 * NEAR_PACKETS and self._drop_until(packet)


def prepare(context: VideoCodecContext, threads: int, *, is_tolerant: bool = False) -> None:
    """Set up a decoder, before its first packet, such that its frames are those of the ffmpeg program."""
    context.thread_count, context.thread_type = threads, "AUTO" if threads > 1 else "SLICE"
    context.flags |= Flags.unaligned  # else a crop at the left is rounded
    # Without err_detect, some damage is only concealed.
    context.options = codec_options() | ({} if is_tolerant else {"err_detect": "explode"})
