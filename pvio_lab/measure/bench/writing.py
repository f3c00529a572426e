"""Benchmarks of writing: speed and memory beside peers."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contenders import (
    MB,
    X264,
    Benchmark,
    Work,
    ffmpeg,
    make_clip,
    make_copies,
    resident_bytes,
    tree_bytes,
    videos,
)

Frames = list[NDArray[np.uint8]]
WIDTH, HEIGHT, RATE = 1280, 720, 30


def moving_frames(count: int, width: int = WIDTH, height: int = HEIGHT) -> Frames:
    """Return a drifting picture with some noise, as cameras have it."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 12, (height, 2 * width, 3), np.uint8)
    ramp = np.add.outer(np.arange(height), np.arange(2 * width))[:, :, None] // np.array([2, 3, 5]) % 240
    wide = ramp.astype(np.uint8) + noise
    return [np.ascontiguousarray(wide[:, 7 * k % width :][:, :width]) for k in range(count)]


def encode(folder: str, encoder: str, preset: str) -> Work:
    """Encode frames to H.264; the same preset and CRF for all."""
    frames, path, write = moving_frames(300), f"{folder}/{encoder}.mp4", ENCODERS[encoder]
    write(frames[:2], path, preset)  # what is loaded and looked up once in a process is not part of the work

    def work(count: int) -> int:
        write(frames[:count], path, preset)
        return count

    return work


def _with_pvio_lab(frames: Frames, path: str, preset: str) -> None:
    from ...write import write_frames_to_video

    write_frames_to_video(path, frames, RATE, preset=preset, crf=20, progress=False)


def _by_hand(frames: Frames, path: str, preset: str) -> None:
    from imageio_ffmpeg import get_ffmpeg_exe

    given = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r {RATE} -i -"
    wanted = f"{X264} -preset {preset} -crf 20 -movflags +faststart"
    command = [get_ffmpeg_exe(), "-v", "error", "-y", *given.split(), *wanted.split(), path]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        for frame in frames:
            process.stdin.write(frame.data)


def _with_imageio(frames: Frames, path: str, preset: str) -> None:
    import imageio_ffmpeg

    options = {
        "quality": None,
        "output_params": ["-preset", preset, "-crf", "20"],
        "ffmpeg_log_level": "error",
    }
    writer = imageio_ffmpeg.write_frames(path, (WIDTH, HEIGHT), fps=RATE, **options)
    writer.send(None)
    for frame in frames:
        writer.send(frame)
    writer.close()


