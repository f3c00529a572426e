"""The facts of a video, and the file beside it that remembers them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from os import PathLike
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from .. import show
from .convert import display_matrix, rotation_filters
from .index import FrameIndex
from .opening import Opened, open_file
from .sources import local_path

_CACHE_VERSION = 1
# So many bytes at the beginning, in the middle and at the end tell files apart that have one size and one time.
_SAMPLE_BYTES = 4096


@dataclass(frozen=True)
class AudioInfo:
    """The facts of the sound of a video."""

    channels: int
    """How many channels."""
    codec: str
    """The codec, as ffmpeg calls it."""
    sample_rate: int
    """Samples a second."""
    bit_rate: int | None
    """Bits a second, if known."""
    bit_depth: int | None
    """Bits of a decoded sample."""
    channel_layout: str | None
    """Such as "stereo"."""


@dataclass(frozen=True)
class VideoInfo:
    """The facts of a video."""

    path: str
    """The file."""
    num_frames: int
    """How many frames are shown."""
    height: int
    """Pixels, as displayed: after turning."""
    width: int
    """Pixels, as displayed: after turning."""
    fps: float
    """Frames a second, on average."""
    duration_seconds: float
    """From the first frame until the last one leaves the screen."""
    start_seconds: float
    """The time of the first frame."""
    codec: str
    """The codec, as ffmpeg calls it."""
    pixel_format: str
    """The pixel format of the codec, as ffmpeg calls it."""
    container: str
    """The container, as ffmpeg calls it."""
    rotation_degrees: int
    """How far the pictures are turned counter-clockwise for display, as the file asks for."""
    is_variable_rate: bool
    """Frames stay on screen for different times."""
    bit_rate: int
    """Bits a second of the video stream, on average."""
    size_bytes: int
    """The size of the file."""
    audio: AudioInfo | None
    """The sound, if there is any."""

    def _repr_html_(self) -> str:
        return show.html("info", self)


def get_video_metadata(path: str | PathLike[str], *, cache: bool = True) -> VideoInfo:
    """The facts of one video, without decoding it (of a file with unusable times, the order of frames is).

    Args:
        path: A video file, or its URL.
        cache: Remember the facts in `<file name>.metadata.json` beside the file, or in the user's cache
            folder where that place cannot be written to, and use what is remembered while the file is the same.

    Raises:
        FileNotFoundError: There is no such file.
        OpenError: It is no video.
    """
    file = local_path(path)
    known = _recall(file) if cache else None
    if known is not None:
        return known
    opened = open_file(file, 1)
    try:
        info = describe(opened)
    finally:
        opened.engine.close()
    if cache:
        _remember(file, info)
    return info


def describe(opened: Opened) -> VideoInfo:
    """The facts of an open video."""
    index, stream, first = opened.index, opened.stream, opened.first
    size_bytes = os.path.getsize(index.path)
    seconds = float(index.pts_seconds[-1] + index.duration_seconds[-1] - index.pts_seconds[0])
    fps, is_variable = _rate(opened)
    width, height = displayed_size(opened)
    matrix = display_matrix(first)
    bits = int(opened.packets.size.sum()) * 8
    return VideoInfo(
        path=index.path,
        num_frames=len(index),
        height=height,
        width=width,
        fps=fps,
        duration_seconds=seconds,
        start_seconds=float(index.pts_seconds[0]),
        codec=index.layout.stream.codec,
        pixel_format=stream.codec_context.pix_fmt or first.format.name,
        container=opened.container.format.name,
        rotation_degrees=first.rotation % 360 if matrix else 0,
        is_variable_rate=is_variable,
        bit_rate=round(bits / seconds) if seconds > 0 else 0,
        size_bytes=size_bytes,
        audio=_audio(opened),
    )


def displayed_size(opened: Opened) -> tuple[int, int]:
    """Width and height of the first frame, turned as it is displayed."""
    first = opened.first
    is_turned = any(name == "transpose" for name, _ in rotation_filters(display_matrix(first)))
    return (first.height, first.width) if is_turned else (first.width, first.height)


def _rate(opened: Opened) -> tuple[float, bool]:
    """Frames a second on average, and whether they vary by more than the rounding of times to ticks."""
    pts, stream = opened.index.pts_seconds, opened.stream
    if opened.packets.trouble or stream.frames > len(opened.packets):
        pts = pts[: max(len(pts) - 16, 2)]  # of a file that was cut, the last frames have gaps
    nominal = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    tick = float(stream.time_base or Fraction(1))
    seconds = float(opened.index.duration_seconds.sum())
    average = len(opened.index) / seconds if seconds > 0 else (nominal or [0.0])[0]
    if len(pts) < 3:
        return next((rate for rate in nominal if abs(rate - average) < 0.01 * average), average), False
    steps = np.diff(pts)
    if np.ptp(steps) > 1.01 * tick + 1e-9:
        return average, True
    steady = (len(pts) - 1) / (pts[-1] - pts[0]) if pts[-1] > pts[0] else average
    # Times that are rounded to ticks cannot tell 29.97 from 29.9701; what the file says can.
    room = steady * (2 * tick / max(pts[-1] - pts[0], tick)) + 1e-9
    return next((rate for rate in nominal if abs(rate - steady) <= room), float(steady)), False


def _audio(opened: Opened) -> AudioInfo | None:
    stream = next(iter(opened.container.streams.audio), None)
    if stream is None or stream.codec_context is None:
        return None
    context = stream.codec_context
    return AudioInfo(
        channels=context.channels,
        codec=context.codec.canonical_name,
        sample_rate=context.sample_rate,
        bit_rate=context.bit_rate or None,
        bit_depth=context.format.bits if context.format else None,
        channel_layout=context.layout.name if context.layout else None,
    )


def _recall(path: str) -> VideoInfo | None:
    """What is remembered about a file, if it still is the same file and the memory is sound."""
    for place in _places(path):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            facts = json.loads(place.read_text("utf-8"))
            if facts.pop("key") == _key(path):
                return _info_from(facts["info"], path)
    return None


def _remember(path: str, info: VideoInfo) -> None:
    """Written aside and renamed, so that nobody ever reads half of it."""
    text = json.dumps({"key": _key(path), "info": asdict(info)}, indent=1)
    for place in _places(path):
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(place, text)
            return


def _write_whole(place: Path, text: str) -> None:
    with NamedTemporaryFile("w", dir=place.parent, prefix=".", suffix=".tmp", delete=False, encoding="utf-8") as file:
        try:
            file.write(text)
            file.close()
            os.replace(file.name, place)
        except BaseException:
            file.close()
            Path(file.name).unlink(missing_ok=True)
            raise


def _places(path: str) -> tuple[Path, Path]:
    """Beside the file, and in the user's cache folder under a name that no other file has."""
    absolute = os.path.abspath(path)
    name = hashlib.sha256(os.fsencode(absolute)).hexdigest()
    return Path(f"{absolute}.metadata.json"), _cache_folder() / f"{name}.metadata.json"


