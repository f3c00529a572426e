"""The contenders of the benchmarks of reading, each with the same few tasks.

A task returns how many frames there were, where that is measured.
"""

from __future__ import annotations

import os
import subprocess
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .child import Kind
from .memory import MB, open_files, resident_bytes


class _PvioLab:
    def __init__(self, path: str):
        from ...read.reader import VideoReader

        self._open = partial(VideoReader, path)
        self._reader = self._open()

    def random(self, numbers: list[int]) -> int:
        return len(self._reader[numbers])

    def batches(self) -> int:
        return sum(len(frames) for _, frames in self._reader.batches(32))

    def frames(self) -> int:
        return sum(1 for _ in self._reader)

    def cold(self, number: int) -> None:
        with self._open() as reader:
            _ = reader[number]

    def opening(self) -> None:
        self._open().close()

    def step(self, number: int) -> None:
        _ = self._reader[number]


class _TorchCodec:
    def __init__(self, path: str, threads: int):
        make = import_module("torchcodec.decoders").VideoDecoder
        self._open = partial(make, path, num_ffmpeg_threads=threads, dimension_order="NHWC")
        self._reader = self._open()

    def random(self, numbers: list[int]) -> int:
        return len(self._reader.get_frames_at(numbers).data)

    def batches(self) -> int:
        reader = self._open()
        total = len(reader)
        return sum(
            len(reader.get_frames_in_range(start, min(start + 32, total)).data)
            for start in range(0, total, 32)
        )

    def frames(self) -> int:
        return sum(1 for _ in self._open())

    def cold(self, number: int) -> None:
        _ = self._open()[number]

    def opening(self) -> None:
        self._open()

    def step(self, number: int) -> None:
        _ = self._reader[number]


class _Decord:
    def __init__(self, path: str):
        make = import_module("decord").VideoReader
        self._open = partial(make, path)
        self._reader = self._open()

    def random(self, numbers: list[int]) -> int:
        frames = self._reader.get_batch(numbers).asnumpy()
        self._reader.seek(0)  # else it goes on decoding in the background
        return len(frames)

    def cold(self, number: int) -> None:
        self._open()[number].asnumpy()

    def opening(self) -> None:
        self._open()

    def step(self, number: int) -> None:
        self._reader[number].asnumpy()


class _Ffmpeg:
    def __init__(self, path: str, frames: int):
        from imageio_ffmpeg import get_ffmpeg_exe

        self._frames = frames
        self._command = [
            get_ffmpeg_exe(),
            "-v",
            "error",
            "-i",
            path,
            *"-f rawvideo -pix_fmt rgb24 -y".split(),
        ]

    def batches(self) -> int:
        subprocess.run([*self._command, os.devnull], check=True)
        return self._frames


class _Demux:
    def __init__(self, path: str):
        self._path = path

    def opening(self) -> None:
        with import_module("av").open(self._path) as container:
            for _ in container.demux(video=0):
                pass


class _Facts:
    """Facts of many files, new or remembered."""

    def __init__(self, folder: str, is_new: bool):
        from ...read.metadata import get_video_metadata

        self._get, self._paths = get_video_metadata, sorted(Path(folder).glob("*.mp4"))
        if is_new:
            for place in Path(folder).glob("*.metadata.json"):
                place.unlink()
        else:
            self.facts()

    def facts(self) -> None:
        for path in self._paths:
            self._get(path)


class _Growth:
    """Uses readers in some way; what is held more at the end than after the beginning of that."""

    def __init__(self, folder: str, way: str):
        from ...read.reader import VideoReader

        self._open, self._way = VideoReader, way
        self._long = f"{folder}/long.mp4"
        self._many = sorted((Path(folder) / "many").glob("*.mp4"))
        self._rng = np.random.default_rng(0)

    def grow(self, is_quick: bool) -> dict[str, float]:
        begin = getattr(self, self._way)(is_quick)
        held, files = (now - before for now, before in zip(_held(), begin, strict=True))
        return {"MB more": held / MB, "files more": files}

    def many_files(self, is_quick: bool) -> tuple[int, int]:
        """Random reads over many open readers; the last half of them."""
        reads = 400 if is_quick else 10_000
        self._readers: dict[int, Any] = {}
        begin = (0, 0)
        for read in range(reads):
            if read == reads // 2:
                begin = _held()
            number = int(self._rng.integers(len(self._many)))
            if number not in self._readers:
                self._readers[number] = self._open(self._many[number])
            reader = self._readers[number]
            _ = reader[int(self._rng.integers(len(reader)))]
        return begin

    def sparse_batches(self, is_quick: bool) -> tuple[int, int]:
        """Batches of 32 frames each, spread over a long video; after the first five of them."""
        self._reader = self._open(self._long)
        begin = (0, 0)
        for call in range(8 if is_quick else 30):
            if call == 5:
                begin = _held()
            _ = self._reader[self._rng.integers(0, len(self._reader), 32)]
        return begin

    def idle(self, is_quick: bool) -> tuple[int, int]:
        """One frame, then nothing for five seconds."""
        self._reader = self._open(self._long)
        _ = self._reader[len(self._reader) // 3]
        begin = _held()
        time.sleep(0.5 if is_quick else 5)
        return begin


def _held() -> tuple[int, int]:
    return resident_bytes(), open_files()


_PEERS = 'pip install "pvio_lab[peers]"'
KINDS = {
    "pvio_lab": Kind(_PvioLab),
    "torchcodec": Kind(_TorchCodec, "torchcodec.decoders", _PEERS),
    "decord": Kind(_Decord, "decord"),
    "ffmpeg": Kind(_Ffmpeg, "imageio_ffmpeg"),
    "demux": Kind(_Demux, "av"),
    "facts": Kind(_Facts),
    "growth": Kind(_Growth),
}
