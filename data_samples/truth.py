"""The measured facts about a clip: the ffmpeg program shows the frames, a demuxer has the rest."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import av
import numpy as np
from clips import CLIPS, Facts, media_path
from imageio_ffmpeg import get_ffmpeg_exe
from make import read_number

SHOWN = re.compile(r"pts_time:(\S+) .*iskey:(\d) type:(\w)")


def measure(folder: Path, name: str) -> Facts:
    """Return everything that truth.json says about a clip."""
    clip, path = CLIPS[name], media_path(folder, name)
    index, width, height = _picked_stream(path)
    numbers, shown = _decode(path, width, height)
    times = [float(time) for time, *_ in shown]
    facts: Facts = {
        "what": clip.what,
        "width": width,
        "height": height,
        "stream_index": index,
        "num_frames": len(numbers),
        "first_number": numbers[0],
        "numbers": runs(numbers),
        "keyframes": [i for i, (_, key, _) in enumerate(shown) if key == "1"],
        "has_b_frames": any(kind == "B" for *_, kind in shown),
        "start_seconds": times[0],
    }
    # The gap where a damaged file has lost a frame is not a change of rate.
    rate = _rate(times) if clip.healthy else {"fps": clip.fps, "is_variable_rate": False}
    return facts | rate | _demux(path, index)


def runs(numbers: list[int | None]) -> list[list[int | None]]:
    """Abbreviate numbers as [first, how many]; unreadable ones are [None, how many].

    >>> runs([5, 6, 7, None, None, 2])
    [[5, 3], [None, 2], [2, 1]]
    """
    result: list[list[Any]] = []
    for number in numbers:
        if result and number == (None if result[-1][0] is None else sum(result[-1])):
            result[-1][1] += 1
        else:
            result.append([number, 1])
    return result


def _picked_stream(path: Path) -> tuple[int, int, int]:
    """Return the stream that ffmpeg picks, and its width and height as displayed."""
    options = "-frames:v 1 -an -f null -".split()
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-i", str(path), *options]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    index = re.search(r"Stream #0:(\d+) -> #0:0", words)
    size = re.search(r"Output #0.*?Video: .*? (\d+)x(\d+)", words, re.DOTALL)
    assert index, words
    assert size, words
    return int(index[1]), int(size[1]), int(size[2])


def _decode(path: Path, width: int, height: int) -> tuple[list[int | None], list[tuple[str, ...]]]:
    """Return the barcode of each frame of ffmpeg's output, and its time, key flag and picture type."""
    options = "-copyts -fps_mode passthrough -an -vf showinfo=checksum=0 -f rawvideo -pix_fmt rgb24 -".split()
    with TemporaryFile("w+") as log:
        command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-threads", "1", "-i", path, *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        numbers = []
        while data := process.stdout.read(width * height * 3):
            numbers.append(read_number(np.frombuffer(data, np.uint8).reshape(height, width, 3)))
        process.wait()
        log.seek(0)
        shown = SHOWN.findall(log.read())
    if len(shown) != len(numbers) or not numbers:
        raise RuntimeError(f"{path.name}: ffmpeg put out {len(numbers)} frames and described {len(shown)}")
    return numbers, shown


def _rate(times: list[float]) -> Facts:
    """Return the average rate, and the times themselves if they are irregular."""
    steps = [after - before for before, after in pairwise(times)]
    varies = max(steps) - min(steps) > 0.002
    facts: Facts = {"fps": round(len(steps) / sum(steps), 2), "is_variable_rate": varies}
    return facts | {"times": times} if varies else facts


def _demux(path: Path, index: int) -> Facts:
    """Return what the container says, and the rotation, which only a decoded frame has."""
    with av.open(path) as container:
        stream = container.streams[index]
        assert isinstance(stream, av.VideoStream)
        packets = [packet for packet in container.demux(stream) if packet.size]
        seconds = container.duration and container.duration / av.time_base
        facts: Facts = {
            "codec": stream.codec.canonical_name,
            "container": container.format.name,
            "pixel_format": stream.pix_fmt,
            "audio": _audio(container),
            "promised_frames": stream.frames or None,
            "promised_seconds": seconds,
            "num_packets": len(packets),
            "discarded_packets": sum(packet.is_discard for packet in packets),
            "leading_packets": _count_leading(packets),
        }
    with av.open(path) as container:
        frame = next(container.decode(container.streams[index]))
        assert isinstance(frame, av.VideoFrame)
        return facts | {"rotation_degrees": frame.rotation}


def _count_leading(packets: list[av.Packet[Any]]) -> int:
    """Count the packets that are shown before the keyframe they follow in the file."""
    leading, newest = 0, None
    for packet in packets:
        if packet.is_keyframe:
            newest = packet.pts
        elif packet.pts is not None and newest is not None:
            leading += packet.pts < newest
    return leading


def _audio(container: av.container.InputContainer) -> Facts | None:
    for stream in container.streams.audio:
        return {"codec": stream.codec_context.name, "channels": stream.channels, "sample_rate": stream.rate}
    return None


def verify(name: str, facts: Facts) -> None:
    """Fail if a clip is not what the table of clips says."""
    clip = CLIPS[name]
    shows = list(clip.shows or (clip.first, clip.count))
    if clip.healthy and facts["numbers"] != [shows]:
        raise RuntimeError(f"{name}: shows the numbers {facts['numbers']}, not {shows}")
    if not clip.proof(facts):
        raise RuntimeError(f"{name}: is not what it is for ({clip.what}): {facts}")


def to_json(truth: dict[str, Facts]) -> str:
    """Write one fact a line, so that a change shows well."""
    clips = []
    for name, facts in sorted(truth.items()):
        lines = (f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(facts.items()))
        clips.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(clips) + "\n}\n"
