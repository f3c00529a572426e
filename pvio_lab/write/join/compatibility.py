"""The check whether files can be joined: each as one pass over it finds it, and what all must share.

What the times of a single file rule out is in `frame_times`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ...base import new_lock
from ...errors import OpenError, printable
from ...read import Matrix, open_container, pick_stream, pixel_format, read_streams
from .frame_times import FrameTimes, PacketCheck, Refusal, frame_times
from .parameter_sets import ParameterSets

_KINDS = {"video": "video", "audio": "sound", "subtitle": "subtitles"}
"""The kinds of streams that are joined, and what they are called."""
_REMEDY = "re-encode them with write_frames_to_video first"
_MOST_REFUSALS = 20
_MOST_ROWS = 30
_HEAD = ("property", "first file", "this file", "")
_MOST_BYTES = 64 * 2**20
_BYTES_OPEN = 200_000  # of a file without its frames


@dataclass
class Clip:
    """A file to be joined: the first frame of its main stream is the beginning, the last one the end."""

    path: str
    main: int  # the number of the main stream
    frames: dict[int, FrameTimes]  # for each video stream, by its number in the file
    matrices: dict[int, Matrix | None]  # the rotation of their pictures
    properties: dict[str, str]  # must be the same in all files; in words
    parameter_sets: dict[int, ParameterSets]  # of its H.264 streams; pictures may be coded otherwise
    stands_alone: bool  # its first frame makes decoders forget what was before it
    container: InputContainer | None  # still open, to save opening it again

    @property
    def start(self) -> Fraction:
        """The time its first frame is shown, in seconds."""
        return self.frames[self.main].start

    @property
    def length(self) -> Fraction:
        """The time its frames are shown, in seconds."""
        return self.frames[self.main].length

    def open(self) -> InputContainer:
        """Return the container, at its start."""
        if self.container is None:
            self.container = open_container(self.path)
        else:
            self.container.seek(-(10**12))
        return self.container

    def close(self) -> None:
        """Close the container; it may be opened again."""
        if self.container is not None:
            self.container.close()
            self.container = None


def carried(container: InputContainer, main: int) -> list[Stream]:
    """Return the streams that are joined: the main one, videos but no cover pictures, sound, subtitles."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    found = [
        stream
        for kind in _KINDS
        for stream in container.streams
        if stream.type == kind and not stream.disposition & covers
    ]
    return sorted(found, key=lambda stream: stream.index != main)


