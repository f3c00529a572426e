"""The table of sample clips, and how each is made."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from make import Pixels, draw_frame

QUIET = ("-v", "error", "-nostdin", "-y")
SAME_EVERY_TIME = ("-threads", "1", "-fflags", "+bitexact", "-flags", "+bitexact")

Facts = dict[str, Any]


def run_ffmpeg(*arguments: str | Path) -> bytes:
    """Run the ffmpeg program and return its standard output."""
    command = [get_ffmpeg_exe(), *QUIET, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def copy_streams(draft: Path, target: Path, before: str = "") -> None:
    """Copy the packets into a new file; `before` holds ffmpeg's options for reading."""
    run_ffmpeg(*before.split(), "-i", draft, "-c", "copy", *SAME_EVERY_TIME, target)


def write_through_pipe(draft: Path, target: Path) -> None:
    """Mux into a pipe: without seeking back, there is no duration, no cues and no number of frames."""
    target.write_bytes(run_ffmpeg("-i", draft, "-c", "copy", *SAME_EVERY_TIME, "-f", "matroska", "pipe:1"))


def encode_in_two_passes(draft: Path, target: Path) -> None:
    """Encode VP9 as the web has it; only with a second pass does libvpx add pictures that are never shown."""
    options = "-c:v libvpx-vp9 -crf 36 -b:v 0 -g 60 -auto-alt-ref 1 -lag-in-frames 16 -row-mt 0".split()
    passes = ("-passlogfile", draft.with_suffix(".log"), "-pass")
    for number in ("1", "2"):
        run_ffmpeg("-i", draft, *options, *passes, number, *SAME_EVERY_TIME, target)
    if count_packets(target, "-bsf:v", "vp9_superframe_split") == count_packets(target):
        raise RuntimeError(f"{target.name}: no packet carries a hidden picture")


def count_packets(path: Path, *filters: str) -> int:
    """Count the packets of a file, after bitstream filters."""
    lines = run_ffmpeg("-i", path, "-c", "copy", *filters, "-f", "framecrc", "-").splitlines()
    return sum(not line.startswith(b"#") for line in lines)


