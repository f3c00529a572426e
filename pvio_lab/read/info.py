"""The facts of a video, and the file beside it that remembers them."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from ..base import Drawn, clear_partials, identity_of_file, parsed_json, read_content, write_whole
from ..errors import printable
from .sources.fetching import user_cache_folder

if TYPE_CHECKING:
    from av.video.format import VideoFormat

_Facts = TypeVar("_Facts", bound="AudioInfo | VideoInfo")
_CACHE_VERSION = 1
# Facts take less than 1,000 bytes, and all of their numbers are smaller than these.
_MOST_BYTES, _MOST, _MOST_PIXELS = 2**16, 2**50, 2**30
_NUMBERS = ("num_frames", "width", "height", "fps", "duration_seconds", "rotation_degrees", "size_bytes")
_SUFFIX = ".metadata.json"
_BEGINNING = b'{\n "key": ['
# The folders that this process has already cleared of files left by killed processes.
_cleared: set[Path] = set()


@dataclass(frozen=True)
class AudioInfo:
    """The facts of the sound of a video."""

    channels: int
    """Number of channels."""
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
class VideoInfo(Drawn):
    """The facts of a video."""

    drawn_as = "info"

    path: str
    """The file."""
    num_frames: int
    """Number of frames that are shown."""
    height: int
    """Pixels, as displayed: after rotation."""
    width: int
    """Pixels, as displayed: after rotation."""
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
    """Degrees by which the frames are rotated counter-clockwise for display."""
    is_variable_rate: bool
    """Frames stay on screen for different times."""
    bit_rate: int
    """Bits a second of the video stream, on average."""
    size_bytes: int
    """The size of the file."""
    audio: AudioInfo | None
    """The sound, if there is any."""

    @property
    def has_audio(self) -> bool:
        """True if there is sound."""
        return self.audio is not None

    @property
    def channels(self) -> int:
        """Number of channels of a stored pixel: 1 for grey, 3 for colours, one more with alpha."""
        return channels_of(self.pixel_format)

    @property
    def bit_depth(self) -> int:
        """Bits of a stored value, such as 8 or 10."""
        return max(part.bits for part in _format_of(self.pixel_format).components)


def channels_of(pixel_format: str) -> int:
    """Return how many channels a pixel format has, with alpha.

    >>> channels_of("gray"), channels_of("yuv420p"), channels_of("nv12"), channels_of("rgba")
    (1, 3, 3, 4)

    Raises:
        ValueError: There is no such pixel format.
    """
    found = _format_of(pixel_format)
    return 4 if found.has_palette else len(found.components)


def _format_of(name: str) -> VideoFormat:
    from av.video.format import VideoFormat  # not loaded for facts that are remembered

    return VideoFormat(name)


def _types(kind: type[AudioInfo | VideoInfo]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    whole = {float: int | float}  # JSON may hold 30.0 as 30
    return {each.name: whole.get(hints[each.name], hints[each.name]) for each in fields(kind)}


_TYPES: dict[type, dict[str, Any]] = {AudioInfo: _types(AudioInfo), VideoInfo: _types(VideoInfo)}


def recall(path: str) -> VideoInfo | None:
    """Return the facts remembered about a file, if it still is the same file and they are sound."""
    for place in _places(path):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            facts = parsed_json(_content(place))
            if facts.pop("key") == _key(path):
                return _info_from(facts["info"], path)
    return None


def remember(path: str, info: VideoInfo) -> None:
    """Remember facts beside the file, or in the cache folder; files that pvio_lab did not write stay."""
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
    """Write facts if there are none or older ones; return False if there is something else."""
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
    """Return the content of a file of facts; a link to one is not followed."""
    if place.is_symlink():
        raise ValueError(f"{printable(place)} is a link")
    return read_content(place, _MOST_BYTES)


def _is_ours(content: bytes) -> bool:
    """Return whether any version of pvio_lab wrote these facts, even if only their beginning is left."""
    try:
        facts = parsed_json(content)
    except ValueError:
        return content[: len(_BEGINNING)] == _BEGINNING[: len(content)]
    kinds = {name: type(value) for name, value in facts.items()} if isinstance(facts, dict) else {}
    return kinds == {"key": list, "info": dict}


def _places(path: str) -> tuple[Path, Path]:
    """Return two places for facts: beside the file, and a unique name in the user's cache folder."""
    absolute = os.path.abspath(path)
    name = hashlib.sha256(os.fsencode(absolute)).hexdigest()
    return Path(f"{absolute}{_SUFFIX}"), user_cache_folder() / f"{name}{_SUFFIX}"


def _key(path: str) -> list[Any]:
    """Return the identity of a file: another one of the same size and time has another identity."""
    identity = identity_of_file(path)
    return [_CACHE_VERSION, identity.size_bytes, os.stat(path).st_mtime_ns, identity.sample_sha256]


def _info_from(facts: dict[str, Any], path: str) -> VideoInfo:
    """Return sound facts; raise ValueError, KeyError or TypeError if anything is missing or wrong."""
    audio = facts["audio"]
    info = _built(VideoInfo, facts | {"audio": None if audio is None else _built(AudioInfo, audio)})
    numbers = [getattr(info, name) for name in _NUMBERS] + [info.start_seconds + _MOST / 2]
    if not all(0 <= number < _MOST for number in numbers):
        raise ValueError("a number is out of range")
    if info.num_frames > info.size_bytes or info.width * info.height > _MOST_PIXELS:
        raise ValueError("so many frames, or so large ones, are not in this file")
    return replace(info, path=path)


def _built(kind: type[_Facts], facts: dict[str, Any]) -> _Facts:
    """Return a dataclass with these values, each of the type of its field."""
    types = _TYPES[kind]
    for name, allowed in types.items():
        value = facts[name]
        if not isinstance(value, allowed) or (isinstance(value, bool) and allowed is not bool):
            raise ValueError(f"{name} is {value!r}")
    return kind(**{name: facts[name] for name in types})
