"""Small clips, each meant to break a video reader in one particular way.

The truth for every clip is what the ffmpeg program puts out for it; nothing here knows the pixels.
`make_hard_clips(folder)["edit_cut.mp4"]` is the path of one of them.
"""

from __future__ import annotations

import random
import shlex
import struct
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio_ffmpeg

Craft = Callable[..., bytes]


@dataclass(frozen=True)
class HardClip:
    """One row of the table.

    Attributes:
        name: the file's name; its ending chooses the container.
        breaks: what a careless reader does with it.
        command: arguments for ffmpeg, the output's name left out; ``@`` runs two passes.
        craft: makes the bytes from those of the clips named in ``after``, where ffmpeg cannot.
        after: clips that must be there first.
    """

    name: str
    breaks: str
    command: str = ""
    craft: Craft | None = None
    after: tuple[str, ...] = ()


def source(size: str = "160x120", rate: str = "25", frames: int = 60, pix: str = "yuv420p") -> str:
    """Arguments for a moving, noisy picture in which no two frames are alike."""
    picture = f"testsrc2=s={size}:r={rate},noise=alls=6:allf=t"
    return f"-f lavfi -i {picture} -frames:v {frames} -pix_fmt {pix} "


def cut(start: float, stop: float) -> Craft:
    """Keep the bytes between two fractions of the file."""
    return lambda data: data[int(len(data) * start) : int(len(data) * stop)]


def join(*parts: bytes) -> bytes:
    """One file after the other, as `cat` does."""
    return b"".join(parts)


