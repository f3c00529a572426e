"""Benchmarks of loading: speed and memory beside peers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...base import num_cpus
from .contenders import (
    MB,
    PEERS_CURE,
    Benchmark,
    Entrant,
    Work,
    ffmpeg,
    make_clip,
    make_copies,
    needed,
    open_files,
    resident_bytes,
    videos,
)

BATCH, CLIP_FRAMES, _PER_VIDEO = 32, 16, 5


def num_frames(path: str) -> int:
    """Return the number of frames that a video is named for: '03_320.mp4' has 320."""
    return int(Path(path).stem.rpartition("_")[2])


# --- all frames of some videos, in batches of a loader; making it is not counted ---


def _counting(paths: list[str], counts: Callable[[], Iterable[int]]) -> Work:
    """Return a pass over all frames; `counts` yields the number of frames of each batch."""

    def work() -> int:
        return _checked(sum(counts()), sum(map(num_frames, paths)))

    return work


def _checked(found: int, expected: int) -> int:
    if found != expected:
        raise RuntimeError(f"{found} frames came, not {expected}")
    return found


def load(
    folder: str, workers: int, dtype: str = "uint8", kind: Any = "thread", order: Any = "grouped"
) -> Work:
    """Use this library's loader."""
    import torch

    from ...load import VideoCollectionDataLoader, VideoCollectionDataset

    paths = videos(folder)
    dataset = VideoCollectionDataset(paths, dtype=getattr(torch, dtype))
    loader = VideoCollectionDataLoader(dataset, BATCH, workers, worker_kind=kind, order=order)
    return _counting(paths, lambda: (len(batch["frames"]) for batch in loader))


def load_with_parallel_video_io(folder: str, workers: int) -> Work:
    """Use its loader; it keeps facts in files with the names of ours, so it has copies of the videos."""
    tools = needed("pvio.torch_tools", "pip install --no-deps parallel-video-io==0.1.9 joblib")
    paths = videos(f"{folder}/copies")
    options: dict[str, Any] = {"device": "cpu", "n_frame_counting_workers": 1, "progress_bar": False}
    loader = tools.SimpleVideoCollectionLoader(paths, batch_size=BATCH, num_workers=workers, **options)
    return _counting(paths, lambda: (len(batch["frames"]) for batch in loader))


def _open_codec(path: str, threads: int, mode: str = "exact") -> Any:
    make = import_module("torchcodec.decoders").VideoDecoder
    return make(path, num_ffmpeg_threads=threads, seek_mode=mode)


_kept_codec = lru_cache(32)(_open_codec)


class Ranges:
    """A map-style dataset of (file, range of frames); each worker keeps a decoder for each file."""

    def __init__(self, ranges: list[tuple[str, int]], threads: int):
        self._ranges, self._threads = ranges, threads

    def __len__(self) -> int:
        return len(self._ranges)

    def __getitem__(self, item: int) -> Any:
        path, start = self._ranges[item]
        stop = min(start + BATCH, num_frames(path))
        return _kept_codec(path, self._threads).get_frames_in_range(start, stop).data


