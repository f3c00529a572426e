"""The contenders of the benchmarks of loading. A pass that yields another number of frames is an error."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from ...read.cpus import num_cpus
from .child import Kind
from .media import num_frames, videos
from .memory import MB, open_files, resident_bytes

BATCH = 32

# --- collection: all frames of some videos, in batches ---


class _Pass(ABC):
    """One pass over all frames; what is made beforehand is not counted."""

    def __init__(self, folder: str):
        self._paths = videos(folder)

    def epoch(self) -> int:
        expected, found = sum(map(num_frames, self._paths)), self._pass()
        if found != expected:
            raise RuntimeError(f"{found} frames came, not {expected}")
        return found

    @abstractmethod
    def _pass(self) -> int: ...


class _PvioLoader(_Pass):
    def __init__(
        self, folder: str, workers: int, dtype: str = "uint8", kind: Any = "thread", order: Any = "grouped"
    ):
        import torch

        from ...load.dataset import VideoCollectionDataset
        from ...load.loader import VideoCollectionDataLoader

        super().__init__(folder)
        dataset = VideoCollectionDataset(self._paths, dtype=getattr(torch, dtype))
        self._loader = VideoCollectionDataLoader(dataset, BATCH, workers, worker_kind=kind, order=order)

    def _pass(self) -> int:
        return sum(len(batch["frames"]) for batch in self._loader)


class _ParallelVideoIO(_Pass):
    """It keeps its facts in files with the names of ours, so it has copies of the videos for itself."""

    def __init__(self, folder: str, workers: int):
        super().__init__(f"{folder}/copies")
        options: dict[str, Any] = {"device": "cpu", "n_frame_counting_workers": 1, "progress_bar": False}
        make = import_module("pvio.torch_tools").SimpleVideoCollectionLoader
        self._loader = make(self._paths, batch_size=BATCH, num_workers=workers, **options)

    def _pass(self) -> int:
        return sum(len(batch["frames"]) for batch in self._loader)


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
        self._loader: Any = DataLoader(dataset, batch_size=None, num_workers=workers)

    def _pass(self) -> int:
        return sum(len(batch) for batch in self._loader)


class _BareLoop(_Pass):
    """`VideoReader.batches`, file after file."""

    def __init__(self, folder: str):
        from ...read.reader import VideoReader

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
    """Two passes; how soon they begin, how fast they go, and what they hold."""

    def __init__(self, folder: str, is_new: bool):
        import torch  # noqa: F401  loading it is nothing that a loader could hasten

        from ...load import loader
        from ...read.metadata import get_video_metadata

        self._paths, self._make = videos(folder), loader
        for path in self._paths:
            if is_new:
                Path(f"{path}.metadata.json").unlink(missing_ok=True)
            else:
                get_video_metadata(path)

    def passes(self) -> dict[str, float]:
        from ...load.dataset import VideoCollectionDataset

        begin = time.perf_counter()
        loader = self._make.VideoCollectionDataLoader(VideoCollectionDataset(self._paths), BATCH)
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
    """One pass, looked at now and then."""
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
    "torchcodec": Kind(_TorchCodecLoader, "torchcodec.decoders", 'pip install "pvio_lab[peers]"'),
    "bare loop": Kind(_BareLoop),
    "ffmpeg": Kind(_Ffmpeg, "imageio_ffmpeg"),
    "many": Kind(_Many),
    **_CLIP_KINDS,
}
