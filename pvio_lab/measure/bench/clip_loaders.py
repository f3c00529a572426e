"""The contenders of the benchmark of random clips, as they are used for training."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from importlib import import_module
from typing import Any

import numpy as np

from .child import Kind
from .media import videos

CLIP_FRAMES = 16
# A decoder that was used a while ago is given up by those that keep some.
_KEPT_DECODERS = 32


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
        from ...load.clips import ClipDataset

        return ClipDataset(self._paths, CLIP_FRAMES, clips_per_video=per_video)


class _TorchCodecClips(_Clips):
    """Decoders are opened for each clip, or some are kept."""

    def __init__(self, folder: str, workers: int, mode: str, keeps: bool, threads: int = 1):
        super().__init__(folder, workers)
        self._settings = {"seek_mode": mode, "num_ffmpeg_threads": threads}
        self._kept = _KEPT_DECODERS if keeps else 0

    def _dataset(self, per_video: int) -> Any:
        return _TorchCodecClipDataset(self._paths, per_video, self._settings, self._kept)


class _TorchCodecClipDataset:
    def __init__(self, paths: list[str], per_video: int, settings: dict[str, Any], kept: int):
        self._paths, self._per_video, self._settings, self._kept = paths, per_video, settings, kept
        self._decoders: OrderedDict[str, Any] = OrderedDict()

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


_CLIP_KINDS = {
    "pvio_lab clips": Kind(_PvioClips),
    "torchcodec clips": Kind(_TorchCodecClips, "torchcodec.decoders", 'pip install "pvio_lab[peers]"'),
}