def cut_off(draft: Path, target: Path) -> None:
    """Keep the header and seven tenths of the media data."""
    data = draft.read_bytes()
    media = data.index(b"mdat")
    target.write_bytes(data[: media + (len(data) - media) * 7 // 10])


def flip_bytes(draft: Path, target: Path) -> None:
    """Invert 400 bytes of the media data, at a place where any number of threads loses the same frames."""
    data = np.fromfile(draft, np.uint8)
    media = data.tobytes().index(b"mdat")
    start = media + int((len(data) - media) * 0.52)
    data[start : start + 400] ^= 0xFF
    data.tofile(target)


def put_small_stream_first(draft: Path, target: Path) -> None:
    """Add a smaller stream with other numbers before the main one; only the main one is a default stream."""
    small = draft.with_name("small.mp4")
    encode(Clip("", count=60, size=(160, 120), first=1000), small)
    choice = ("-map", "0", "-map", "1", "-disposition:v:0", "0", "-disposition:v:1", "default")
    run_ffmpeg("-i", small, "-i", draft, *choice, "-c", "copy", *SAME_EVERY_TIME, target)


def draw_turned(number: int, width: int, height: int) -> Pixels:
    """Draw a frame as it is coded when the player has to turn it 90 degrees counterclockwise."""
    return np.ascontiguousarray(np.rot90(draw_frame(number, width, height), -1))


H264 = "-c:v libx264 -preset slow -crf 23 -pix_fmt yuv420p"
HEVC = "-c:v libx265 -crf 26 -tag:v hvc1 -x265-params log-level=0:info=0:pools=none:frame-threads=1"
IRREGULAR = "settb=1/600,setpts=20*N+6*mod(N*N\\,7)"  # steps of 26, 38, 8, 20, 32, 2 and 14 ticks
TONES = "-f lavfi -i aevalsrc=0.2*sin(880*PI*t)|0.2*sin(1320*PI*t):s=44100:d=3"
PALETTE = "split[a][b];[a]palettegen=max_colors=96:stats_mode=full[p];[b][p]paletteuse=dither=none"


@dataclass(frozen=True)
class Clip:
    """The facts about a clip and the way it is made.

    Attributes:
        what: One line for readers.
        options: ffmpeg's output options besides the codec.
        codec: ffmpeg's options for the codec.
        count: Number of frames drawn.
        size: Width and height as displayed.
        first: Number of the first frame drawn.
        fps: Frames per second.
        draw: Draws a frame as it is encoded.
        finish: Turns the encoded draft, an mp4, into the clip; None if encoding is enough.
        shows: The numbers that are shown, as (first, count), if not all that were drawn.
        healthy: Whether every frame is there and readable.
        proof: Whether the measured facts really show the clip's point.
    """

    what: str
    options: str = ""
    codec: str = H264
    count: int = 90
    size: tuple[int, int] = (320, 240)
    first: int = 0
    fps: int = 30
    draw: Callable[[int, int, int], Pixels] = draw_frame
    finish: Callable[[Path, Path], None] | None = None
    shows: tuple[int, int] | None = None
    healthy: bool = True
    proof: Callable[[Facts], bool] = lambda facts: True


def encode(clip: Clip, target: Path) -> None:
    """Draw and encode the frames of a clip."""
    height, width = clip.draw(clip.first, *clip.size).shape[:2]
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {clip.fps} -i -"
    options = f"{source} {clip.codec} {clip.options}".split()
    command = [get_ffmpeg_exe(), "-v", "error", "-y", *options, *SAME_EVERY_TIME, str(target)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "SVT_LOG": "1"})
    assert process.stdin is not None
    with process.stdin as pipe:
        for number in range(clip.first, clip.first + clip.count):
            pipe.write(clip.draw(number, *clip.size).tobytes())
    if process.wait():
        raise RuntimeError(f"ffmpeg could not encode {target.name}: exit status {process.returncode}")


def make_clip(name: str, folder: Path) -> None:
    """Make one clip of the table in a folder."""
    clip, target = CLIPS[name], media_path(folder, name)
    target.parent.mkdir(exist_ok=True)
    if clip.finish is None:
        return encode(clip, target)
    with TemporaryDirectory() as scratch:
        draft = Path(scratch, "draft.mp4")
        encode(clip, draft)
        clip.finish(draft, target)


def remove_clips(folder: Path) -> None:
    """Remove the results of an earlier run."""
    for path in (folder / name for name in CLIPS):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def media_path(folder: Path, name: str) -> Path:
    """Return the path that ffmpeg opens: the file, or the pattern for a directory of images."""
    return folder / name if Path(name).suffix else folder / name / "%d.png"


CLIPS: dict[str, Clip] = {
    "shapes.mp4": Clip(
        "H.264 as most people have it: B-frames, a keyframe every 250 frames",
        "-crf 19 -g 250",
        count=300,
        size=(640, 360),
        proof=lambda f: f["keyframes"] == [0, 250] and f["has_b_frames"],
    ),
    "all_intra.mp4": Clip(
        "H.264, every frame a keyframe",
        "-crf 25 -g 1",
        count=60,
        proof=lambda f: f["keyframes"] == list(range(60)),
    ),
    "gop2.mp4": Clip(
        "H.264, every second frame a keyframe",
        "-crf 25 -g 2",
        count=60,
        proof=lambda f: f["keyframes"] == list(range(0, 60, 2)),
    ),
    "open_gop_h264.mp4": Clip(
        "H.264 with open GOPs: frames shown before a keyframe come after it in the file",
        "-g 32 -bf 3 -x264-params open-gop=1:scenecut=0:b-adapt=0",
        count=120,
        proof=lambda f: f["leading_packets"] == 9,
    ),
    "open_gop_hevc.mp4": Clip(
        "HEVC with open GOPs: frames shown before a keyframe come after it in the file",
        "-pix_fmt yuv420p",
        f"{HEVC}:open-gop=1:keyint=30:min-keyint=30:scenecut=0:bframes=4:b-adapt=0",
        count=120,
        proof=lambda f: f["leading_packets"] == 12,
    ),
    "variable_rate.mp4": Clip(
        "H.264 with B-frames, its frames on screen for 3 to 63 ms each",
        f"-vf {IRREGULAR} -fps_mode passthrough -enc_time_base 1:600 -video_track_timescale 600",
        proof=lambda f: f["is_variable_rate"] and f["has_b_frames"],
    ),
    "cut_edit_list.mp4": Clip(
        "H.264 cut at 1.5 s without re-encoding: an edit list hides the frames before the cut",
        "-g 60",
        count=120,
        finish=partial(copy_streams, before="-ss 1.5"),
        shows=(45, 75),
        proof=lambda f: f["discarded_packets"] == 45,
    ),
    "rotated_90.mp4": Clip(
        "H.264 coded lying on its side; a display matrix of 90 degrees makes it an upright portrait",
        size=(240, 320),
        draw=draw_turned,
        finish=partial(copy_streams, before="-display_rotation 90"),
        proof=lambda f: (f["rotation_degrees"], f["width"]) == (90, 240),
    ),
    "av1.mp4": Clip("AV1", "-pix_fmt yuv420p", "-c:v libsvtav1 -crf 32 -preset 6 -g 60 -svtav1-params lp=1"),
    "vp9.webm": Clip("VP9 with hidden alternate reference pictures", "-crf 8", finish=encode_in_two_passes),
    "hevc_10bit.mp4": Clip(
        "HEVC with 10 bits a sample",
        "-pix_fmt yuv420p10le",
        f"{HEVC}:open-gop=0:keyint=60",
        proof=lambda f: f["pixel_format"] == "yuv420p10le" and f["leading_packets"] == 0,
    ),
    "yuv444_odd.mp4": Clip(
        "H.264 with full colour resolution, odd in width and height",
        "-pix_fmt yuv444p",
        count=60,
        size=(321, 241),
        proof=lambda f: (f["width"], f["height"], f["pixel_format"]) == (321, 241, "yuv444p"),
    ),
    "bframes.avi": Clip(
        "MPEG-4 with B-frames in AVI, which stores no presentation times",
        codec="-c:v mpeg4 -q:v 4 -bf 2 -g 45",
        proof=lambda f: f["has_b_frames"],
    ),
    "stream.ts": Clip("H.264 in an MPEG transport stream", "-g 45 -f mpegts"),
    "raw.h264": Clip(
        "H.264 with B-frames and no container at all", "-g 45 -f h264", proof=lambda f: f["has_b_frames"]
    ),
    "fragmented.mp4": Clip(
        "H.264 in a fragmented mp4, as recorders and streaming sites write it",
        "-g 30 -movflags frag_keyframe+empty_moov",
        proof=lambda f: f["promised_frames"] is None,
    ),
    "no_count.mkv": Clip(
        "H.264 in Matroska written through a pipe: no duration, no cues, no number of frames",
        "-g 45",
        finish=write_through_pipe,
        proof=lambda f: f["promised_seconds"] is None and f["promised_frames"] is None,
    ),
    "late_start.mp4": Clip(
        "H.264 whose first frame is due after one hour",
        "-g 45 -output_ts_offset 3600",
        proof=lambda f: f["start_seconds"] == 3600,
    ),
    "with_sound.mp4": Clip(
        "H.264 with a stereo tone in AAC",
        "-c:a aac -b:a 64k",
        f"{TONES} {H264}",
        proof=lambda f: f["audio"] == {"codec": "aac", "channels": 2, "sample_rate": 44100},
    ),
    "two_streams.mp4": Clip(
        "Two H.264 streams: number 0 is 160x120 and counts from 1000, number 1 is the default",
        count=60,
        finish=put_small_stream_first,
        proof=lambda f: f["stream_index"] == 1,
    ),
    "animated.gif": Clip(
        "An animated GIF at 20 frames per second", f"-vf {PALETTE}", "-c:v gif", 40, size=(240, 180), fps=20
    ),
    "numbered": Clip(
        "A directory of images, 1.png to 12.png, with no frame rate (ffmpeg assumes 25)",
        "-f image2 -start_number 1",
        "-c:v png -pix_fmt rgb24",
        count=12,
        size=(160, 120),
        first=1,
    ),
    "truncated.mp4": Clip(
        "H.264 cut off in the middle: the header promises more frames than there are",
        "-g 45 -movflags +faststart",
        finish=cut_off,
        healthy=False,
        proof=lambda f: f["num_frames"] < f["promised_frames"] == 90,
    ),
    "damaged.mp4": Clip(
        "H.264 with bytes flipped in the middle of the media data",
        "-g 30 -movflags +faststart",
        finish=flip_bytes,
        healthy=False,
        proof=lambda f: f["numbers"] == [[0, 44], [None, 15], [60, 30]] and f["promised_frames"] == 90,
    ),
}
