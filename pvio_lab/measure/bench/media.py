"""The videos that benchmarks read, encoded with x264's defaults where nothing else is said; and memory.

The numbers of the system are read from /proc: a look at the memory of a contender takes 0.05 ms, by psutil,
which reads about all processes to find the children of one, 1.6 ms.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

X264 = "-c:v libx264 -pix_fmt yuv420p"


def ffmpeg(*arguments: object) -> None:
    """Run the ffmpeg program that this library uses, too."""
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
    """Make a moving picture, with some noise as cameras have it; another seed, another video."""
    grain = f",noise=alls={noise}:allf=t:all_seed={seed}" if noise else ""
    source = f"{picture}=size={size}:rate=30,trim=start_frame={seed},setpts=PTS-STARTPTS{grain}"
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", frames, *options.split(), path)
    return path


def copies(path: Path, targets: list[Path]) -> None:
    """Write the same bytes under other names, as files of their own."""
    for target in targets:
        shutil.copyfile(path, target)


def videos(folder: str | Path) -> list[str]:
    """Return the videos of a folder, in order."""
    return sorted(map(str, Path(folder).glob("*.mp4")))


def num_frames(path: str | Path) -> int:
    """Return the number of frames that a video is named for: '03_320.mp4' has 320."""
    return int(Path(path).stem.rpartition("_")[2])


MB = 1e6


def resident_bytes(pid: int | str = "self") -> int:
    """Return the memory that a process holds now."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def peak_bytes() -> int:
    """Return the most memory that this process ever held.

    `ru_maxrss` counts what its parent held when it was started, so on Linux it is read elsewhere.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def tree_bytes(pid: int) -> int:
    """Return what a process and all its descendants hold; pages that they share count for each of them."""
    children: list[int] = []
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError, ValueError):
            children += map(int, place.read_text().split())
    return resident_bytes(pid) + sum(map(tree_bytes, children))


def open_files() -> int:
    """Return how many file descriptors this process has."""
    for place in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(place))
    return 0


class OtherPrograms:
    """A watch on all other programs; not on this one, nor on those it has started and seen ending."""

    def __init__(self) -> None:
        self._begin = self._now()

    def cores(self) -> float | None:
        """Return how many processors they have kept busy since then; None where the system does not say."""
        busy, own, clock = (now - then for now, then in zip(self._now(), self._begin, strict=True))
        if not self._begin[0] or clock <= 0:
            return None
        return max(0.0, busy - own) / clock

    def _now(self) -> tuple[float, float, float]:
        return _busy_seconds(), sum(os.times()[:4]), time.perf_counter()


def _busy_seconds() -> float:
    """Return the time that all processors have worked so far: neither idle, nor waiting for a disk."""
    with suppress(OSError, ValueError, AttributeError):
        ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return (sum(ticks[:3]) + sum(ticks[5:8])) / os.sysconf("SC_CLK_TCK")
    return 0.0