def _with_pyav(frames: Frames, path: str, preset: str) -> None:
    import av

    with av.open(path, "w") as container:
        stream: Any = container.add_stream("libx264", Fraction(RATE), options={"preset": preset, "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


ENCODERS: dict[str, Callable[[Frames, str, str], None]] = {
    "pvio_lab": _with_pvio_lab,
    "ffmpeg fed by hand": _by_hand,
    "imageio": _with_imageio,
    "PyAV": _with_pyav,
}


def join(folder: str) -> Work:
    """Join files without encoding them again."""
    from ...write import concatenate_video_files

    paths, place = videos(folder), Path(folder) / "own"
    place.mkdir(exist_ok=True)

    def work() -> None:
        concatenate_video_files(paths, place / "all.mp4")

    return work


def join_with_ffmpeg(folder: str) -> Work:
    """Join files without encoding them again."""
    place = Path(folder) / "peer"
    place.mkdir(exist_ok=True)
    names = place / "list.txt"
    names.write_text("".join(f"file '{path}'\n" for path in videos(folder)), "utf-8")
    return lambda: ffmpeg("-f", "concat", "-safe", 0, "-i", names, "-c", "copy", place / "all.mp4")


def write_long(folder: str) -> Work:
    """Write from a generator of frames, and measure what Python and ffmpeg hold."""
    from ...write import write_frames_to_video

    frames = moving_frames(30)

    def work(count: int) -> dict[str, float]:
        begin, own, child = resident_bytes(), [0], [0]

        def many() -> Iterator[NDArray[np.uint8]]:
            for number in range(count):
                if number % (count // 10) == count // 10 - 1:
                    own.append(resident_bytes() - begin)
                    child.append(tree_bytes(os.getpid()) - resident_bytes())
                yield frames[number % len(frames)]

        write_frames_to_video(f"{folder}/long.mp4", many(), RATE, preset="ultrafast", progress=False)
        return {"MB more": max(own) / MB, "MB of ffmpeg": max(child) / MB}

    return work


def record(folder: str, preset: str | None) -> Work:
    """Record three cameras of 640x480, 30 frames a second each, in real time."""
    from ...write import StreamingVideoEncoder

    frames, keys = moving_frames(60, 640, 480), ("front", "left", "wrist")

    def work(seconds: float) -> dict[str, float]:
        taken = list[float]()
        with StreamingVideoEncoder(RATE, preset=preset, overwrite=True) as recorder:
            recorder.start_episode(keys, f"{folder}/episode_{preset}")
            begin = time.perf_counter()
            for number in range(int(seconds * RATE)):
                time.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
                for key in keys:
                    before = time.perf_counter()
                    recorder.feed_frame(key, frames[number % len(frames)])
                    taken.append(time.perf_counter() - before)
            episode = recorder.finish_episode()
        middle, late, latest = np.percentile(taken, [50, 99, 100]) * 1e3
        dropped = sum(video.dropped_frames for video in episode.values())
        return {"frames dropped": dropped, "ms": middle, "ms, 99%": late, "ms, longest": latest}

    return work


# --- the benchmarks ---


def _make_nothing(folder: Path, is_quick: bool) -> None:
    pass


_WRITTEN = ("written", _make_nothing)
SPEED = {
    preset: Benchmark(
        f"300 frames of 1280x720 to H.264, preset {preset}",
        {name: (encode, name, preset) for name in ENCODERS},
        _WRITTEN,
        [(300,)] * 5,
        [(30,)],
        ["frames/s"],
    )
    for preset in ("ultrafast", "veryfast", "medium")
}


def _joining(most: int, seconds: int, size: str, sound: bool) -> Benchmark:
    def make(folder: Path, is_quick: bool) -> None:
        first = make_clip(folder / "0000.mp4", size, 30 * seconds, f"{X264} -preset veryfast", noise=0)
        if sound:
            silent = first.rename(folder / "silent")
            tone = f"-f lavfi -i sine=440:r=44100:d={seconds} -c:v copy -c:a aac".split()
            ffmpeg("-i", silent, *tone, first)
            silent.unlink()
        make_copies(first, [f"{number:04}.mp4" for number in range(1, 10 if is_quick else most)])

    title = f"joining {most} files of {seconds} s, {size}{', with sound' if sound else ''}"
    entrants = {"pvio_lab": (join,), "ffmpeg": (join_with_ffmpeg,)}
    return Benchmark(title, entrants, (title, make), [()] * 9, [()] * 3, ["ms"], is_fresh=False)


JOINING = {
    (most, sound): _joining(most, seconds, size, sound)
    for most, seconds, size in ((100, 2, "320x240"), (500, 1, "160x120"), (4, 120, "640x360"))
    for sound in (False, True)
}
MEMORY = Benchmark(
    "memory for 5,000 frames of 1280x720",
    {"pvio_lab": (write_long,)},
    _WRITTEN,
    [(5000,)],
    [(200,)],
    ["MB more", "MB of ffmpeg"],
    warms_up=False,
)
RECORDING = Benchmark(
    "three cameras of 640x480 at 30/s for 60 s",
    {"ultrafast": (record, "ultrafast"), "default preset": (record, None)},
    _WRITTEN,
    [(60,)],
    [(3,)],
    ["frames dropped", "ms", "ms, 99%", "ms, longest"],
    warms_up=False,
)
BENCHMARKS = [*SPEED.values(), *JOINING.values(), MEMORY, RECORDING]
