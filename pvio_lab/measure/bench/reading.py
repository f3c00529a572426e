"""How fast and frugal reading is, beside its peers."""

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
from .lab import Benchmark, Entrants, Figure, Lab, Task
from .media import MB, X264, copies, make_clip, open_files, resident_bytes


class _PvioLab:
    def __init__(self, path: str):
        from ...read import VideoReader

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
    """Uses readers in some way; what is held more at the end than after the beginning of that."""

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


def _entrants(*names: str) -> Entrants:
    return {name: entrant for name, entrant in ENTRANTS.items() if name.partition(",")[0] in names}


# --- what is measured ---


def random(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
    """100 random frames in one call."""
    rng = np.random.default_rng(0)
    tasks = [("random", rng.integers(0, NUM_FRAMES, 100).tolist()) for _ in range(lab.pick(7, 1))]
    return _compare(lab, title, entrants, clip, tasks, "frames/s")


def in_order(lab: Lab, title: str, entrants: Entrants, *, clip: str, task: str = "batches") -> list[Figure]:
    """A pass over the video, in batches of 32 or one by one."""
    return _compare(lab, title, entrants, clip, [(task,)] * lab.pick(7, 1), "frames/s")


def cold(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
    """Opening, and one frame anywhere."""
    numbers = np.random.default_rng(0).integers(0, NUM_FRAMES, lab.pick(28, 3)).tolist()
    return _compare(lab, title, entrants, clip, [("cold", each) for each in numbers], "ms")


def opening(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
    """Opening alone."""
    return _compare(lab, title, entrants, clip, [("opening",)] * lab.pick(14, 3), "ms")


def step(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
    """One frame after the other, each asked for by its number."""
    tasks = [("step", number) for number in range(300, 300 + lab.pick(40, 10))]
    return _compare(lab, title, entrants, clip, tasks, "ms")


def facts(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """The facts of 1,000 small files."""
    source = lab.place("small files", partial(_make_copies, name="320x240", count=lab.pick(1000, 100)))
    tasks = [("facts",)] * lab.pick(3, 1)
    return lab.compare(title, __name__, entrants, source, tasks, ["ms"], fresh=True)


def growth(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """Memory and open files, while a reader or many of them are used."""
    source = lab.place("long video and copies", partial(_make_long, lab=lab))
    tasks = [("grow", lab.is_quick)] * lab.pick(3, 1)
    units = ["MB more", "files more"]
    return lab.compare(title, __name__, entrants, source, tasks, units, fresh=True, warm_up=False)


def _compare(
    lab: Lab, title: str, entrants: Entrants, clip: str, tasks: list[Task], unit: str
) -> list[Figure]:
    size, options = CLIPS[clip]
    place = lab.place(clip, lambda folder: make_clip(folder / "clip.mp4", size, NUM_FRAMES, options))
    return lab.compare(title, __name__, entrants, place / "clip.mp4", tasks, [unit])


def _make_copies(folder: Path, name: str, count: int, frames: int = 30) -> None:
    first = make_clip(folder / "0.mp4", CLIPS[name][0], frames)
    copies(first, [folder / f"{number}.mp4" for number in range(1, count)])


def _make_long(folder: Path, lab: Lab) -> None:
    make_clip(folder / "long.mp4", "1280x720", lab.pick(3600, 300))
    (folder / "many").mkdir()
    _make_copies(folder / "many", "320x240", lab.pick(300, 20), lab.pick(NUM_FRAMES, 60))


# --- the benchmarks ---

RANDOM = {
    clip: Benchmark(
        f"100 random frames of 600 in one call, {clip}",
        _entrants("pvio_lab", "torchcodec", "decord"),
        partial(random, clip=clip),
    )
    for clip in CLIPS
}
IN_ORDER = {
    clip: Benchmark(
        f"in order, batches of 32, {clip}",
        _entrants("pvio_lab", "torchcodec", "ffmpeg"),
        partial(in_order, clip=clip),
    )
    for clip in CLIPS
}
ONE_BY_ONE = {
    clip: Benchmark(
        f"in order, one by one, {clip}",
        _entrants("pvio_lab", "torchcodec"),
        partial(in_order, clip=clip, task="frames"),
    )
    for clip in CLIPS
}
COLD = {
    clip: Benchmark(
        f"open and read one, {clip}",
        _entrants("pvio_lab", "torchcodec", "decord"),
        partial(cold, clip=clip),
    )
    for clip in CLIPS
}
OPEN = {
    clip: Benchmark(
        f"open, {clip}",
        _entrants("pvio_lab", "torchcodec", "decord", "a demux pass"),
        partial(opening, clip=clip),
    )
    for clip in CLIPS
}
STEP = {
    clip: Benchmark(
        f"a step to the next frame, {clip}",
        _entrants("pvio_lab", "torchcodec", "decord"),
        partial(step, clip=clip),
    )
    for clip in CLIPS
}
FACTS = Benchmark(
    "the facts of 1,000 small files", {"new": ("facts", True), "remembered": ("facts", False)}, facts
)
GROWTH = Benchmark(
    "what readers hold",
    {way: ("growth", way.replace(" ", "_")) for way in ("many files", "sparse batches", "idle")},
    growth,
)
BENCHMARKS = [
    *(each for family in (RANDOM, IN_ORDER, ONE_BY_ONE, COLD, OPEN, STEP) for each in family.values()),
    FACTS,
    GROWTH,
]
