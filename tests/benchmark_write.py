"""How fast and frugal writing is: python tests/benchmark_write.py [speed] [memory] [concat] [record]

All take turns, and each time another begins. Shown are medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

REPEATS = 9
Frames = NDArray[np.uint8]


def ffmpeg(*arguments: object) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)


def in_turn(*tasks: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    """The median of the seconds that each task takes; all take turns, after one round that does not count."""
    seconds: list[list[float]] = [[] for _ in tasks]
    order = list(range(len(tasks)))
    for repeat in range(repeats + 1):
        order.append(order.pop(0))
        for row in order:
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


# --- encoding ---

RATE = 30


def moving_frames(count: int, width: int = 1280, height: int = 720) -> list[Frames]:
    """A drifting picture with some noise, as cameras have it."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 12, (height, 2 * width, 3), np.uint8)
    ramp = np.add.outer(np.arange(height), np.arange(2 * width))[:, :, None] // np.array([2, 3, 5]) % 240
    wide = ramp.astype(np.uint8) + noise
    return [np.ascontiguousarray(wide[:, 7 * k % width :][:, :width]) for k in range(count)]


def speed(folder: Path) -> None:
    """300 frames of 1280x720 to H.264, with the same preset and CRF."""
    frames = moving_frames(300)
    for preset in ("ultrafast", "veryfast", "medium"):
        options = ["-preset", preset, "-crf", "20"]
        writers: dict[str, Callable[[], object]] = {
            "pvio_lab": lambda preset=preset: pvio_writes(folder, frames, preset),
            "ffmpeg fed by hand": lambda options=options: hand_writes(folder, frames, options),
            "imageio": lambda options=options: imageio_writes(folder, frames, options),
            "PyAV": lambda preset=preset: pyav_writes(folder, frames, preset),
        }
        seconds = dict(zip(writers, in_turn(*writers.values(), repeats=5), strict=True))
        rates = {name: len(frames) / value for name, value in seconds.items()}
        texts = " | ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
        ratios = ", ".join(
            f"{rates['pvio_lab'] / rate:.2f} of {name}" for name, rate in rates.items() if name != "pvio_lab"
        )
        print(f"{preset}, frames/s: {texts} | {ratios}", flush=True)


def pvio_writes(folder: Path, frames: list[Frames], preset: str) -> None:
    import pvio_lab

    path = folder / "pvio.mp4"
    pvio_lab.write_frames_to_video(path, frames, RATE, preset=preset, progress=False)


def hand_writes(folder: Path, frames: list[Frames], options: list[str]) -> None:
    height, width = frames[0].shape[:2]
    given = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {RATE} -i -".split()
    wanted = ["-c:v", "libx264", "-pix_fmt", "yuv420p", *options, "-movflags", "+faststart"]
    command = [get_ffmpeg_exe(), "-v", "error", "-y", *given, *wanted, str(folder / "hand.mp4")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        for frame in frames:
            process.stdin.write(frame.data)


def imageio_writes(folder: Path, frames: list[Frames], options: list[str]) -> None:
    from imageio_ffmpeg import write_frames

    height, width = frames[0].shape[:2]
    writer = write_frames(
        str(folder / "imageio.mp4"),
        (width, height),
        fps=RATE,
        quality=None,
        output_params=options,
        ffmpeg_log_level="error",
    )
    writer.send(None)
    for frame in frames:
        writer.send(frame)
    writer.close()


def pyav_writes(folder: Path, frames: list[Frames], preset: str) -> None:
    import av

    with av.open(str(folder / "pyav.mp4"), "w") as container:
        stream = container.add_stream("libx264", RATE, options={"preset": preset, "crf": "20"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


# --- memory ---


def memory(folder: Path) -> None:
    """A generator of 5,000 frames of 1280x720: what Python and ffmpeg hold while they go by."""
    import psutil

    import pvio_lab

    process, frames = psutil.Process(), moving_frames(30)
    begin = process.memory_info().rss

    def many(count: int) -> Iterator[Frames]:
        for number in range(count):
            if number % (count // 10) == count // 10 - 1:
                child = sum(each.memory_info().rss for each in process.children())
                own = (process.memory_info().rss - begin) / 2**20
                print(f"  frame {number + 1}: {own:.0f} MiB more, ffmpeg {child / 2**20:.0f} MiB", flush=True)
            yield frames[number % len(frames)]

    pvio_lab.write_frames_to_video(folder / "long.mp4", many(5000), RATE, preset="ultrafast", progress=False)


# --- recording ---


def record(folder: Path, seconds: float = 60) -> None:
    """Three cameras of 640x480, 30 frames a second each, in real time; nothing may be dropped."""
    import pvio_lab

    frames, keys = moving_frames(60, 640, 480), ("front", "left", "wrist")
    for preset in ("ultrafast", None):
        taken: list[float] = []
        with pvio_lab.StreamingVideoEncoder(RATE, preset=preset) as recorder:
            recorder.start_episode(keys, folder / "episode")
            begin = time.perf_counter()
            for number in range(int(seconds * RATE)):
                time.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
                for key in keys:
                    before = time.perf_counter()
                    recorder.feed_frame(key, frames[number % len(frames)])
                    taken.append(time.perf_counter() - before)
            videos = recorder.finish_episode()
        middle, late, latest = np.percentile(taken, [50, 99, 100]) * 1e3
        dropped = sum(video.dropped_frames for video in videos.values())
        print(
            f"{preset or 'default preset'}, {seconds:g} s: {dropped} of {len(taken)} dropped; feed_frame "
            f"{middle:.2f} ms, 99th percentile {late:.2f} ms, longest {latest:.1f} ms",
            flush=True,
        )


TASKS: dict[str, Callable[[Path], None]] = {
    "speed": speed,
    "memory": memory,
    "concat": concat,
    "record": record,
}


def main(names: list[str]) -> None:
    for name in names or TASKS:
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n## {name} ({os.cpu_count()} cores)")
            TASKS[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
