"""Benchmarks of writing: speed and memory beside peers."""

from __future__ import annotations

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .lab import Benchmark, Entrants, Figure, Kind, Lab
from .media import MB, X264, copies, ffmpeg, make_clip, resident_bytes, tree_bytes, videos

Frames = NDArray[np.uint8]
RATE = 30


def moving_frames(count: int, width: int = 1280, height: int = 720) -> list[Frames]:
    """Return a drifting picture with some noise, as cameras have it."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 12, (height, 2 * width, 3), np.uint8)
    ramp = np.add.outer(np.arange(height), np.arange(2 * width))[:, :, None] // np.array([2, 3, 5]) % 240
    wide = ramp.astype(np.uint8) + noise
    return [np.ascontiguousarray(wide[:, 7 * k % width :][:, :width]) for k in range(count)]


class _Encoder(ABC):
    """Has frames, and encodes them to H.264 in some way; the same preset and CRF for all."""

    def __init__(self, folder: str, count: int, preset: str):
        self._frames, self._preset = moving_frames(count), preset
        self._path = Path(folder) / f"{type(self).__name__}.mp4"
        self._options = ["-preset", preset, "-crf", "20"]
        self._size = self._frames[0].shape[1], self._frames[0].shape[0]
        frames, self._frames = self._frames, self._frames[:2]
        self._write()  # what is loaded and looked up once in a process is not part of the work
        self._frames = frames

    def write(self) -> int:
        self._write()
        return len(self._frames)

    @abstractmethod
    def _write(self) -> None: ...


class _PvioLab(_Encoder):
    def _write(self) -> None:
        from ...write import write_frames_to_video

        write_frames_to_video(self._path, self._frames, RATE, preset=self._preset, crf=20, progress=False)


class _ByHand(_Encoder):
    def _write(self) -> None:
        from imageio_ffmpeg import get_ffmpeg_exe

        width, height = self._size
        given = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {RATE} -i -".split()
        wanted = ["-c:v", "libx264", "-pix_fmt", "yuv420p", *self._options, "-movflags", "+faststart"]
        command = [get_ffmpeg_exe(), "-v", "error", "-y", *given, *wanted, str(self._path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin
            for frame in self._frames:
                process.stdin.write(frame.data)


class _ImageIO(_Encoder):
    def _write(self) -> None:
        writer = import_module("imageio_ffmpeg").write_frames(
            str(self._path),
            self._size,
            fps=RATE,
            quality=None,
            output_params=self._options,
            ffmpeg_log_level="error",
        )
        writer.send(None)
        for frame in self._frames:
            writer.send(frame)
        writer.close()


class _PyAV(_Encoder):
    def _write(self) -> None:
        av = import_module("av")
        with av.open(str(self._path), "w") as container:
            options = {"preset": self._preset, "crf": "20"}
            stream = container.add_stream("libx264", Fraction(RATE), options=options)
            stream.width, stream.height = self._size
            stream.pix_fmt = "yuv420p"
            for frame in self._frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            container.mux(stream.encode())


class _PvioJoins:
    def __init__(self, folder: str):
        self._paths, self._target = videos(folder), Path(folder) / "own" / "all.mp4"

    def join(self) -> None:
        from ...write import concatenate_video_files

        self._target.parent.mkdir(exist_ok=True)
        concatenate_video_files(self._paths, self._target)


class _FfmpegJoins:
    def __init__(self, folder: str):
        place = Path(folder) / "peer"
        place.mkdir(exist_ok=True)
        self._names, self._target = place / "list.txt", place / "all.mp4"
        self._names.write_text("".join(f"file '{path}'\n" for path in videos(folder)), "utf-8")

    def join(self) -> None:
        ffmpeg("-f", "concat", "-safe", 0, "-i", self._names, "-c", "copy", self._target)


class _Memory:
    """Writes from a generator of frames of 1280x720, and measures what Python and ffmpeg hold."""

    def __init__(self, folder: str):
        self._frames, self._path = moving_frames(30), Path(folder) / "long.mp4"

    def write_many(self, count: int) -> dict[str, float]:
        from ...write import write_frames_to_video

        begin, own, child = resident_bytes(), [0], [0]

        def many() -> Iterator[Frames]:
            for number in range(count):
                if number % (count // 10) == count // 10 - 1:
                    own.append(resident_bytes() - begin)
                    child.append(tree_bytes(os.getpid()) - resident_bytes())
                yield self._frames[number % len(self._frames)]

        write_frames_to_video(self._path, many(), RATE, preset="ultrafast", progress=False)
        return {"MB more": max(own) / MB, "MB of ffmpeg": max(child) / MB}


class _Recorder:
    """Three cameras of 640x480, 30 frames a second each, in real time."""

    def __init__(self, folder: str, preset: str | None):
        self._frames, self._preset = moving_frames(60, 640, 480), preset
        self._folder = Path(folder) / f"episode_{preset}"

    def record(self, seconds: float) -> dict[str, float]:
        from ...write import StreamingVideoEncoder

        keys, taken = ("front", "left", "wrist"), list[float]()
        with StreamingVideoEncoder(RATE, preset=self._preset, overwrite=True) as recorder:
            recorder.start_episode(keys, self._folder)
            begin = time.perf_counter()
            for number in range(int(seconds * RATE)):
                time.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
                for key in keys:
                    before = time.perf_counter()
                    recorder.feed_frame(key, self._frames[number % len(self._frames)])
                    taken.append(time.perf_counter() - before)
            videos = recorder.finish_episode()
        middle, late, latest = np.percentile(taken, [50, 99, 100]) * 1e3
        dropped = sum(video.dropped_frames for video in videos.values())
        return {"frames dropped": dropped, "ms": middle, "ms, 99%": late, "ms, longest": latest}


KINDS = {
    "pvio_lab": Kind(_PvioLab),
    "ffmpeg": Kind(_ByHand, "imageio_ffmpeg"),
    "imageio": Kind(_ImageIO, "imageio_ffmpeg"),
    "pyav": Kind(_PyAV, "av"),
    "pvio_lab joins": Kind(_PvioJoins),
    "ffmpeg joins": Kind(_FfmpegJoins, "imageio_ffmpeg"),
    "memory": Kind(_Memory),
    "recorder": Kind(_Recorder),
}


# --- the benchmarks ---


def _speed(lab: Lab, title: str, entrants: Entrants, *, preset: str) -> list[Figure]:
    """Encode 300 frames of 1280x720 to H.264, from memory, with the same preset and CRF."""
    given = {name: (*entrant, lab.pick(300, 30), preset) for name, entrant in entrants.items()}
    tasks = [("write",)] * lab.pick(5, 1)
    return lab.compare(title, __name__, given, lab.place("written"), tasks, ["frames/s"], fresh=True)


def _joining(
    lab: Lab, title: str, entrants: Entrants, *, count: int, seconds: int, size: str, sound: bool
) -> list[Figure]:
    """Join files without encoding them again."""
    make = partial(_make_pieces, count=lab.pick(count, 10), seconds=seconds, size=size, sound=sound)
    source = lab.place(title, make)
    return lab.compare(title, __name__, entrants, source, [("join",)] * lab.pick(9, 3), ["ms"])


def _once(
    lab: Lab, title: str, entrants: Entrants, *, task: str, full: int, quick: int, units: list[str]
) -> list[Figure]:
    """Do one long task once."""
    source, tasks = lab.place("written"), [(task, lab.pick(full, quick))]
    return lab.compare(title, __name__, entrants, source, tasks, units, fresh=True, warm_up=False)


def _make_pieces(folder: Path, count: int, seconds: int, size: str, sound: bool) -> None:
    first = make_clip(folder / "0000.mp4", size, 30 * seconds, f"{X264} -preset veryfast", noise=0)
    if sound:
        silent = first.rename(folder / "silent")
        tone = f"-f lavfi -i sine=440:r=44100:d={seconds} -c:v copy -c:a aac".split()
        ffmpeg("-i", silent, *tone, first)
        silent.unlink()
    copies(first, [folder / f"{number:04}.mp4" for number in range(1, count)])


_ENCODERS: Entrants = {
    "pvio_lab": ("pvio_lab",),
    "ffmpeg fed by hand": ("ffmpeg",),
    "imageio": ("imageio",),
    "PyAV": ("pyav",),
}
SPEED = {
    preset: Benchmark(
        f"300 frames of 1280x720 to H.264, preset {preset}", _ENCODERS, partial(_speed, preset=preset)
    )
    for preset in ("ultrafast", "veryfast", "medium")
}
JOINING = {
    (count, sound): Benchmark(
        f"joining {count} files of {seconds} s, {size}{', with sound' if sound else ''}",
        {"pvio_lab": ("pvio_lab joins",), "ffmpeg": ("ffmpeg joins",)},
        partial(_joining, count=count, seconds=seconds, size=size, sound=sound),
    )
    for count, seconds, size in ((100, 2, "320x240"), (500, 1, "160x120"), (4, 120, "640x360"))
    for sound in (False, True)
}
MEMORY = Benchmark(
    "memory for 5,000 frames of 1280x720",
    {"pvio_lab": ("memory",)},
    partial(_once, task="write_many", full=5000, quick=200, units=["MB more", "MB of ffmpeg"]),
)
_TIMES = ["frames dropped", "ms", "ms, 99%", "ms, longest"]
RECORDING = Benchmark(
    "three cameras of 640x480 at 30/s for 60 s",
    {"ultrafast": ("recorder", "ultrafast"), "default preset": ("recorder", None)},
    partial(_once, task="record", full=60, quick=3, units=_TIMES),
)
BENCHMARKS = [*SPEED.values(), *JOINING.values(), MEMORY, RECORDING]
