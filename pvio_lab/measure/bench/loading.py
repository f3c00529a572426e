"""Benchmarks of loading: speed and memory beside peers."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...base import num_cpus
from .lab import Benchmark, Entrants, Figure, Kind, Lab
from .media import MB, copies, make_clip, num_frames, open_files, resident_bytes, videos

CLIP_FRAMES, BATCH = 16, 32
# How many decoders are kept by those that keep some.
_KEPT_DECODERS = 32
_PEERS = 'pip install "pvio_lab[peers]"'
_MANY_UNITS = (
    "s to the first batch",
    "frames/s",
    "frames/s, second pass",
    "MB, most in the first pass",
    "MB more in the second pass",
    "open files, most",
    "open files more at the end",
)


class _Clips(ABC):
    """Random clips through torch's DataLoader, in batches of 8; all contenders get the same items."""

    def __init__(self, folder: str, workers: int):
        self._paths, self._workers = videos(folder), workers

    def clips(self, count: int, per_video: int = 5) -> dict[str, float]:
        from torch.utils.data import DataLoader

        items = np.random.default_rng(7).integers(len(self._paths) * per_video, size=count).tolist()
        dataset: Any = self._dataset(per_video)
        begin = time.perf_counter()
        loader: Any = DataLoader(dataset, batch_size=8, sampler=items, num_workers=self._workers)
        found = sum(batch["frames"].shape[:2].numel() for batch in loader)
        seconds = time.perf_counter() - begin
        if found != count * CLIP_FRAMES:
            raise RuntimeError(f"{found} frames came, not {count * CLIP_FRAMES}")
        return {"clips/s": count / seconds}

    @abstractmethod
    def _dataset(self, per_video: int) -> Any: ...


class _PvioClips(_Clips):
    def _dataset(self, per_video: int) -> Any:
        from ...load import ClipDataset

        return ClipDataset(self._paths, CLIP_FRAMES, clips_per_video=per_video)


class _TorchCodecClips(_Clips):
    """Decoders are opened for each clip, or some are kept; it is the dataset itself."""

    def __init__(self, folder: str, workers: int, mode: str, keeps: bool, threads: int = 1):
        super().__init__(folder, workers)
        self._settings = {"seek_mode": mode, "num_ffmpeg_threads": threads}
        self._kept, self._decoders = _KEPT_DECODERS if keeps else 0, OrderedDict[str, Any]()

    def _dataset(self, per_video: int) -> Any:
        self._per_video = per_video
        return self

    def __len__(self) -> int:
        return len(self._paths) * self._per_video

    def __getitem__(self, item: int) -> dict[str, Any]:
        import torch

        path = self._paths[item // self._per_video]
        decoder = self._decoder(path)
        start = int(np.random.default_rng((0, 0, item)).integers(len(decoder) - CLIP_FRAMES + 1))
        found = decoder.get_frames_in_range(start, start + CLIP_FRAMES)
        numbers = torch.arange(start, start + CLIP_FRAMES)
        return {
            "frames": found.data,
            "video_path": path,
            "frame_indices": numbers,
            "pts_seconds": found.pts_seconds,
        }

    def _decoder(self, path: str) -> Any:
        if path in self._decoders:
            self._decoders.move_to_end(path)
            return self._decoders[path]
        made = import_module("torchcodec.decoders").VideoDecoder(path, **self._settings)
        if self._kept:
            self._decoders[path] = made
            if len(self._decoders) > self._kept:
                self._decoders.popitem(last=False)
        return made


# --- collection: all frames of some videos, in batches ---


class _Pass:
    """One pass over all frames; making the loader is not counted."""

    _loader: Any

    def __init__(self, folder: str):
        self._paths = videos(folder)

    def epoch(self) -> int:
        expected, found = sum(map(num_frames, self._paths)), self._pass()
        if found != expected:
            raise RuntimeError(f"{found} frames came, not {expected}")
        return found

    def _pass(self) -> int:
        return sum(map(self._frames_in, self._loader))

    def _frames_in(self, batch: Any) -> int:
        return len(batch["frames"])


class _PvioLoader(_Pass):
    def __init__(
        self, folder: str, workers: int, dtype: str = "uint8", kind: Any = "thread", order: Any = "grouped"
    ):
        import torch

        from ...load import VideoCollectionDataLoader, VideoCollectionDataset

        super().__init__(folder)
        dataset = VideoCollectionDataset(self._paths, dtype=getattr(torch, dtype))
        self._loader = VideoCollectionDataLoader(dataset, BATCH, workers, worker_kind=kind, order=order)


class _ParallelVideoIO(_Pass):
    """It keeps its facts in files with the names of ours, so it has copies of the videos for itself."""

    def __init__(self, folder: str, workers: int):
        super().__init__(f"{folder}/copies")
        options: dict[str, Any] = {"device": "cpu", "n_frame_counting_workers": 1, "progress_bar": False}
        make = import_module("pvio.torch_tools").SimpleVideoCollectionLoader
        self._loader = make(self._paths, batch_size=BATCH, num_workers=workers, **options)


class _TorchCodecRanges:
    """A map-style dataset of (file, range of frames); each worker keeps a decoder for each file."""

    def __init__(self, paths: list[str], ranges: list[tuple[int, int]], threads: int):
        self._paths, self._ranges, self._threads = paths, ranges, threads
        self._decoders: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._ranges)

    def __getitem__(self, item: int) -> Any:
        file, start = self._ranges[item]
        if file not in self._decoders:
            make = import_module("torchcodec.decoders").VideoDecoder
            self._decoders[file] = make(self._paths[file], num_ffmpeg_threads=self._threads)
        stop = min(start + BATCH, num_frames(self._paths[file]))
        return self._decoders[file].get_frames_in_range(start, stop).data


