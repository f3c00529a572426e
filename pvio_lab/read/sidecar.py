"""The facts of a video, and the file beside it that remembers them."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..base import clear_partials, identity_of_file, parsed_json, read_content, write_whole
from ..errors import printable
from .decode.index import FrameIndex
from .decode.opening import Opened, open_file
from .decode.rgb import displayed_size
from .info import AudioInfo, VideoInfo
from .sources.fetch import fetched
from .sources.options import Fetching, user_cache_folder

_CACHE_VERSION = 1
# Facts take less than 1,000 bytes, and none of their numbers is as large as this.
_MOST_BYTES, _MOST, _MOST_PIXELS = 2**16, 2**50, 2**30
_NUMBERS = ("num_frames", "width", "height", "fps", "duration_seconds", "rotation_degrees", "size_bytes")
_SUFFIX = ".metadata.json"
_BEGINNING = b'{\n "key": ['
# The folders in which this process has looked for what killed ones have left.
_cleared: set[Path] = set()
_ALLOWED: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "int | None": (int, type(None)),
    "str | None": (str, type(None)),
}
# The last frames of a file that was cut have gaps between them.
_CUT_FRAMES = 16


def get_video_metadata(
    path: str | PathLike[str], *, cache: bool = True, fetching: Fetching | None = None
) -> VideoInfo:
    """The facts of one video, without decoding it (of a file with unusable times, the order of frames is).

    Args:
        path: A video file, or its URL.
        cache: Remember the facts in `<file name>.metadata.json` beside the file, or in the user's cache
            folder where that place cannot be written to, or has a file of that name that pvio_lab did not
            write; they count while the file is the same.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Raises:
        FileNotFoundError: There is no such file.
        OpenError: It is no video.
        SourceError: The URL cannot be fetched.
    """
    with fetched(path, fetching) as file:
        return _known_or_found(file.path, cache)


def _known_or_found(file: str, cache: bool) -> VideoInfo:
    known = recall(file) if cache else None
    if known is not None:
        return known
    opened = open_file(file, 1)
    try:
        info = describe(opened)
    finally:
        opened.engine.close()
    if cache:
        remember(file, info)
    return info


def describe(opened: Opened) -> VideoInfo:
    """The facts of an open video."""
    index, facts, first = opened.index, opened.index.layout.stream, opened.first
    seconds = float(index.pts_seconds[-1] + index.duration_seconds[-1] - index.pts_seconds[0])
    fps, is_variable = _rate(index)
    width, height = displayed_size(first)
    bits = int(index.layout.packets.size.sum()) * 8
    return VideoInfo(
        path=index.path,
        num_frames=len(index),
        height=height,
        width=width,
        fps=fps,
        duration_seconds=seconds,
        start_seconds=float(index.pts_seconds[0]),
        codec=facts.codec,
        pixel_format=facts.pixel_format or first.format.name,
        container=facts.container,
        rotation_degrees=first.rotation % 360,
        is_variable_rate=is_variable,
        bit_rate=round(bits / seconds) if seconds > 0 else 0,
        size_bytes=index.layout.mark.size,
        audio=facts.audio,
    )


def _rate(index: FrameIndex) -> tuple[float, bool]:
    """Frames a second on average, and whether they vary by more than the rounding of times to ticks."""
    facts, packets, pts = index.layout.stream, index.layout.packets, index.pts_seconds
    if packets.trouble or facts.promised_frames > len(packets):
        pts = pts[: max(len(pts) - _CUT_FRAMES, 2)]
    seconds = float(index.duration_seconds.sum())
    average = len(index) / seconds if seconds > 0 else next(iter(facts.rates), 0.0)
    if len(pts) < 3:
        return _snapped(average, facts.rates, 0.01 * average), False
    if np.ptp(np.diff(pts)) > 1.01 * facts.time_base + 1e-9:
        return average, True
    # Times that are rounded to ticks cannot tell 29.97 from 29.9701; what the file says can.
    span = float(pts[-1] - pts[0])
    steady = (len(pts) - 1) / span if span > 0 else average
    return _snapped(steady, facts.rates, steady * 2 * facts.time_base / max(span, 1e-9) + 1e-9), False


def _snapped(rate: float, nominal: tuple[float, ...], room: float) -> float:
    return next((each for each in nominal if abs(each - rate) <= room), rate)


def recall(path: str) -> VideoInfo | None:
    """What is remembered about a file, if it still is the same file and the memory is sound."""
    for place in _places(path):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            facts = parsed_json(_content(place))
            if facts.pop("key") == _key(path):
                return _info_from(facts["info"], path)
    return None


def remember(path: str, info: VideoInfo) -> None:
    """Write facts aside and rename the file, so that it is never seen half; files of others stay."""
    text = json.dumps({"key": _key(path), "info": asdict(info)}, indent=1)
    for place in _places(path):
        with suppress(OSError, ValueError):  # it cannot be written there, or something else has that name
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.parent not in _cleared:
                _cleared.add(place.parent)
                clear_partials(place.parent, "", is_prefix=True, suffix=_SUFFIX)
            if _is_written(place, text):
                return


def _is_written(place: Path, text: str) -> bool:
    """Write facts where there are none, or older ones; return False where there is something else."""
    while not place.is_symlink():
        with suppress(FileExistsError):
            write_whole(place, text, overwrite=False, clear=False)
            return True
        with suppress(FileNotFoundError):  # somebody has removed it in the meantime
            found = _content(place)
            if found != text.encode() and _is_ours(found):
                write_whole(place, text, clear=False)
                return True
            return found == text.encode()
    return False


def _content(place: Path) -> bytes:
    """Return what a file of facts holds; a link to one is not followed."""
    if place.is_symlink():
        raise ValueError(f"{printable(place)} is a link")
    return read_content(place, _MOST_BYTES)


def _is_ours(content: bytes) -> bool:
    """Tell whether facts were written here, by whichever version; also if only their beginning is left."""
    try:
        facts = parsed_json(content)
    except ValueError:
        return content[: len(_BEGINNING)] == _BEGINNING[: len(content)]
    return (
        isinstance(facts, dict)
        and set(facts) == {"key", "info"}
        and isinstance(facts["key"], list)
        and isinstance(facts["info"], dict)
    )


def _places(path: str) -> tuple[Path, Path]:
    """Beside the file, and in the user's cache folder under a name that no other file has."""
    absolute = os.path.abspath(path)
    name = hashlib.sha256(os.fsencode(absolute)).hexdigest()
    return Path(f"{absolute}{_SUFFIX}"), user_cache_folder() / f"{name}{_SUFFIX}"


