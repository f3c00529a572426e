"""Benchmarks of reading: speed and memory beside peers."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .lab import Benchmark, Entrants, Figure, Kind, Lab, Task
from .media import MB, X264, copies, make_clip, open_files, resident_bytes


class _Reader:
    """Opens the same file again and again, and keeps one reader of it."""

    def __init__(self, make: Callable[[], Any]):
        self._open, self._reader = make, make()

    def cold(self, number: int) -> None:
        reader = self._open()
        self._show(reader, number)
        self._close(reader)

    def opening(self) -> None:
        self._close(self._open())

    def step(self, number: int) -> None:
        self._show(self._reader, number)

    def frames(self) -> int:
        return sum(1 for _ in self._open())

    def _show(self, reader: Any, number: int) -> None:
        _ = reader[number]

    def _close(self, reader: Any) -> None:
        pass


class _PvioLab(_Reader):
    def __init__(self, path: str):
        from ...read import VideoReader

        super().__init__(partial(VideoReader, path))

    def random(self, numbers: list[int]) -> int:
        return len(self._reader[numbers])

    def batches(self) -> int:
        return sum(len(frames) for _, frames in self._reader.batches(32))

    def frames(self) -> int:
        return sum(1 for _ in self._reader)

    def _close(self, reader: Any) -> None:
        reader.close()


class _TorchCodec(_Reader):
    def __init__(self, path: str, threads: int):
        make = import_module("torchcodec.decoders").VideoDecoder
        super().__init__(partial(make, path, num_ffmpeg_threads=threads, dimension_order="NHWC"))

    def random(self, numbers: list[int]) -> int:
        return len(self._reader.get_frames_at(numbers).data)

    def batches(self) -> int:
        reader = self._open()
        starts, total = range(0, len(reader), 32), len(reader)
        return sum(len(reader.get_frames_in_range(k, min(k + 32, total)).data) for k in starts)


class _Decord(_Reader):
    def __init__(self, path: str):
        super().__init__(partial(import_module("decord").VideoReader, path))

    def random(self, numbers: list[int]) -> int:
        frames = self._reader.get_batch(numbers).asnumpy()
        self._reader.seek(0)  # else it goes on decoding in the background
        return len(frames)

    def _show(self, reader: Any, number: int) -> None:
        reader[number].asnumpy()


class _Ffmpeg:
    def __init__(self, path: str, frames: int):
        from imageio_ffmpeg import get_ffmpeg_exe

        wanted = "-f rawvideo -pix_fmt rgb24 -y".split()
        self._frames = frames
        self._command = [get_ffmpeg_exe(), "-v", "error", "-i", path, *wanted, os.devnull]

    def batches(self) -> int:
        subprocess.run(self._command, check=True)
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
        from ...read import get_video_metadata

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
    """Uses readers in some way, and measures how much more they hold at the end than after a while."""

    def __init__(self, folder: str, way: str):
        from ...read import VideoReader

        self._open, self._way = VideoReader, way
        self._long = f"{folder}/long.mp4"
        self._many = sorted((Path(folder) / "many").glob("*.mp4"))
        self._rng = np.random.default_rng(0)

    def grow(self, is_quick: bool) -> dict[str, float]:
        begin = getattr(self, self._way)(is_quick)
        held, files = (now - before for now, before in zip(_held(), begin, strict=True))
        return {"MB more": held / MB, "files more": files}

    def many_files(self, is_quick: bool) -> tuple[int, int]:
        """Read at random from many open readers; the second half counts."""
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
        """Read batches of 32 frames spread over a long video; those after the first five count."""
        self._reader = self._open(self._long)
        begin = (0, 0)
        for call in range(8 if is_quick else 30):
            if call == 5:
                begin = _held()
            _ = self._reader[self._rng.integers(0, len(self._reader), 32)]
        return begin

    def idle(self, is_quick: bool) -> tuple[int, int]:
        """Read one frame, then nothing for five seconds."""
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


NUM_FRAMES = 600
CLIPS = {  # name: (size, options); x264's defaults but for the last
    "320x240": ("320x240", X264),
    "640x360": ("640x360", X264),
    "1280x720": ("1280x720", X264),
    "640x480 GOP 2": ("640x480", f"{X264} -g 2"),
}
ENTRANTS: Entrants = {
    "pvio_lab": ("pvio_lab",),
    "torchcodec, 1 thread": ("torchcodec", 1),
    "torchcodec, 2 threads": ("torchcodec", 2),
    "decord": ("decord",),
    "ffmpeg": ("ffmpeg", NUM_FRAMES),
    "a demux pass": ("demux",),
}
_PEERS_AT_RANDOM = ("pvio_lab", "torchcodec", "decord")


def _family(
    title: str, names: Sequence[str], unit: str, tasks: Callable[[Lab], list[Task]]
) -> dict[str, Benchmark]:
    """Return a benchmark for each clip; `tasks` makes one task for each round."""

    def measure(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
        size, options = CLIPS[clip]
        place = lab.place(clip, lambda folder: make_clip(folder / "clip.mp4", size, NUM_FRAMES, options))
        return lab.compare(title, __name__, entrants, place / "clip.mp4", tasks(lab), [unit])

    entrants = {name: entrant for name, entrant in ENTRANTS.items() if name.partition(",")[0] in names}
    return {clip: Benchmark(f"{title}, {clip}", entrants, partial(measure, clip=clip)) for clip in CLIPS}


def _random_tasks(lab: Lab) -> list[Task]:
    rng = np.random.default_rng(0)
    return [("random", rng.integers(0, NUM_FRAMES, 100).tolist()) for _ in range(lab.pick(7, 1))]


def _cold_tasks(lab: Lab) -> list[Task]:
    numbers = np.random.default_rng(0).integers(0, NUM_FRAMES, lab.pick(28, 3)).tolist()
    return [("cold", number) for number in numbers]


RANDOM = _family("100 random frames of 600 in one call", _PEERS_AT_RANDOM, "frames/s", _random_tasks)
IN_ORDER = _family(
    "in order, batches of 32",
    ("pvio_lab", "torchcodec", "ffmpeg"),
    "frames/s",
    lambda lab: [("batches",)] * lab.pick(7, 1),
)
ONE_BY_ONE = _family(
    "in order, one by one",
    ("pvio_lab", "torchcodec"),
    "frames/s",
    lambda lab: [("frames",)] * lab.pick(7, 1),
)
COLD = _family("open and read one", _PEERS_AT_RANDOM, "ms", _cold_tasks)
OPEN = _family(
    "open", (*_PEERS_AT_RANDOM, "a demux pass"), "ms", lambda lab: [("opening",)] * lab.pick(14, 3)
)
STEP = _family(
    "a step to the next frame",
    _PEERS_AT_RANDOM,
    "ms",
    lambda lab: [("step", number) for number in range(300, 300 + lab.pick(40, 10))],
)


def _facts(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    source = lab.place("small files", lambda folder: _make_copies(folder, lab.pick(1000, 100), 30))
    tasks = [("facts",)] * lab.pick(3, 1)
    return lab.compare(title, __name__, entrants, source, tasks, ["ms"], fresh=True)


def _growth(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """Measure memory and open files, while a reader or many of them are used."""
    source = lab.place("long video and copies", partial(_make_long, lab=lab))
    tasks, units = [("grow", lab.is_quick)] * lab.pick(3, 1), ["MB more", "files more"]
    return lab.compare(title, __name__, entrants, source, tasks, units, fresh=True, warm_up=False)


def _make_copies(folder: Path, count: int, frames: int) -> None:
    first = make_clip(folder / "0.mp4", "320x240", frames)
    copies(first, [folder / f"{number}.mp4" for number in range(1, count)])


def _make_long(folder: Path, lab: Lab) -> None:
    make_clip(folder / "long.mp4", "1280x720", lab.pick(3600, 300))
    (folder / "many").mkdir()
    _make_copies(folder / "many", lab.pick(300, 20), lab.pick(NUM_FRAMES, 60))


FACTS = Benchmark(
    "the facts of 1,000 small files", {"new": ("facts", True), "remembered": ("facts", False)}, _facts
)
GROWTH = Benchmark(
    "what readers hold",
    {way: ("growth", way.replace(" ", "_")) for way in ("many files", "sparse batches", "idle")},
    _growth,
)
BENCHMARKS = [
    *(each for family in (RANDOM, IN_ORDER, ONE_BY_ONE, COLD, OPEN, STEP) for each in family.values()),
    FACTS,
    GROWTH,
]