class OpenFilesBudget:
    """The number and the memory of files that may stay open, which saves opening them a second time."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._files, self._bytes = _most_files(), _MOST_BYTES

    def take(self, num_bytes: int) -> bool:
        """Take one more file of this size from the budget, or return False."""
        with self._lock:
            if self._files < 1 or self._bytes < num_bytes:
                return False
            self._files -= 1
            self._bytes -= num_bytes
            return True


def _most_files() -> int:
    """Return a quarter of what the system allows."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # on Windows
        return 64
    allowed = getrlimit(RLIMIT_NOFILE)[0]
    return min(allowed // 4, 512) if allowed > 0 else 512


def inspect_clip(path: str, budget: OpenFilesBudget | None = None) -> Clip:
    """Read the packets of a file once; of its frames only the first is decoded.

    Args:
        path: The file.
        budget: The budget from which it may stay open, if it can be read again from its start.

    Raises:
        OpenError: It is not a video.
        Refusal: It cannot be joined to any other.
    """
    container = open_container(path)
    try:
        clip, num_bytes = _inspect(path, container)
    except BaseException:
        container.close()
        raise
    if not (budget and num_bytes and budget.take(num_bytes)):
        clip.close()
    return clip


def _inspect(path: str, container: InputContainer) -> tuple[Clip, int | None]:
    """Return the clip, and the memory it takes while it is open; None if it cannot be read again."""
    main = pick_stream(container, path)
    streams = carried(container, main.index)
    if main not in streams:
        raise OpenError(f"there is no video stream in {printable(path)}: only a cover picture")
    videos = [stream for stream in streams if isinstance(stream, VideoStream)]
    if any(stream.codec_context is None for stream in streams):
        raise Refusal("has a stream of a codec that is not known here")
    checks = {stream.index: PacketCheck(stream) for stream in videos}
    tables = read_streams(container, checks)
    if not len(tables[main.index]):
        raise OpenError(
            f"there are no frames in {printable(path)}: {tables[main.index].trouble or 'it ends before them'}"
        )
    frames = {
        stream.index: frame_times(path, container, stream, tables[stream.index], checks[stream.index])
        for stream in videos
    }
    _check_others(frames, main.index)
    matrices = {index: check.matrix() for index, check in checks.items()}
    sets = {stream.index: found for stream in videos if (found := _parameter_sets(stream))}
    properties = dict(_properties_of(streams, frames, matrices, sets))
    stands_alone = all(check.stands_alone() for check in checks.values())
    clip = Clip(path, main.index, frames, matrices, properties, sets, stands_alone, container)
    if "mov" not in container.format.name or main.frames != len(tables[main.index]):
        return clip, None
    return clip, _BYTES_OPEN + sum(3 * each.width * each.height + 100 * each.frames for each in videos)


def _check_others(frames: dict[int, FrameTimes], main: int) -> None:
    """Raise Refusal if a further video stream does not stay within the time of the main one."""
    begin, end = frames[main].start, frames[main].start + frames[main].length
    for index, each in frames.items():
        budget = each.length / len(each.pts) / 2
        if each.start < begin - budget or each.start + each.length > end + budget:
            raise Refusal(
                f"has a video stream (number {index}) that does not stay within the main one's time"
            )


def _properties_of(
    streams: Sequence[Stream],
    frames: Mapping[int, FrameTimes],
    matrices: Mapping[int, Matrix | None],
    sets: Mapping[int, ParameterSets],
) -> Iterator[tuple[str, str]]:
    """Yield the properties that must be the same in all files, each as its name and its value in words."""
    yield "streams", ", ".join(_KINDS[stream.type] for stream in streams)
    counts = Counter[str]()
    for stream in streams:
        counts[stream.type] += 1
        place = counts[stream.type]
        prefix = f"{_KINDS[stream.type]} {place}" if place > 1 else _KINDS[stream.type]
        rows = {"codec": stream.codec_context.codec.canonical_name}
        if isinstance(stream, VideoStream):
            rows |= _video_properties(stream, frames[stream.index].rate, matrices[stream.index])
        elif isinstance(stream, AudioStream):
            rows["sample rate"] = str(stream.codec_context.sample_rate)
            rows["channel layout"] = stream.codec_context.layout.name
        data = stream.codec_context.extradata
        if stream.index in sets:  # the rest is repeated in the joined file
            data = sets[stream.index].fixed
        rows["extradata"] = f"{len(data)} bytes, {sha256(data).hexdigest()[:10]}" if data else "none"
        for name, value in rows.items():
            yield f"{prefix} {name}", value


def _parameter_sets(stream: VideoStream) -> ParameterSets | None:
    context = stream.codec_context
    data = context.extradata if context.codec.canonical_name == "h264" else None
    return ParameterSets.of(data) if data else None


def _video_properties(stream: VideoStream, rate: Fraction | None, matrix: Matrix | None) -> dict[str, str]:
    context = stream.codec_context
    rows = {
        "size": f"{context.width}x{context.height}",
        "pixel format": str(pixel_format(context)),
        "time base": str(stream.time_base),
        "sample aspect ratio": str(stream.sample_aspect_ratio or "unknown"),
        "display matrix": "none" if matrix is None else " ".join(map(str, matrix)),
        "colour range": str(context.color_range),
        "colour primaries": str(context.color_primaries),
        "colour transfer": str(context.color_trc),
        "colour space": str(context.colorspace),
    }
    return rows if rate is None else rows | {"frame rate": str(rate)}


def check_fit(clips: Sequence[Clip], refusals: list[str]) -> None:
    """Raise ValueError with all reasons against joining, if there are any."""
    for clip in clips[1:]:
        if not clip.stands_alone:
            refusals.append(
                f"{printable(clip.path)} begins with a keyframe that does not end what "
                "was before it (no IDR picture)"
            )
    refusals = list(dict.fromkeys(refusals))
    texts = refusals[:_MOST_REFUSALS]
    if len(refusals) > _MOST_REFUSALS:
        texts.append(f"... and {len(refusals) - _MOST_REFUSALS} more files")
    if table := _table_of_differences(clips):
        texts.append(f"these files do not fit the first one, {printable(clips[0].path)}:\n{table}")
    if texts:
        reasons = "\n".join(texts)
        raise ValueError(f"the files cannot be joined without re-encoding; {_REMEDY}:\n{reasons}")


def _table_of_differences(clips: Sequence[Clip]) -> str:
    """Return a row for each property that differs from the first file's, or nothing if all is the same.

    property | first file | this file |
    size     | 320x240    | 64x64     | b.mp4
    """
    rows = [
        (name, value, clip.properties[name], repr(clip.path)[1:-1])
        for clip in clips[1:]
        for name, value in clips[0].properties.items()
        if clip.properties.get(name, value) != value
    ]
    if not rows:
        return ""
    shown = [_HEAD, *rows[:_MOST_ROWS]]
    widths = [max(len(row[column]) for row in shown) for column in range(3)]
    lines = [" | ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in shown]
    if len(rows) > _MOST_ROWS:
        files = len({row[3] for row in rows})
        lines.append(f"... and {len(rows) - _MOST_ROWS} more differences; {files} files differ in all")
    return "\n".join(lines)