class _TorchCodecLoader(_Pass):
    """torch's DataLoader, to which each item is a batch already.

    "by range" is file after file, so that workers take turns within a file; "by file" lets each worker have
    files of its own, which saves decoding what lies between its ranges.
    """

    def __init__(self, folder: str, workers: int, order: str, threads: int):
        from torch.utils.data import DataLoader

        super().__init__(folder)
        starts = [list(range(0, num_frames(path), BATCH)) for path in self._paths]
        ranges = [(file, start) for file, each in enumerate(starts) for start in each]
        if order == "by file" and workers:
            ranges.sort(key=lambda pair: (pair[0] // workers, pair[1], pair[0]))
        dataset: Any = _TorchCodecRanges(self._paths, ranges, threads)
        self._loader = DataLoader(dataset, batch_size=None, num_workers=workers)

    def _frames_in(self, batch: Any) -> int:
        return len(batch)


class _BareLoop(_Pass):
    """`VideoReader.batches`, file after file."""

    def __init__(self, folder: str):
        from ...read import VideoReader

        super().__init__(folder)
        self._open = VideoReader

    def _pass(self) -> int:
        count = 0
        for path in self._paths:
            with self._open(path) as reader:
                count += sum(len(frames) for _, frames in reader.batches(BATCH))
        return count


class _Ffmpeg(_Pass):
    """`ffmpeg -f null -`, which only decodes: a process with all threads, or one process for each core."""

    def __init__(self, folder: str, processes: int):
        super().__init__(folder)
        self._processes = processes or num_cpus()
        self._threads = 0 if self._processes == 1 else 1

    def _pass(self) -> int:
        with ThreadPoolExecutor(self._processes) as pool:
            return sum(pool.map(self._decode, self._paths))

    def _decode(self, path: str) -> int:
        from imageio_ffmpeg import get_ffmpeg_exe

        command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", str(self._threads), "-i", path]
        subprocess.run([*command, "-f", "null", "-"], check=True)
        return num_frames(path)


# --- many: thousands of small videos ---


class _Many:
    """Makes two passes; measures how soon they begin, how fast they are, and what they hold."""

    def __init__(self, folder: str, is_new: bool):
        import torch  # noqa: F401  loading it is nothing that a loader could hasten

        from ...load import VideoCollectionDataLoader, VideoCollectionDataset
        from ...read import get_video_metadata

        self._paths = videos(folder)
        self._make, self._collect = VideoCollectionDataLoader, VideoCollectionDataset
        for path in self._paths:
            if is_new:
                Path(f"{path}.metadata.json").unlink(missing_ok=True)
            else:
                get_video_metadata(path)

    def passes(self) -> dict[str, float]:
        begin = time.perf_counter()
        loader = self._make(self._collect(self._paths), BATCH)
        first, second = _observed(loader, begin), _observed(loader, time.perf_counter())
        return {
            "s to the first batch": first["first"],
            "frames/s": first["rate"],
            "frames/s, second pass": second["rate"],
            "MB, most in the first pass": first["held"],
            "MB more in the second pass": second["held"] - first["held"],
            "open files, most": max(first["files"], second["files"]) - first["files before"],
            "open files more at the end": second["files after"] - first["files after"],
        }


def _observed(batches: Iterable[Any], begin: float) -> dict[str, float]:
    """Make one pass, and measure it now and then."""
    held, files, count, first = [resident_bytes()], [open_files()], 0, 0.0
    for number, batch in enumerate(batches):
        first = first or time.perf_counter() - begin
        count += len(batch["frames"])
        if number % 50 == 0:
            held.append(resident_bytes())
            files.append(open_files())
    seconds = time.perf_counter() - begin
    return {
        "first": first,
        "rate": count / seconds,
        "held": max(held) / MB,
        "files before": files[0],
        "files": max(files),
        "files after": open_files(),
    }


KINDS = {
    "pvio_lab": Kind(_PvioLoader),
    "parallel-video-io": Kind(
        _ParallelVideoIO, "pvio.torch_tools", "pip install --no-deps parallel-video-io==0.1.9 joblib"
    ),
    "torchcodec": Kind(_TorchCodecLoader, "torchcodec.decoders", _PEERS),
    "bare loop": Kind(_BareLoop),
    "ffmpeg": Kind(_Ffmpeg, "imageio_ffmpeg"),
    "many": Kind(_Many),
    "pvio_lab clips": Kind(_PvioClips),
    "torchcodec clips": Kind(_TorchCodecClips, "torchcodec.decoders", _PEERS),
}


# --- the benchmarks ---


def _collection(lab: Lab, title: str, entrants: Entrants, *, is_drawn: bool) -> list[Figure]:
    """Read 12 videos in batches of 32; for each turn a new process, and one pass."""
    name, tasks = "drawings" if is_drawn else "collection", [("epoch",)] * lab.pick(5, 1)
    source = lab.place(name, partial(_make_collection, lab=lab, is_drawn=is_drawn))
    return lab.compare(title, __name__, entrants, source, tasks, ["frames/s", "MB"], fresh=True)


def _many(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """Read 2,000 small videos, some of each size; two passes in a process."""
    sizes = ["160x120", "192x144", "240x180", "320x180", "320x240"] * 4
    kinds = [(sizes[kind], 30 + 30 * kind // 19, 50 * kind) for kind in range(20)]
    source = lab.place("many", partial(_make_varied, count=lab.pick(2000, 60), kinds=kinds))
    tasks = [("passes",)] * lab.pick(3, 1)
    return lab.compare(title, __name__, entrants, source, tasks, _MANY_UNITS, fresh=True)


def _clips(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """Read 1,000 random clips of 16 frames from 200 videos."""
    kinds = [("640x360", 300, 100 * kind) for kind in range(lab.pick(8, 2))]
    source = lab.place("clips", partial(_make_varied, count=lab.pick(200, 8), kinds=kinds))
    tasks = [("clips", lab.pick(1000, 40))] * lab.pick(2, 1)
    return lab.compare(title, __name__, entrants, source, tasks, ["clips/s", "MB"], fresh=True)


def _make_collection(folder: Path, lab: Lab, is_drawn: bool) -> None:
    picture, noise = ("testsrc", 0) if is_drawn else ("testsrc2", 6)
    for number in range(lab.pick(12, 3)):
        path = folder / f"{number:02}_320.mp4"
        make_clip(path, "640x360", 320, seed=100 * number, noise=noise, picture=picture)
    (folder / "copies").mkdir()
    for path in map(Path, videos(folder)):
        copies(path, [folder / "copies" / path.name])


def _make_varied(folder: Path, count: int, kinds: list[tuple[str, int, int]]) -> None:
    """Make this many videos: one of each kind (size, frames, seed), and copies of them."""
    for kind, (size, frames, seed) in enumerate(kinds):
        first = make_clip(folder / f"{kind:04}_{frames}.mp4", size, frames, seed=seed)
        others = range(kind + len(kinds), count, len(kinds))
        copies(first, [folder / f"{number:04}_{frames}.mp4" for number in others])


def _workers(count: int) -> str:
    return f"{count} worker{'s' * (count != 1)}"


_BESIDE_DRAWINGS = ("pvio_lab uint8", "pvio_lab float32", "parallel-video-io", "torchcodec", "ffmpeg")
COLLECTION = Benchmark(
    "12 videos of 640x360, batches of 32",
    {
        **{f"pvio_lab uint8, {_workers(count)}": ("pvio_lab", count) for count in range(4)},
        **{f"pvio_lab float32, {_workers(count)}": ("pvio_lab", count, "float32") for count in range(4)},
        **{
            f"pvio_lab shuffled, {_workers(count)}": ("pvio_lab", count, "uint8", "thread", "shuffled")
            for count in (0, 2, 3)
        },
        **{
            f"pvio_lab processes, {_workers(count)}": ("pvio_lab", count, "uint8", "process")
            for count in (1, 2, 3)
        },
        **{f"parallel-video-io, {_workers(count)}": ("parallel-video-io", count) for count in (0, 1, 2, 4)},
        "torchcodec in a DataLoader, 0 workers": ("torchcodec", 0, "by range", 1),
        "torchcodec in a DataLoader, 0 workers, all threads": ("torchcodec", 0, "by range", num_cpus()),
        **{
            f"torchcodec in a DataLoader, {_workers(count)}, {order}": ("torchcodec", count, order, 1)
            for count, order in ((1, "by range"), (2, "by range"), (2, "by file"))
        },
        "VideoReader.batches": ("bare loop",),
        "ffmpeg, all threads": ("ffmpeg", 1),
        "ffmpeg, a process for each core": ("ffmpeg", 0),
    },
    partial(_collection, is_drawn=False),
)
DRAWINGS = Benchmark(
    "12 drawn videos of 640x360 without noise, batches of 32",
    {name: entrant for name, entrant in COLLECTION.entrants.items() if name.startswith(_BESIDE_DRAWINGS)},
    partial(_collection, is_drawn=True),
)
MANY = Benchmark(
    "2,000 small videos, batches of 32",
    {"without remembered facts": ("many", True), "with remembered facts": ("many", False)},
    _many,
)
_ALL_THREADS: Entrants = {
    "torchcodec, approximate, all threads": ("torchcodec clips", 0, "approximate", True, num_cpus())
}
CLIPS = {
    workers: Benchmark(
        f"1,000 clips of 16 frames from 200 videos, {_workers(workers)}",
        {
            "pvio_lab": ("pvio_lab clips", workers),
            **{
                f"torchcodec, {mode}, {'some kept' if keeps else 'opened each time'}": (
                    ("torchcodec clips", workers, mode, keeps)
                )
                for mode, keeps in (("exact", False), ("approximate", True))
            },
            **(_ALL_THREADS if workers == 0 else {}),
        },
        _clips,
    )
    for workers in (0, 2)
}
BENCHMARKS = [COLLECTION, DRAWINGS, MANY, *CLIPS.values()]