def _key(path: str) -> list[Any]:
    """What makes a file another one, also if it was replaced by one of the same size at the same time."""
    identity = identity_of_file(path)
    return [_CACHE_VERSION, identity.size_bytes, os.stat(path).st_mtime_ns, identity.sample_sha256]


def _info_from(facts: dict[str, Any], path: str) -> VideoInfo:
    """Raises ValueError, KeyError or TypeError where anything is missing or of the wrong kind."""
    audio = facts["audio"]
    sound = None if audio is None else AudioInfo(**_checked(AudioInfo, audio))
    facts = _checked(VideoInfo, facts)
    numbers = [facts[name] for name in _NUMBERS] + [facts["start_seconds"] + _MOST / 2]
    if not all(0 <= number < _MOST for number in numbers):
        raise ValueError("a number is out of range")
    if facts["num_frames"] > facts["size_bytes"] or facts["width"] * facts["height"] > _MOST_PIXELS:
        raise ValueError("so many frames, or so large ones, are not in this file")
    return VideoInfo(**{**facts, "path": path, "audio": sound})


def _checked(kind: type[AudioInfo | VideoInfo], facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that the fields of a dataclass ask for, each of its type."""
    for each in fields(kind):
        value, allowed = facts[each.name], _ALLOWED.get(str(each.type))
        if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)):
            raise ValueError(f"{each.name} is {value!r}")
    return {each.name: facts[each.name] for each in fields(kind)}
