"""The contenders of the benchmarks of writing."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .child import Kind
from .media import ffmpeg, videos
from .memory import MB, resident_bytes, tree_bytes

Frames = NDArray[np.uint8]
RATE = 30


def moving_frames(count: int, width: int = 1280, height: int = 720) -> list[Frames]:
    """A drifting picture with some noise, as cameras have it."""
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
        from ...write.functions import write_frames_to_video

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
        from ...write.concat import concatenate_video_files

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
    """A generator of frames of 1280x720: what Python and ffmpeg hold while they go by."""

    def __init__(self, folder: str):
        self._frames, self._path = moving_frames(30), Path(folder) / "long.mp4"

    def write_many(self, count: int) -> dict[str, float]:
        import os

        from ...write.functions import write_frames_to_video

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
        from ...write.recorder import StreamingVideoEncoder

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