def flip_bits(data: bytes, count: int = 5, seed: int = 3) -> bytes:
    """Flip a few bits past the headers, the same ones each time."""
    damaged, chance = bytearray(data), random.Random(seed)
    for _ in range(count):
        damaged[chance.randrange(len(data) // 20, len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def boxes(data: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """The (type, whole box) pairs of an mp4 file or of the inside of a box."""
    while start + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        yield kind, data[start : start + size]
        start += size


def box(kind: bytes, content: bytes) -> bytes:
    """An mp4 box."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def edits(*segments: tuple[float, float]) -> Craft:
    """Give an mp4 (moov last) an edit list of (seconds, media time in seconds; -1: nothing)."""

    def craft(data: bytes) -> bytes:
        movie_scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
        media_scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
        rows = b"".join(
            struct.pack(">Iihh", round(length * movie_scale), -1 if at < 0 else round(at * media_scale), 1, 0)
            for length, at in segments
        )
        edit_box = box(b"edts", box(b"elst", struct.pack(">II", 0, len(segments)) + rows))

        def rebuild(outer: bytes) -> bytes:
            inside = b""
            for kind, whole in boxes(outer, 8):
                inside += rebuild(whole) if kind == b"trak" else edit_box if kind == b"edts" else whole
            return box(outer[4:8], inside)

        return b"".join(rebuild(whole) if kind == b"moov" else whole for kind, whole in boxes(data))

    return craft


def false_keyframes(data: bytes) -> bytes:
    """Let the mp4's table of keyframes name samples 1, 8, 15 ..., which are none."""
    patched, at = bytearray(data), data.index(b"stss")
    for number in range(struct.unpack_from(">I", data, at + 8)[0]):
        struct.pack_into(">I", patched, at + 12 + 4 * number, 1 + 7 * number)
    return bytes(patched)


def element(kind: str, content: bytes | int) -> bytes:
    """A Matroska element; an int is stored in as few bytes as it needs."""
    if isinstance(content, int):
        content = content.to_bytes(max(1, (content.bit_length() + 7) // 8), "big")
    return bytes.fromhex(kind) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def laced_mkv(jpegs: bytes, frames_per_block: int = 4) -> bytes:
    """Matroska with four JPEGs in each block and no default duration: only every fourth has a time."""
    frames = [b"\xff\xd8\xff" + part for part in jpegs.split(b"\xff\xd8\xff")[1:]]
    header = element("1A45DFA3", element("4282", b"matroska") + element("4287", 4) + element("4285", 2))
    info = element("1549A966", element("2AD7B1", 1_000_000) + element("4D80", b"-") + element("5741", b"-"))
    track = element("D7", 1) + element("73C5", 1) + element("83", 1) + element("9C", 1)
    picture = element("86", b"V_MJPEG") + element("E0", element("B0", 160) + element("BA", 120))
    blocks = b""
    for first in range(0, len(frames), frames_per_block):
        group = frames[first : first + frames_per_block]
        sizes = b"".join(b"\xff" * (len(f) // 255) + bytes([len(f) % 255]) for f in group[:-1])
        lead = b"\x81" + struct.pack(">h", first * 40) + b"\x82" + bytes([len(group) - 1])
        blocks += element("A3", lead + sizes + b"".join(group))
    cluster = element("1F43B675", element("E7", 0) + blocks)
    return header + element("18538067", info + element("1654AE6B", element("AE", track + picture)) + cluster)


X264 = "-c:v libx264 -g 20 "
X265 = "-c:v libx265 -x265-params log-level=error:keyint=20:min-keyint=20:bframes=4:b-adapt=0:"
OPEN = X264 + "-x264-params open-gop=1:bframes=3:b-adapt=0:scenecut=0"
MPEG2 = "-c:v mpeg2video -bf 2 -g 15 -q:v 3 "
MPEG4 = "-c:v mpeg4 -bf 2 -g 20 -q:v 3 "
VPX = "-b:v 150k -g 40 -auto-alt-ref 1 -lag-in-frames 16"
DROP7, DROP20 = (f"-copyinkf -bsf:v noise=drop=lt(n\\\\,{n})" for n in (7, 20))


def copy(name: str, of: str, breaks: str, options: str = "", before: str = "") -> HardClip:
    """A row that copies another clip's packets."""
    return HardClip(name, breaks, f"{before} -i {of} -map 0:v -c copy {options}", after=(of,))


def crafted(name: str, breaks: str, craft: Craft, *after: str) -> HardClip:
    """A row made from other clips' bytes."""
    return HardClip(name, breaks, craft=craft, after=after)


HARD_CLIPS: tuple[HardClip, ...] = (
    HardClip("h264.mp4", "B-frames: packets in another order than frames", source(frames=80) + X264),
    HardClip("h264.avi", "no true presentation times", source() + X264),
    HardClip("h264.flv", "the first frame is not at time zero; no frame count", source() + X264),
    HardClip("h264.ts", "seeks land between keyframes", source(frames=80) + X264),
    HardClip("h264.h264", "no times at all", source() + X264),
    HardClip("h264_open.mp4", "frames before a keyframe need the group before it", source(frames=80) + OPEN),
    HardClip("h264_open.mkv", "the same where seeking goes by cues", source() + OPEN),
    HardClip("h264_open.avi", "the same without times", source() + OPEN),
    HardClip(
        "h264_refresh.mp4",
        "keyframes that mend the picture only over the next 8 frames",
        source() + X264 + "-x264-params intra-refresh=1:bframes=0",
    ),
    HardClip(
        "h264_mbaff.mp4",
        "interlaced: colour of each field belongs to itself",
        source() + X264 + "-flags +ildct+ilme -x264-params tff=1:interlaced=1",
    ),
    HardClip("h264_high10.mp4", "ten bits, chroma position signalled", source(pix="yuv420p10le") + X264),
    HardClip(
        "h264_crop.mp4",
        "cropped on the left, in the stream",
        source() + X264 + "-bsf:v h264_metadata=crop_left=16:crop_top=8",
    ),
    HardClip("narrow.mp4", "rows padded to more than four bytes a pixel", source("96x80") + X264),
    HardClip(
        "vfr.mp4",
        "frame number / rate is not time",
        source(frames=40) + X264 + "-fps_mode vfr -vf select=not(mod(n\\\\,3))+between(n\\\\,9\\\\,14)",
    ),
    HardClip("slow.mkv", "one frame in ten seconds", source(rate="1/10", frames=30) + X264),
    HardClip(
        "fast.mkv",
        "2000 frames a second: milliseconds cannot tell them apart",
        source(rate="2000", frames=40) + X264 + "-bf 0",
    ),
    HardClip("one.mp4", "a single frame", source(frames=1) + X264),
    copy("edit_cut.mp4", "h264.mp4", "cut between keyframes: packets are discarded", before="-ss 1.3"),
    copy("edit_cut_open.mp4", "h264_open.mp4", "cut, and open groups as well", before="-ss 1.3"),
    copy("edit_none.mp4", "h264.mp4", "starts at 2/25 s", "-use_editlist 0"),
    crafted(
        "edit_two.mp4",
        "two pieces with a gap between them, after a delay",
        edits((0.5, -1), (0.8, 0.2), (1.0, 2.0)),
        "h264.mp4",
    ),
    crafted("edit_twice.mp4", "one second shown twice", edits((1.0, 0.5), (1.0, 0.5)), "h264.mp4"),
    crafted("keys_lie.mp4", "the keyframe table is wrong", false_keyframes, "h264.mp4"),
    copy("fragments.mp4", "h264.mp4", "no table of frames", "-movflags frag_keyframe+empty_moov"),
    copy("faststart.mp4", "h264.mp4", "nothing; the next one needs it", "-movflags faststart"),
    crafted("cut_short.mp4", "promises frames it does not have", cut(0, 0.6), "faststart.mp4"),
    crafted("damaged.mp4", "flipped bits", flip_bits, "h264.mp4"),
    copy("offset.mkv", "h264.mp4", "starts an hour late", "-output_ts_offset 3600"),
    copy("live.mkv", "h264.mp4", "neither duration nor cues", "-live 1"),
    copy("no_key.mkv", "h264.mp4", "starts in the middle of a group", DROP7),
    copy("no_key.ts", "h264.mp4", "the same, without a container's keyframe flags", DROP7),
    copy(
        "drop_middle.mp4",
        "h264.mp4",
        "seven packets and a keyframe are missing",
        "-copyinkf -bsf:v noise=drop=between(n\\\\,36\\\\,42)",
    ),
    copy("wrap.ts", "h264.mp4", "the 33-bit clock starts again", "-output_ts_offset 95442.5 -muxdelay 0"),
    crafted("twice.ts", "times jump back in the middle", join, "h264.ts", "h264.ts"),
    crafted("cut_head.ts", "starts in the middle of a packet", cut(0.13, 1), "h264.ts"),
    copy("rot90.mp4", "h264.mp4", "turned by the container", before="-display_rotation 90"),
    copy("flipped.mp4", "h264.mp4", "mirrored by the container", before="-display_hflip"),
    HardClip("hevc_closed.mp4", "a keyframe lets many frames out at once", source() + X265 + "open-gop=0"),
    HardClip("hevc_open.mkv", "frames that refer across the keyframe", source() + X265 + "open-gop=1"),
    copy("hevc_cra.mkv", "hevc_open.mkv", "starts with frames that cannot be shown", DROP20),
    HardClip("mpeg2.mpg", "seeks land nowhere recognisable", source() + MPEG2),
    HardClip("mpeg2.ts", "open groups and late keyframes", source() + MPEG2),
    HardClip("mpeg2_fields.mpg", "interlaced", source() + MPEG2 + "-flags +ildct+ilme"),
    HardClip("mpeg4.avi", "open groups without times", source() + MPEG4),
    HardClip("mpeg4.mp4", "open groups", source() + MPEG4),
    HardClip(
        "xvid_packed.avi",
        "two frames in one packet, then an empty one",
        source() + "-c:v libxvid -bf 2 -g 20 -q:v 3",
    ),
    HardClip("wmv2.wmv", "seeks land early", source() + "-c:v wmv2 -g 20 -q:v 3"),
    HardClip("h263.h263", "every packet is called a keyframe", source("176x144") + "-c:v h263 -g 20 -q:v 3"),
    HardClip("rpza.mov", "the same, in a container", source(pix="rgb555be") + "-c:v rpza"),
    HardClip("theora.ogv", "no frame count; refused by decord", source() + "-c:v libtheora -g 20 -q:v 6"),
    HardClip("dv.avi", "chroma sited at the top left", source("720x576", frames=5) + "-c:v dvvideo"),
    HardClip("mjpeg.mjpeg", "a heap of JPEGs", source(frames=24, pix="yuvj420p") + "-c:v mjpeg -q:v 3"),
    crafted("laced.mkv", "most packets have no time", laced_mkv, "mjpeg.mjpeg"),
    copy("same_times.mkv", "mjpeg.mjpeg", "frames in pairs at one time", "-bsf:v setts=ts=floor(N/2)*2"),
    HardClip("vp8_hidden.webm", "packets that show no frame", "@" + source(frames=80) + "-c:v libvpx " + VPX),
    HardClip(
        "vp9_hidden.webm",
        "two frames in a packet, one shown",
        "@" + source(frames=80) + "-c:v libvpx-vp9 -cpu-used 5 " + VPX,
    ),
    HardClip("av1.mkv", "hidden frames", source() + "-c:v libsvtav1 -preset 11 -g 20 -svtav1-params lp=1"),
    copy("av1_split.mkv", "av1.mkv", "hidden frames in packets of their own", "-bsf:v av1_frame_split"),
    HardClip("small.h264", "nothing; the next one needs it", source("112x96", frames=30) + X264),
    crafted("sizes.h264", "the size changes on the way", join, "h264.h264", "small.h264"),
    HardClip(
        "two_streams.mkv",
        "two pictures, neither the default: the larger one counts",
        "-f lavfi -i testsrc2=s=96x80 -f lavfi -i mandelbrot=s=192x160 -map 0:v -map 1:v -frames:v 30 "
        "-c:v libx264 -g 10 -pix_fmt yuv420p -disposition:v 0",
    ),
    HardClip(
        "cover.mp4",
        "a large still picture beside the video",
        "-i h264.mp4 -f lavfi -i testsrc2=s=600x600 -map 0 -map 1 -c:v:0 copy -c:v:1 png -frames:v:1 1 "
        "-disposition:v:1 attached_pic",
        after=("h264.mp4",),
    ),
    HardClip(
        "delays.gif",
        "each frame its own time, parts transparent",
        source(frames=20, pix="rgb8") + "-c:v gif -fps_mode vfr -vf setpts=PTS+N*N*0.01/TB",
    ),
)


def run_ffmpeg(arguments: list[str], folder: Path) -> None:
    """Run imageio-ffmpeg's program in the folder; its own words are the error's."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-nostdin", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"ffmpeg {shlex.join(arguments)}: {done.stderr.strip()}")


def encode(clip: HardClip, folder: Path, output: str) -> None:
    """Run a clip's command, twice where it asks for two passes."""
    arguments = [*shlex.split(clip.command.lstrip("@")), "-threads", "1"]
    if not clip.command.startswith("@"):
        return run_ffmpeg([*arguments, output], folder)
    with TemporaryDirectory() as scratch:
        statistics = ["-passlogfile", f"{scratch}/pass"]
        run_ffmpeg([*arguments, "-pass", "1", *statistics, "-f", "null", "-"], folder)
        run_ffmpeg([*arguments, "-pass", "2", *statistics, output], folder)


def make_clip(clip: HardClip, folder: Path) -> Path:
    """Make one clip, whose own sources are there; what exists is kept."""
    target, half = folder / clip.name, folder / f"half_{clip.name}"
    if not target.exists():
        if clip.craft:
            half.write_bytes(clip.craft(*((folder / name).read_bytes() for name in clip.after)))
        else:
            encode(clip, folder, half.name)
        half.replace(target)
    return target


def depth(clip: HardClip, table: dict[str, HardClip]) -> int:
    """Return how many clips must be made before this one, one after the other."""
    return 1 + max((depth(table[name], table) for name in clip.after), default=0)


def make_hard_clips(folder: Path, *, workers: int = 2) -> dict[str, Path]:
    """Make every clip that is not there yet.

    Args:
        folder: an existing folder.
        workers: ffmpeg programs side by side.

    Returns:
        name -> file, in the table's order.
    """
    table = {clip.name: clip for clip in HARD_CLIPS}
    depths = {clip.name: depth(clip, table) for clip in HARD_CLIPS}
    with ThreadPoolExecutor(workers) as pool:
        for level in sorted(set(depths.values())):
            list(pool.map(lambda c: make_clip(c, folder), [c for c in HARD_CLIPS if depths[c.name] == level]))
    return {clip.name: folder / clip.name for clip in HARD_CLIPS}
