"""How fast writing is, beside the ffmpeg program: python tests/benchmark_write.py [concat]

Both take turns. Shown are medians; the ratio is pvio_lab's time to ffmpeg's, so below 1 means faster.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

REPEATS = 9


def ffmpeg(*arguments: object) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)


def in_turn(*tasks: Callable[[], object]) -> list[float]:
    """The median of the seconds that each task takes; all take turns, after one round that does not count."""
    seconds: list[list[float]] = [[] for _ in tasks]
    for repeat in range(REPEATS + 1):
        for row in sorted(range(len(tasks)), reverse=bool(repeat % 2)):
            begin = time.perf_counter()
            tasks[row]()
            if repeat:
                seconds[row].append(time.perf_counter() - begin)
    return [statistics.median(each) for each in seconds]


def concat(folder: Path) -> None:
    """Joining many small files, and a few long ones."""
    for count, seconds, size in ((100, 2, "320x240"), (500, 1, "160x120"), (4, 120, "640x360")):
        for sound in ("", "-f lavfi -i sine=440:r=44100 -c:a aac -shortest"):
            _concat(folder, count, seconds, size, sound)


def _concat(folder: Path, count: int, seconds: int, size: str, sound: str) -> None:
    from pvio_lab.write.concat import concatenate_video_files

    source = f"testsrc2=size={size}:rate=30:duration={seconds}"
    more, _, codec = sound.partition(" -c:a")
    options = f"{more} -c:v libx264 -preset veryfast -pix_fmt yuv420p {'-c:a' + codec if codec else ''}"
    first = folder / "0.mp4"
    ffmpeg("-f", "lavfi", "-i", source, *options.split(), first)
    paths = [first, *(folder / f"{number}.mp4" for number in range(1, count))]
    for path in paths[1:]:
        path.write_bytes(first.read_bytes())
    names = folder / "list.txt"
    names.write_text("".join(f"file '{path}'\n" for path in paths))
    own, peer = in_turn(
        lambda: concatenate_video_files(paths, folder / "own.mp4"),
        lambda: ffmpeg("-f", "concat", "-safe", 0, "-i", names, "-c", "copy", folder / "peer.mp4"),
    )
    title = f"{count} files of {seconds} s, {size}{', with sound' if sound else ''}"
    print(
        f"{title}: pvio_lab {own * 1e3:.0f} ms | ffmpeg {peer * 1e3:.0f} ms | ratio {own / peer:.2f}",
        flush=True,
    )


TASKS: dict[str, Callable[[Path], None]] = {"concat": concat}


def main(names: list[str]) -> None:
    for name in names or TASKS:
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n## {name} ({os.cpu_count()} cores)")
            TASKS[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
