"""The decoder of PyAV: every frame carries the number of its packet, so none can pass for another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from itertools import chain

import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ...base import abandon, survive_forks
from ...errors import DecodeError, printable
from .container import FileMark, codec_options
from .order import Order, find_order
from .packets import NO_TIME, Packets, StreamFacts

# Containers in which only a position in the file is sure to lead to a packet.
_SEEK_BY_PLACE = {"mpegts", "h264", "hevc", "vvc", "m4v", "mpegvideo"}
# Dropping this many packets is cheaper, and safer, than a seek.
_NEAR_PACKETS = 64
# How many packets after a seek may be unknown before it counts as failed.
_MAX_STRANGERS = 64


class Damage(Exception):
    """An error of the decoder; with several threads it may have lost good frames with the bad one."""


class Lost(Exception):
    """Packets that come in another order after a seek than in the index; the decoder will not seek again."""


def prepare(context: VideoCodecContext, threads: int, *, is_tolerant: bool = False) -> None:
    """Set up a decoder, before its first packet, such that its frames are those of the ffmpeg program."""
    context.thread_count, context.thread_type = threads, "AUTO" if threads > 1 else "SLICE"
    context.flags |= Flags.unaligned  # else a crop at the left is rounded
    # Without err_detect, some damage is only concealed.
    context.options = codec_options() | ({} if is_tolerant else {"err_detect": "explode"})


def learn_order(mark: FileMark, packets: Packets, facts: StreamFacts, threads: int) -> Order:
    """Find the display order of a video file; decodes only where the packets leave it open."""
    return find_order(packets, facts, partial(decode_range, mark, facts, packets, threads))


def decode_range(
    mark: FileMark, facts: StreamFacts, packets: Packets, threads: int, first: int, last: int
) -> list[int]:
    """Return the packets of the frames that come out when packets `first` to `last` are decoded."""
    with suppress(Damage), closing(Decoder(mark, facts, packets, threads)) as decoder:
        shown = decoder.shown(first, last)
        if threads == 1 or len(shown) >= last - first:
            return shown  # several threads may silently lose good frames at the end with a bad one
    with closing(Decoder(mark, facts, packets, 1, is_tolerant=True)) as decoder:
        return decoder.shown(first, last)


class Decoder:
    """A decoder of packets. It never works ahead: each `step` feeds one packet and returns what comes out.

    Args:
        mark: The file, as it was indexed.
        stream: Which of its streams.
        packets: The table of its packets.
        threads: How many threads decode.
        is_tolerant: Continue after an error.
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
        self._threads, self._is_tolerant = threads, is_tolerant
        # A palette comes only once, with the first packet.
        self._seekable = stream.pixel_format != "pal8"
        self._container = container
        self._stream: VideoStream | None = None
        self._source: Iterator[Packet[VideoStream]] = iter(())
        self._is_damaged = self._skipping = False
        self.next_packet, self.ended = len(packets.pts), True
        survive_forks(self)

    def close(self) -> None:
        """Close the file and free the decoder, until the next `go_to`."""
        self._source, self._stream = iter(()), None
        if self._container:
            self._container.close()
            self._container = None
        self.ended, self._is_damaged = True, False

    def __del__(self) -> None:
        # Else the container would wait for the garbage collector, which may run first in a forked child,
        # where closing it hangs.
        self.close()

    def after_fork(self) -> None:
        """Abandon what is open: its threads are missing here, so nothing may free it."""
        abandon(self._container, self._source, self._stream)
        self._container = None
        self.close()

    def go_to(self, packet: int) -> None:
        """Make decoding begin with this packet, and drop what the decoder holds."""
        if self._stream is None:
            self._open()
        elif self._colours() != self._first_colours:  # the decoder would keep those it has now
            self._reopen()
        if not self.ended and 0 <= packet - self.next_packet <= _NEAR_PACKETS and self._drop_until(packet):
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
        packet = self._pull()
        if packet is None:
            return self.flush()
        packet.pts = packet.dts = self.next_packet - 1
        return self._decode(packet)

    def flush(self) -> list[tuple[int, VideoFrame]]:
        """Return the frames that the decoder still holds, as if the file ended here."""
        self.ended = True
        return self.drain()

    def drain(self) -> list[tuple[int, VideoFrame]]:
        """Return the frames that the decoder still holds; `go_to` must come before the next step."""
        return self._decode(None)

    def shown(self, first: int, last: int) -> list[int]:
        """See `decode_range`."""
        shown: list[int] = []
        for _ in range(2):
            with suppress(Lost):
                shown.clear()
                self.go_to(first)
                while self.next_packet < last and not self.ended:
                    shown += (number for number, _ in self.step())
                if not self.ended:
                    shown += (number for number, _ in self.flush())
                break
        return shown

    def _decode(self, packet: Packet[VideoStream] | None) -> list[tuple[int, VideoFrame]]:
        frames: list[tuple[int, VideoFrame]] = []
        try:
            for frame in self._context.decode(packet):
                frames.append((-1 if frame.pts is None else frame.pts, frame))
                self._is_damaged |= bool(frame.is_corrupt)
        except av.error.EOFError:
            pass
        except av.error.FFmpegError:
            self._is_damaged = True
        if self._is_damaged and not self._is_tolerant:
            raise Damage
        return frames

    def _open(self) -> None:
        if self._container is None:
            self._container = self._mark.reopen()
        stream = self._container.streams[self._facts.index]
        assert isinstance(stream, VideoStream)
        self._stream, self._source = stream, self._container.demux(stream)
        prepare(self._context, self._threads, is_tolerant=self._is_tolerant)
        self._first_colours = self._colours()
        self._skipping = False

    @property
    def _context(self) -> VideoCodecContext:
        assert self._stream
        return self._stream.codec_context

    def _colours(self) -> tuple[int, int]:
        return self._context.color_range, self._context.colorspace

    def _reopen(self) -> None:
        assert self._container
        self._container.close()
        self._container = self._stream = None
        self._open()
        self.next_packet = 0

    def _pull(self) -> Packet[VideoStream] | None:
        """Return the next packet, or None at the end; it must be the one that the index has there."""
        packet, sizes = self._demux(), self._packets.size
        if packet is None:
            return None
        if self.next_packet >= sizes.size or packet.size != sizes[self.next_packet]:
            self._seekable = False
            raise Lost
        self.next_packet += 1
        return packet

    def _demux(self) -> Packet[VideoStream] | None:
        try:
            return next((packet for packet in self._source if packet.size), None)
        except (av.error.FFmpegError, IndexError):
            return None  # indexing met the same error, so the index knows what is missing

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
        table = self._packets
        if not _SEEK_BY_PLACE.isdisjoint(self._facts.containers) and table.pos[packet] >= 0:
            yield int(table.pos[packet]), True
        for back in (0, _NEAR_PACKETS // 4, _NEAR_PACKETS):
            row = max(packet - back, 0)
            for ticks in dict.fromkeys((int(table.pts[row]), int(table.dts[row]))):
                if ticks != NO_TIME:
                    yield ticks, False

    def _land(self, offset: int, packet: int, by_place: bool) -> bool:
        """Seek, and continue to the packet; return False if it lands after it or at an unknown place."""
        assert self._container
        assert self._stream
        try:
            self._container.seek(offset, stream=self._stream, unsupported_byte_offset=by_place)
        except av.error.FFmpegError:
            return False
        self._source = self._container.demux(self._stream)
        for _ in range(_MAX_STRANGERS):
            found = self._demux()
            row = None if found is None else self._row_of(found)
            if found is None or (row is not None and row > packet):
                return False
            if row is not None:
                self.next_packet, self._source = row, chain([found], self._source)
                return packet - row <= 40 * _NEAR_PACKETS and self._drop_until(packet)
        return False

    def _row_of(self, packet: Packet[VideoStream]) -> int | None:
        """Return the number of a packet that was just demuxed, or None if that is not certain."""
        table = self._packets
        size = table.size == packet.size
        if packet.pos is not None and packet.pos >= 0:
            rows = np.flatnonzero((table.pos == packet.pos) & size)
            if rows.size == 1:
                return int(rows[0])
        if packet.dts is None and packet.pts is None:
            return None
        dts, pts = (NO_TIME if ticks is None else ticks for ticks in (packet.dts, packet.pts))
        rows = np.flatnonzero((table.dts == dts) & (table.pts == pts) & size)
        return int(rows[0]) if rows.size == 1 else None
