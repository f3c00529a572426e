"""Benchmarks of reading: speed and memory beside peers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from .contenders import (
    MB,
    PEERS_CURE,
    X264,
    Benchmark,
    Work,
    ffmpeg,
    make_clip,
    make_copies,
    needed,
    open_files,
    resident_bytes,
    videos,
)

NUM_FRAMES, BATCH = 600, 32


class _PvioLab:
    def __init__(self, path: str):
        from ...read import VideoReader

        self.reader = VideoReader(path)

    def one(self, number: int) -> None:
        _ = self.reader[number]

    def many(self, numbers: list[int]) -> int:
        return len(self.reader[numbers])

    def every(self) -> int:
        return sum(1 for _ in self.reader)

    def batches(self) -> int:
        return sum(len(frames) for _, frames in self.reader.batches(BATCH))

    def close(self) -> None:
        self.reader.close()


class _TorchCodec:
    """The decoder, opened anew for each pass."""

    def __init__(self, path: str, threads: int):
        make = needed("torchcodec.decoders", PEERS_CURE).VideoDecoder
        self._open = partial(make, path, num_ffmpeg_threads=threads, dimension_order="NHWC")
        self._decoder = self._open()

    def one(self, number: int) -> None:
        _ = self._decoder[number]

    def many(self, numbers: list[int]) -> int:
        return len(self._decoder.get_frames_at(numbers).data)

    def every(self) -> int:
        return sum(1 for _ in self._open())

    def batches(self) -> int:
        decoder = self._open()
        starts, total = range(0, len(decoder), BATCH), len(decoder)
        return sum(len(decoder.get_frames_in_range(k, min(k + BATCH, total)).data) for k in starts)

    def close(self) -> None:
        pass


class _Decord:
    def __init__(self, path: str):
        import decord

        self._reader = decord.VideoReader(path)

    def one(self, number: int) -> None:
        self._reader[number].asnumpy()

    def many(self, numbers: list[int]) -> int:
        frames = self._reader.get_batch(numbers).asnumpy()
        self._reader.seek(0)  # else it goes on decoding in the background
        return len(frames)

    def close(self) -> None:
        pass


READERS: dict[str, Callable[..., Any]] = {
    "pvio_lab": _PvioLab,
    "torchcodec": _TorchCodec,
    "decord": _Decord,
}


def read(folder: str, task: str, reader: str, *options: Any) -> Work:
    """Read the same clip again and again; one reader of it is kept."""
    make = partial(READERS[reader], f"{folder}/clip.mp4", *options)
    kept = make()

    def open_and_read(number: int) -> None:
        opened = make()
        opened.one(number)
        opened.close()

    works: dict[str, Work] = {
        "at random": lambda *numbers: kept.many(list(numbers)),
        "in batches": lambda: kept.batches(),
        "one by one": lambda: kept.every(),
        "step": kept.one,
        "open": lambda: make().close(),
        "open and read": open_and_read,
    }
    return works[task]


def decode_with_ffmpeg(folder: str, task: str) -> Work:
    """Decode all frames and write them to nowhere."""

    def work() -> int:
        ffmpeg("-i", f"{folder}/clip.mp4", *"-f rawvideo -pix_fmt rgb24".split(), os.devnull)
        return NUM_FRAMES

    return work


def demux(folder: str, task: str) -> Work:
    """Read all packets."""
    import av

    def work() -> None:
        with av.open(f"{folder}/clip.mp4") as container:
            for _ in container.demux(video=0):
                pass

    return work


def learn_facts(folder: str, is_new: bool) -> Work:
    """Ask for the facts of many files, new or remembered."""
    from ...read import get_video_metadata

    paths = sorted(Path(folder).glob("*.mp4"))

    def work() -> None:
        for path in paths:
            get_video_metadata(path)

    if is_new:
        for place in Path(folder).glob("*.metadata.json"):
            place.unlink()
    else:
        work()
    return work


Held = tuple[int, int]


def _held() -> Held:
    return resident_bytes(), open_files()


def grow(folder: str, way: str) -> Work:
    """Use readers in some way, and measure how much more they hold at the end than after a while."""
    from ...read import VideoReader

    rng, long, many = np.random.default_rng(0), f"{folder}/long.mp4", videos(f"{folder}/many")
    opened = cache(VideoReader)  # all stay open

    def many_files(is_quick: bool) -> Held:
        """Read at random from many open readers; the second half counts."""
        reads = 400 if is_quick else 10_000
        for number in range(reads):
            if number == reads // 2:
                begin = _held()
            reader = opened(many[rng.integers(len(many))])
            _ = reader[int(rng.integers(len(reader)))]
        return begin

    def sparse_batches(is_quick: bool) -> Held:
        """Read batches of 32 frames spread over a long video; those after the first five count."""
        reader = opened(long)
        for call in range(8 if is_quick else 30):
            if call == 5:
                begin = _held()
            _ = reader[rng.integers(0, len(reader), BATCH)]
        return begin

    def idle(is_quick: bool) -> Held:
        """Read one frame, then nothing for five seconds."""
        _ = opened(long)[len(opened(long)) // 3]
        begin = _held()
        time.sleep(0.5 if is_quick else 5)
        return begin

    def work(is_quick: bool) -> dict[str, float]:
        begin = {"many files": many_files, "sparse batches": sparse_batches, "idle": idle}[way](is_quick)
        held, files = (now - before for now, before in zip(_held(), begin, strict=True))
        return {"MB more": held / MB, "files more": files}

    return work


# --- the benchmarks ---

CLIPS = {  # name: (size, options); x264's defaults but for the last
    "320x240": ("320x240", X264),
    "640x360": ("640x360", X264),
    "1280x720": ("1280x720", X264),
    "640x480 GOP 2": ("640x480", f"{X264} -g 2"),
}
_OURS: dict[str, tuple[Any, ...]] = {"pvio_lab": (read, "pvio_lab")}
_CODEC = {f"torchcodec, {n} thread{'s' * (n > 1)}": (read, "torchcodec", n) for n in (1, 2)}
_DECORD = {"decord": (read, "decord")}


def _on_each_clip(
    title: str,
    task: str,
    readers: Mapping[str, tuple[Any, ...]],
    unit: str,
    rounds: Sequence[Sequence[Any]],
    num_quick: int,
) -> dict[str, Benchmark]:
    """Return a benchmark for each clip."""
    entrants = {name: (prepare, task, *options) for name, (prepare, *options) in readers.items()}

    def of(clip: str, size: str, options: str) -> Benchmark:
        def make(folder: Path, is_quick: bool) -> None:
            make_clip(folder / "clip.mp4", size, NUM_FRAMES, options)

        named, few = f"{title}, {clip}", rounds[:num_quick]
        return Benchmark(named, entrants, (clip, make), rounds, few, [unit], is_fresh=False)

    return {clip: of(clip, *how) for clip, how in CLIPS.items()}


_RANDOM: list[list[int]] = np.random.default_rng(0).integers(0, NUM_FRAMES, (7, 100)).tolist()
_ALL = {**_OURS, **_CODEC, **_DECORD}
RANDOM = _on_each_clip("100 random frames of 600 in one call", "at random", _ALL, "frames/s", _RANDOM, 1)
IN_ORDER = _on_each_clip(
    "in order, batches of 32",
    "in batches",
    {**_OURS, **_CODEC, "ffmpeg": (decode_with_ffmpeg,)},
    "frames/s",
    [()] * 7,
    1,
)
ONE_BY_ONE = _on_each_clip("in order, one by one", "one by one", {**_OURS, **_CODEC}, "frames/s", [()] * 7, 1)
COLD = _on_each_clip(
    "open and read one", "open and read", _ALL, "ms", [(number,) for number in _RANDOM[0][:28]], 3
)
OPEN = _on_each_clip("open", "open", {**_ALL, "a demux pass": (demux,)}, "ms", [()] * 14, 3)
STEP = _on_each_clip(
    "a step to the next frame", "step", _ALL, "ms", [(number,) for number in range(300, 340)], 10
)


def _make_small(folder: Path, is_quick: bool) -> None:
    _make_same(folder, 100 if is_quick else 1000, 30)


def _make_long(folder: Path, is_quick: bool) -> None:
    make_clip(folder / "long.mp4", "1280x720", 300 if is_quick else 3600)
    (folder / "many").mkdir()
    _make_same(folder / "many", *((20, 60) if is_quick else (300, NUM_FRAMES)))


def _make_same(folder: Path, count: int, frames: int) -> None:
    first = make_clip(folder / "0.mp4", "320x240", frames)
    make_copies(first, [f"{number}.mp4" for number in range(1, count)])


FACTS = Benchmark(
    "the facts of 1,000 small files",
    {"new": (learn_facts, True), "remembered": (learn_facts, False)},
    ("small files", _make_small),
    [()] * 3,
    [()],
    ["ms"],
)
GROWTH = Benchmark(
    "what readers hold",
    {way: (grow, way) for way in ("many files", "sparse batches", "idle")},
    ("long video and copies", _make_long),
    [(False,)] * 3,
    [(True,)],
    ["MB more", "files more"],
    warms_up=False,
)
BENCHMARKS = [
    *(each for family in (RANDOM, IN_ORDER, ONE_BY_ONE, COLD, OPEN, STEP) for each in family.values()),
    FACTS,
    GROWTH,
]
