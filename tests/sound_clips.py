"""Clips with a flash and a beep at the beginning of every second, in many containers."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

_SCRATCH = TemporaryDirectory(prefix="sound_clips_")
FLASHES = "color=black:s=64x64:r=25:d=4,drawbox=enable='lt(mod(t,1),0.1)':color=white:t=fill"
BEEPS = "aevalsrc='lt(mod(t,1),0.1)*sin(700*2*PI*t)|0.1*sin(100*t*t)':s=44100:d=4"
# Options behind both inputs. Without B-frames, so that no edit list hides frames.
_PLAIN = ["-c:v", "libx264", "-bf", "0", "-g", "10", "-c:a"]
_CLIPS = {
    "aac.mp4": [*_PLAIN, "aac"],
    "aac.ts": [*_PLAIN, "aac"],
    "no_edits.mp4": [*_PLAIN, "aac", "-use_editlist", "0"],
    "mp3.mkv": [*_PLAIN, "libmp3lame"],
    "opus.webm": ["-c:v", "libvpx", "-c:a", "libopus"],
    "pcm.mov": [*_PLAIN, "pcm_s16le"],
    "mpeg.avi": ["-c:v", "mpeg4", "-c:a", "mp2"],
    "only.mp3": ["-vn"],
    "only.flac": ["-vn"],
}
# Options before the inputs, which are both `aac.mp4`; only packets are copied.
_COPIES = {
    "late_sound.mp4": (["-i"], ["-itsoffset", "0.5", "-i"]),
    "late_video.mp4": (["-itsoffset", "0.5", "-i"], ["-i"]),
    "both_late.mp4": (["-itsoffset", "0.5", "-i"], ["-itsoffset", "0.5", "-i"]),
    "cut.mp4": (["-ss", "1.03", "-i"], ["-ss", "1.03", "-i"]),
}
NAMES = [*_CLIPS, *_COPIES]


def ffmpeg(*arguments) -> bytes:
    command = [get_ffmpeg_exe(), "-y", "-nostdin", "-v", "error", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


@cache
def sound_clip(name: str) -> Path:
    """Return a clip, made once per session."""
    path = Path(_SCRATCH.name, name)
    if name in _CLIPS:
        ffmpeg("-f", "lavfi", "-i", FLASHES, "-f", "lavfi", "-i", BEEPS, *_CLIPS[name], path)
    else:
        source = sound_clip("aac.mp4")
        video, sound = _COPIES[name]
        ffmpeg(*video, source, *sound, source, "-map", "0:v", "-map", "1:a", "-c", "copy", path)
    return path


def true_sound(path: Path, channels: int, *options) -> np.ndarray:
    """Return the samples that the ffmpeg program puts out, `(channels, n)`."""
    output = ffmpeg("-i", path, "-map", "0:a:0", *options, "-f", "f32le", "-")
    return np.frombuffer(output, "<f4").reshape(-1, channels).T
