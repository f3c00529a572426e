"""The joining of videos without re-encoding."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fractions import Fraction
from os import PathLike
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ...base import Target
from ...errors import EncodeError, printable
from ...read import Fetching, HeldSource, outline
from ..encoders import MUXERS
from ..ffmpeg import run
from .compatibility import Clip, OpenFilesBudget, carried, check_fit, inspect_clip
from .frame_times import Refusal
from .tracks import Interval, OutputTrack, SoundTrack, SubtitleTrack, VideoTrack, verify

_LISTEN_SECONDS = 20.0
_KEPT_KEYS = ("language", "title", "handler_name")
_KEPT_TAGS = ("hvc1", "hev1", "avc1", "avc3")


def concatenate_video_files(
    inputs: Iterable[str | PathLike[str]],
    output: str | PathLike[str],
    *,
    overwrite: bool = True,
    fetching: Fetching | None = None,
) -> Path:
    """Join video files without re-encoding: the number of frames and the times add up exactly.

    >>> concatenate_video_files(["monday.mp4", "tuesday.mp4"], "both.mp4")  # doctest: +SKIP
    PosixPath('both.mp4')

    Each clip begins where the last frame of the one before ends, and the first one at time 0 (in containers
    that cannot store what is decoded before that, such as MPEG-TS, as soon after it as decoding allows). All
    video and sound streams and subtitles are carried over; cover pictures, data streams, attachments and
    chapters are not. Sound and subtitles stay with the pictures of their clip: they end where the next clip
    begins. Languages, titles, rotation, shape of pixels and colours are those of the first file. H.264 may
    differ in quality (`crf`): then each keyframe repeats what a decoder must know of its clip.

    Args:
        inputs: The files (or URLs), in order; one is allowed, and is only put into another container.
        output: The new file; its suffix chooses the container. It may be one of the inputs.
        overwrite: Whether it may replace a file that is there.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        The new file.

    Raises:
        EncodeError: The result cannot be written, or is not what it was meant to be.
        FileExistsError: The output is there, and may not be replaced.
        FileNotFoundError: There is no such input, or no folder for the output.
        OpenError: An input is not a video.
        TypeError: The inputs are not a list of paths.
        ValueError: Nothing to join; files that do not fit together, or are not joined exactly; or a
            container that cannot hold their streams.
    """
    held, place = _held(inputs, fetching), Path(output)
    container_name = _container_name(place)
    paths = [each.path for each in held]
    with Target(place, overwrite=overwrite) as target, _inspected(paths) as clips:
        tracks = _write(clips, target.partial, container_name)
        verify(target.partial, tracks, clips[0])
        target.commit()
    return place


def _held(inputs: Iterable[str | PathLike[str]], fetching: Fetching | None) -> list[HeldSource]:
    if isinstance(inputs, str | bytes | PathLike):
        raise TypeError(f"inputs must be a list of paths, not one path; write [{outline(inputs)}]")
    held = [HeldSource(each, fetching) for each in inputs]
    if not held:
        raise ValueError("there is nothing to join: inputs is empty")
    return held


def _container_name(place: Path) -> str:
    """Return the container that FFmpeg chooses for a suffix."""
    if place.suffix.lower() in MUXERS:
        return MUXERS[place.suffix.lower()]
    try:
        chosen = av.open(f"any{place.suffix}", "w").format
    except (ValueError, av.error.FFmpegError) as error:
        raise ValueError(
            f"the suffix {place.suffix!r} of {printable(place)} names no container ({error}); "
            "use .mp4, .mkv or .webm"
        ) from error
    if chosen.no_file:
        raise ValueError(
            f"the suffix {place.suffix!r} of {printable(place)} stands for more than one file; "
            "use .mp4 or .mkv"
        )
    return chosen.name


@contextmanager
def _inspected(paths: Sequence[str]) -> Iterator[list[Clip]]:
    """Yield the clips, if they can be joined; in the end all are closed."""
    clips: list[Clip] = []
    refusals: list[str] = []
    pool, budget = ThreadPoolExecutor(min(4, os.cpu_count() or 1)), OpenFilesBudget()
    try:
        waiting = [pool.submit(inspect_clip, path, budget) for path in paths]
        for path, future in zip(paths, waiting, strict=True):
            try:
                clips.append(future.result())
            except Refusal as refusal:
                refusals.append(f"{printable(path)} {refusal}")
        check_fit(clips, refusals)
        yield clips
    finally:
        pool.shutdown(cancel_futures=True)
        for clip in clips:
            clip.close()


def _write(clips: Sequence[Clip], partial: Path, container_name: str) -> list[OutputTrack]:
    """Write the joined file; return its streams, the main one first, which know what was written to them."""
    options = {"movflags": "+faststart"} if _is_mov(container_name) else {}
    output = av.open(f"file:{partial}", "w", format=container_name, container_options=options)
    try:
        tracks = _write_clips(clips, output)
        output.close()
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()  # or closing would move the index of a long file to its beginning for nothing
        with suppress(Exception):
            output.close()
        if isinstance(error, av.error.FFmpegError):
            raise EncodeError(f"FFmpeg could not write the joined file: {error.strerror or error}") from error
        raise
    return tracks


def _write_clips(clips: Sequence[Clip], output: OutputContainer) -> list[OutputTrack]:
    tracks: list[OutputTrack] = []
    begin = Fraction(0)
    repeats_sets = len({tuple(clip.parameter_sets.values()) for clip in clips}) > 1
    for number, clip in enumerate(clips):
        container = clip.open()
        streams = carried(container, clip.main)
        tracks = tracks or _make_tracks(container, streams, output, clip, repeats_sets)
        interval = Interval(begin, begin + clip.length, number == 0, number == len(clips) - 1)
        _write_clip(container, streams, tracks, clip, interval)
        clip.close()
        begin = interval.end
    return tracks


def _write_clip(
    container: InputContainer,
    streams: list[Stream],
    tracks: list[OutputTrack],
    clip: Clip,
    interval: Interval,
) -> None:
    take = {}
    for stream, track in zip(streams, tracks, strict=True):
        track.begin(clip, stream, interval)
        take[stream.index] = track.take
    with suppress(IndexError):  # at the end, if a stream has appeared on the way
        for packet in container.demux(*streams):
            if packet.size:
                take[packet.stream_index](packet)
    for track in tracks:
        track.end()


def _make_tracks(
    container: InputContainer, streams: list[Stream], output: OutputContainer, clip: Clip, repeats_sets: bool
) -> list[OutputTrack]:
    """Give the output the streams of the first clip, in their order there, and write the header."""
    news = _add_streams(container, streams, output, clip)
    try:
        output.start_encoding()
    except av.error.FFmpegError as error:
        reason = _complaints(streams, output.format.name, clip) or error.strerror
        raise EncodeError(
            f"the container {output.format.name} cannot hold what is to be joined: {reason}"
        ) from error
    has_lead = _has_lead(container.format.name, output.format.name)
    return [_make_track(output, news[stream.index], stream, has_lead, repeats_sets) for stream in streams]


def _add_streams(
    container: InputContainer, streams: list[Stream], output: OutputContainer, clip: Clip
) -> dict[int, Stream]:
    """Return new streams, by the numbers of those in the clip."""
    is_same_family = _is_mov(container.format.name) and _is_mov(output.format.name)
    news: dict[int, Stream] = {}
    for stream in sorted(streams, key=lambda each: each.index):
        new = _add_stream(output, stream, clip.path)
        new.disposition = stream.disposition
        if stream.type == "video":  # so that all programs pick the same one as before
            is_main = stream.index == clip.main
            new.disposition = (stream.disposition & ~Disposition.default) | (Disposition.default * is_main)
        new.metadata.update({key: stream.metadata[key] for key in _KEPT_KEYS if key in stream.metadata})
        if isinstance(stream, VideoStream) and isinstance(new, VideoStream):
            new.codec_context.framerate = clip.frames[stream.index].rate or Fraction(0)
            if stream.sample_aspect_ratio:
                new.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
            if is_same_family and stream.codec_context.codec_tag in _KEPT_TAGS:
                new.codec_context.codec_tag = stream.codec_context.codec_tag
        news[stream.index] = new
    return news


def _add_stream(output: OutputContainer, stream: Stream, path: str) -> Stream:
    try:
        return output.add_stream_from_template(stream, opaque=True)
    except ValueError as error:
        raise ValueError(
            f"the output cannot hold the {stream.type} stream {stream.index} of {printable(path)}: {error}; "
            f"choose another suffix"
        ) from error


def _make_track(
    output: OutputContainer, new: Stream, source: Stream, has_lead: bool, repeats_sets: bool
) -> OutputTrack:
    if isinstance(source, VideoStream):
        return VideoTrack(output, new, source, repeats_sets)
    if isinstance(source, AudioStream):
        return SoundTrack(output, new, source, has_lead)
    return SubtitleTrack(output, new, source)


def _has_lead(source: str, output: str) -> bool:
    """Return whether sound before time 0 has a place: an edit list, or the codec delay of a Matroska file."""
    return _is_mov(output) or ("matroska" in source and output in ("matroska", "webm"))


def _is_mov(name: str) -> bool:
    """Return whether a container, by its reader or its writer, is of the family that stores edit lists."""
    return bool(set(name.split(",")) & {"mov", "mp4", "ipod", "3gp", "3g2", "ismv", "psp", "f4v"})


def _complaints(streams: list[Stream], name: str, clip: Clip) -> str:
    """Return what the ffmpeg program says about a header that PyAV only refuses to write.

    PyAV says it, too, but to a log that all threads share: listening to it may stop another one forever.
    """
    maps = [f"-map 0:{stream.index}" for stream in streams]
    arguments = ["-i", f"file:{clip.path}", *" ".join(maps).split(), *"-c copy -t 0 -y -f".split(), name]
    _, said = run([*arguments, os.devnull], _LISTEN_SECONDS)
    by_muxer = re.findall(rf"^\[{re.escape(name)} @ \w+\] (.*)", said, re.MULTILINE)
    return "; ".join(dict.fromkeys(each.strip() for each in by_muxer))