def _cache_folder() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pvio_lab"


def _key(path: str) -> list[Any]:
    """What makes a file another one, also if it was replaced by one of the same size at the same time."""
    stat = os.stat(path)
    sample = hashlib.sha256()
    with open(path, "rb") as file:
        for offset in (0, stat.st_size // 2, max(stat.st_size - _SAMPLE_BYTES, 0)):
            file.seek(offset)
            sample.update(file.read(_SAMPLE_BYTES))
    return [_CACHE_VERSION, stat.st_size, stat.st_mtime_ns, sample.hexdigest()]


def _info_from(facts: dict[str, Any], path: str) -> VideoInfo:
    """Raises ValueError, KeyError or TypeError where anything is missing or of the wrong kind."""
    audio = facts["audio"]
    values = {each.name: facts[each.name] for each in fields(VideoInfo)}
    kinds = {each.name: str(each.type) for each in fields(VideoInfo)}
    for name, kind in kinds.items():
        _check_kind(name, values[name], kind)
    return VideoInfo(**{**values, "path": path, "audio": AudioInfo(**audio) if audio else None})


def _check_kind(name: str, value: Any, kind: str) -> None:
    allowed = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}.get(kind)
    if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and kind != "bool")):
        raise ValueError(f"{name} is {value!r}")
