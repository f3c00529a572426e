"""The videos that benchmarks read: encoded here, with x264's defaults where nothing else is said."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

X264 = "-c:v libx264 -pix_fmt yuv420p"


def ffmpeg(*arguments: object) -> None:
    """Runs the ffmpeg program that this library uses, too."""
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def make_clip(
    path: Path,
    size: str,
    frames: int,
    options: str = X264,
    seed: int = 0,
    noise: int = 6,
    picture: str = "testsrc2",
) -> Path:
    """A moving picture, with some noise as cameras have it; another seed, another video."""
    grain = f",noise=alls={noise}:allf=t:all_seed={seed}" if noise else ""
    source = f"{picture}=size={size}:rate=30,trim=start_frame={seed},setpts=PTS-STARTPTS{grain}"
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", frames, *options.split(), path)
    return path


def copies(path: Path, targets: list[Path]) -> None:
    """The same bytes under other names, as files of their own."""
    for target in targets:
        shutil.copyfile(path, target)


def videos(folder: str | Path) -> list[str]:
    """The videos of a folder, in order."""
    return sorted(map(str, Path(folder).glob("*.mp4")))


def num_frames(path: str | Path) -> int:
    """What a video is named for: '03_320.mp4' has 320 frames."""
    return int(Path(path).stem.rpartition("_")[2])
