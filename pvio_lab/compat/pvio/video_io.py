"""Reading and writing of single videos, as parallel-video-io has it: whole videos as lists of frames."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from ...base import read_json, write_whole
from ...errors import OpenError, printable
from ...read import Frames, VideoInfo, VideoReader
from ...read import get_video_metadata as facts_of
from ...write import VideoWriter

_HIGH_QUALITY = ("-crf", "15", "-preset", "slow", "-profile:v", "high", "-level", "4.0")
# Remembered facts take less than 200 bytes.
_MOST_BYTES = 2**16


def read_frames_from_video(
    video_path: str | PathLike[str], frame_indices: Sequence[int] | None = None
) -> tuple[list[Frames], float]:
    """Return frames as a list of arrays `(H, W, 3)`, and how many the video has a second.

    Args:
        video_path: The video.
        frame_indices: The numbers of the frames, from 0 on; None for all.

    Raises:
        IndexError: There is no such frame.
        ValueError: It is not a video.
    """
    try:
        reader = VideoReader(video_path)
    except OpenError as error:
        raise ValueError(str(error)) from error
    with reader:
        numbers = range(len(reader)) if frame_indices is None else frame_indices
        negative = [number for number in numbers if number < 0]
        if negative:
            raise IndexError(f"frame {negative[0]} is out of range: frames are numbered from 0 on")
        return list(reader[numbers]), reader.fps


def write_frames_to_video(
    video_path: str | PathLike[str],
    frames: Sequence[Frames],
    fps: float,
    codec: str = "libx264",
    ffmpeg_params: Sequence[str] = _HIGH_QUALITY,
    log_interval: int | None = None,
    log_level: int = logging.INFO,
) -> None:
    """Write frames to a video file, which appears when it is complete.

    Frames keep their size, where parallel-video-io stretches them to multiples of 16. Only an odd width or
    height, where the video cannot have one, becomes even: the last column or row is repeated, with a warning.

    Args:
        video_path: The file.
        frames: Arrays `(H, W, 3)` of one size.
        fps: Frames a second.
        codec: The name of an encoder.
        ffmpeg_params: More options for ffmpeg's output.
        log_interval: Log the progress at every n-th frame.
        log_level: The level of these messages.

    Raises:
        ValueError: There are no frames, or they differ in size.
    """
    if len(frames) == 0:
        raise ValueError(f"there are no frames to write to {printable(video_path)}: a video has at least one")
    sizes = [frame.shape[:2] for frame in frames]
    other = next((number for number, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise ValueError(
            f"all frames must have one size: frame 0 has {sizes[0]}, and frame {other} has {sizes[other]}"
        )
    if any(side % 2 for side in sizes[0]):
        logging.warning("%s: the last row or column of %s pixels may be repeated", video_path, sizes[0])
    with VideoWriter(video_path, fps, codec=codec, pad=True, ffmpeg_params=ffmpeg_params) as writer:
        for number, frame in enumerate(frames):
            writer.append(frame)
            if log_interval is not None and number % log_interval == 0:
                logging.log(log_level, "wrote frame %d of %d", number + 1, len(frames))


def check_num_frames(video_path: str | PathLike[str]) -> int:
    """Return the number of frames that the video shows.

    Raises:
        RuntimeError: It cannot be opened.
    """
    return _facts(video_path).num_frames


def get_video_metadata(
    video_path: str | PathLike[str],
    cache_metadata: bool = True,
    use_cached_metadata: bool = True,
    metadata_suffix: str = ".metadata.json",
) -> dict[str, Any]:
    """Return the facts of a video: "n_frames", "frame_size" as (height, width), and "fps".

    They are remembered in a file beside the video, which has this suffix in place of the video's own. There
    they count for ever, and for all videos of a stem; here until the video changes, and for no other video.

    Args:
        video_path: The video.
        cache_metadata: Remember the facts.
        use_cached_metadata: Take remembered facts, if there are any.
        metadata_suffix: The suffix of their file.

    Raises:
        RuntimeError: The video cannot be opened.
        ValueError: The file of remembered facts holds something else.
    """
    path = Path(video_path)
    place = path.with_suffix(metadata_suffix)
    version = _version(path)
    if use_cached_metadata and version and place.is_file():
        known, of = _remembered(place)
        if of == version or (of is None and place.stat().st_mtime_ns >= path.stat().st_mtime_ns):
            return known
    info = _facts(path)
    facts = {"n_frames": info.num_frames, "frame_size": (info.height, info.width), "fps": info.fps}
    if cache_metadata:
        _remember(place, {**facts, "video": version})
    return facts


def _version(path: Path) -> list[str | int] | None:
    """Return what tells a video from others, and from those that had its name before."""
    with suppress(OSError):
        found = path.stat()
        return [path.name, found.st_size, found.st_mtime_ns]
    return None


def _facts(path: str | PathLike[str]) -> VideoInfo:
    try:
        return facts_of(path, cache=False)
    except Exception as error:
        raise RuntimeError(f"{printable(path)} cannot be opened as a video: {error}") from error


def _remembered(place: Path) -> tuple[dict[str, Any], Any]:
    """Return remembered facts, and the version of their video; None if parallel-video-io has written them."""
    try:
        found = read_json(place, _MOST_BYTES)
        height, width = found["frame_size"]
        facts = {"n_frames": found["n_frames"], "frame_size": (height, width), "fps": found["fps"]}
        return facts, found.get("video")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{printable(place)} does not hold the facts of a video ({error!r}): remove it, or pass "
            "use_cached_metadata=False"
        ) from error


def _remember(place: Path, facts: dict[str, Any]) -> None:
    """Write facts, unless something else has that name or nothing may be written there."""
    with suppress(OSError, ValueError):
        if place.exists():
            _remembered(place)
        write_whole(place, json.dumps(facts, indent=2))