def load_with_torchcodec(folder: str, workers: int, order: str, threads: int) -> Work:
    """Use torch's DataLoader, to which each item is a batch already.

    "by range" is file after file, so that workers take turns within a file; "by file" lets each worker have
    files of its own, which saves decoding what lies between its ranges.
    """
    from torch.utils.data import DataLoader

    needed("torchcodec.decoders", PEERS_CURE)
    paths = videos(folder)
    ranges = [(path, start) for path in paths for start in range(0, num_frames(path), BATCH)]
    if order == "by file" and workers:
        ranges.sort(key=lambda pair: (paths.index(pair[0]) // workers, pair[1], pair[0]))
    dataset: Any = Ranges(ranges, threads)
    loader: Any = DataLoader(dataset, batch_size=None, num_workers=workers)
    return _counting(paths, lambda: map(len, loader))


def read_in_a_loop(folder: str) -> Work:
    """Use `VideoReader.batches`, file after file."""
    from ...read import VideoReader

    paths = videos(folder)

    def counts() -> Iterator[int]:
        for path in paths:
            with VideoReader(path) as reader:
                yield from (len(frames) for _, frames in reader.batches(BATCH))

    return _counting(paths, counts)


def decode_with_ffmpeg(folder: str, processes: int) -> Work:
    """Only decode: in one process with all threads, or in several with one each."""
    paths = videos(folder)

    def decode(path: str) -> int:
        ffmpeg("-threads", int(processes > 1), "-i", path, "-f", "null", "-")
        return num_frames(path)

    def counts() -> list[int]:
        with ThreadPoolExecutor(processes) as pool:
            return list(pool.map(decode, paths))

    return _counting(paths, counts)


# --- random clips through torch's DataLoader, in batches of 8; all contenders get the same items ---


def load_clips(folder: str, workers: int) -> Work:
    """Use this library's dataset."""
    from ...load import ClipDataset

    paths = videos(folder)
    return _clips(ClipDataset(paths, CLIP_FRAMES, clips_per_video=_PER_VIDEO), len(paths), workers)


def load_clips_with_torchcodec(folder: str, workers: int, mode: str, keeps: bool, threads: int = 1) -> Work:
    """Use torchcodec; decoders are opened for each clip, or some are kept."""
    needed("torchcodec.decoders", PEERS_CURE)
    paths = videos(folder)
    return _clips(TorchCodecClips(paths, keeps, threads, mode), len(paths), workers)


class TorchCodecClips:
    """A map-style dataset of random clips."""

    def __init__(self, paths: list[str], keeps: bool, threads: int, mode: str):
        self._paths, self._keeps, self._options = paths, keeps, (threads, mode)

    def __len__(self) -> int:
        return len(self._paths) * _PER_VIDEO

    def __getitem__(self, item: int) -> dict[str, Any]:
        import torch

        path = self._paths[item // _PER_VIDEO]
        decoder = (_kept_codec if self._keeps else _open_codec)(path, *self._options)
        start = int(np.random.default_rng((0, 0, item)).integers(len(decoder) - CLIP_FRAMES + 1))
        found = decoder.get_frames_in_range(start, start + CLIP_FRAMES)
        return {
            "frames": found.data,
            "video_path": path,
            "frame_indices": torch.arange(start, start + CLIP_FRAMES),
            "pts_seconds": found.pts_seconds,
        }


def _clips(dataset: Any, num_videos: int, workers: int) -> Work:
    from torch.utils.data import DataLoader

    def work(total: int) -> dict[str, float]:
        items = np.random.default_rng(7).integers(num_videos * _PER_VIDEO, size=total).tolist()
        begin = time.perf_counter()
        loader: Any = DataLoader(dataset, batch_size=8, sampler=items, num_workers=workers)
        found = sum(batch["frames"].shape[:2].numel() for batch in loader)
        seconds = time.perf_counter() - begin
        _checked(found, total * CLIP_FRAMES)
        return {"clips/s": total / seconds}

    return work


# --- thousands of small videos ---


def load_many(folder: str, is_new: bool) -> Work:
    """Make two passes; measure how soon they begin, how fast they are, and what they hold."""
    import torch  # noqa: F401  loading it is nothing that a loader could hasten

    from ...load import VideoCollectionDataLoader, VideoCollectionDataset
    from ...read import get_video_metadata

    paths = videos(folder)
    for path in paths:
        if is_new:
            Path(f"{path}.metadata.json").unlink(missing_ok=True)
        else:
            get_video_metadata(path)

    def work() -> dict[str, float]:
        begin = time.perf_counter()
        loader = VideoCollectionDataLoader(VideoCollectionDataset(paths), BATCH)
        files_before = open_files()
        first, rate, held, files, files_after = _observed(loader, begin)
        _, second_rate, second_held, second_files, end_files = _observed(loader, time.perf_counter())
        most_files = max(files, second_files) - files_before
        more = second_held - held, most_files, end_files - files_after
        return dict(zip(MANY_UNITS, (first, rate, second_rate, held, *more), strict=True))

    return work


MANY_UNITS = [
    "s to the first batch",
    "frames/s",
    "frames/s, second pass",
    "MB, most in the first pass",
    "MB more in the second pass",
    "open files, most",
    "open files more at the end",
]


def _observed(batches: Iterable[Any], begin: float) -> tuple[float, float, float, int, int]:
    """Make one pass.

    Returns:
        Seconds to the first batch, frames/s, most memory in MB, most open files, and open files at the end.
    """
    held, files, total, first = [resident_bytes()], [open_files()], 0, 0.0
    for number, batch in enumerate(batches):
        first = first or time.perf_counter() - begin
        total += len(batch["frames"])
        if number % 50 == 0:
            held.append(resident_bytes())
            files.append(open_files())
    return first, total / (time.perf_counter() - begin), max(held) / MB, max(files), open_files()


# --- the benchmarks ---


def _make_collection(folder: Path, is_quick: bool, picture: str, noise: int) -> None:
    """Make 12 videos, and a copy of each."""
    (folder / "copies").mkdir()
    for number in range(3 if is_quick else 12):
        name = f"{number:02}_320.mp4"
        first = make_clip(folder / name, "640x360", 320, seed=100 * number, noise=noise, picture=picture)
        make_copies(first, [f"copies/{name}"])


def _make_small(folder: Path, is_quick: bool) -> None:
    """Make 2,000 small videos, some of each size."""
    sizes = ["160x120", "192x144", "240x180", "320x180", "320x240"] * 4
    kinds = [(sizes[kind], 30 + 30 * kind // 19, 50 * kind) for kind in range(20)]
    _make_varied(folder, 60 if is_quick else 2000, kinds)


def _make_for_clips(folder: Path, is_quick: bool) -> None:
    kinds = [("640x360", 300, 100 * kind) for kind in range(2 if is_quick else 8)]
    _make_varied(folder, 8 if is_quick else 200, kinds)


def _make_varied(folder: Path, total: int, kinds: list[tuple[str, int, int]]) -> None:
    """Make this many videos: one of each kind (size, frames, seed), and copies of them."""
    for kind, (size, frames, seed) in enumerate(kinds):
        first = make_clip(folder / f"{kind:04}_{frames}.mp4", size, frames, seed=seed)
        make_copies(first, [f"{number:04}_{frames}.mp4" for number in range(kind, total, len(kinds))][1:])


def _variants(
    name: str, counts: Iterable[int], prepare: Callable[..., Work], *options: Any
) -> dict[str, Entrant]:
    """Return a contender with several numbers of workers."""
    return {f"{name}, {_workers(count)}": (prepare, count, *options) for count in counts}


def _workers(count: int) -> str:
    return f"{count} worker{'s' * (count != 1)}"


_CODEC = "torchcodec in a DataLoader"
_IN_COLLECTION: dict[str, Entrant] = {
    **_variants("pvio_lab uint8", range(4), load),
    **_variants("pvio_lab float32", range(4), load, "float32"),
    **_variants("pvio_lab shuffled", (0, 2, 3), load, "uint8", "thread", "shuffled"),
    **_variants("pvio_lab processes", (1, 2, 3), load, "uint8", "process"),
    **_variants("parallel-video-io", (0, 1, 2, 4), load_with_parallel_video_io),
    f"{_CODEC}, 0 workers": (load_with_torchcodec, 0, "by range", 1),
    f"{_CODEC}, 0 workers, all threads": (load_with_torchcodec, 0, "by range", num_cpus()),
    f"{_CODEC}, 1 worker, by range": (load_with_torchcodec, 1, "by range", 1),
    f"{_CODEC}, 2 workers, by range": (load_with_torchcodec, 2, "by range", 1),
    f"{_CODEC}, 2 workers, by file": (load_with_torchcodec, 2, "by file", 1),
    "VideoReader.batches": (read_in_a_loop,),
    "ffmpeg, all threads": (decode_with_ffmpeg, 1),
    "ffmpeg, a process for each core": (decode_with_ffmpeg, num_cpus()),
}
_BESIDE_DRAWINGS = ("pvio_lab uint8", "pvio_lab float32", "parallel-video-io", "torchcodec", "ffmpeg")
COLLECTION = Benchmark(
    "12 videos of 640x360, batches of 32",
    _IN_COLLECTION,
    ("collection", partial(_make_collection, picture="testsrc2", noise=6)),
    [()] * 5,
    [()],
    ["frames/s", "MB"],
)
DRAWINGS = Benchmark(
    "12 drawn videos of 640x360 without noise, batches of 32",
    {name: entrant for name, entrant in _IN_COLLECTION.items() if name.startswith(_BESIDE_DRAWINGS)},
    ("drawings", partial(_make_collection, picture="testsrc", noise=0)),
    [()] * 5,
    [()],
    ["frames/s", "MB"],
)
MANY = Benchmark(
    "2,000 small videos, batches of 32",
    {"without remembered facts": (load_many, True), "with remembered facts": (load_many, False)},
    ("many", _make_small),
    [()] * 3,
    [()],
    MANY_UNITS,
)
_ON_ALL_THREADS: Entrant = (load_clips_with_torchcodec, 0, "approximate", True, num_cpus())
CLIPS = {
    workers: Benchmark(
        f"1,000 clips of 16 frames from 200 videos, {_workers(workers)}",
        {
            "pvio_lab": (load_clips, workers),
            "torchcodec, exact, opened each time": (load_clips_with_torchcodec, workers, "exact", False),
            "torchcodec, approximate, some kept": (load_clips_with_torchcodec, workers, "approximate", True),
            **({"torchcodec, approximate, all threads": _ON_ALL_THREADS} if workers == 0 else {}),
        },
        ("clips", _make_for_clips),
        [(1000,)] * 2,
        [(40,)],
        ["clips/s", "MB"],
    )
    for workers in (0, 2)
}
BENCHMARKS = [COLLECTION, DRAWINGS, MANY, *CLIPS.values()]
