"""Frames of many videos for PyTorch as parallel-video-io has them: float32 from 0 to 1, with their paths."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ...base import num_cpus
from ...errors import printable
from ...load import VideoCollectionDataLoader as OwnLoader
from ...load import VideoCollectionDataset as OwnDataset
from ...read import Frames, ImageSequence, VideoReader
from .util import balance_load_lpt
from .video_io import get_video_metadata

Item = dict[str, Any]
Transform = Callable[[torch.Tensor], torch.Tensor]


class VideoCollectionDataset(IterableDataset[Item]):
    """Every frame of many videos or folders of images: `{"frame": (C, H, W), "video_path", "frame_idx"}`.

    Args:
        paths: Video files, or folders of images.
        as_image_dirs: They are folders of images.
        frame_sorting: A regular expression that finds one number in the name of each image: images are sorted
            by it. None sorts by name.
        transform: Applied to each frame.

    Raises:
        ValueError: There is no such file or folder; or the expression does not find one number.
    """

    def __init__(
        self,
        paths: list[str | PathLike[str]],
        as_image_dirs: bool = False,
        frame_sorting: str | None = None,
        transform: Transform | None = None,
    ):
        self.video_paths = [Path(path) for path in paths]
        self.as_image_dirs, self.frame_sorting, self.transform = as_image_dirs, frame_sorting, transform
        self.worker_assignments: list[list[Path]] | None = None
        self.n_frames_lookup: dict[Path, int] | None = None
        for path in self.video_paths:
            if not (path.is_dir() if as_image_dirs else path.is_file()):
                kind = "folder of images" if as_image_dirs else "video file"
                raise ValueError(f"there is no {kind} {printable(path)}; see as_image_dirs={as_image_dirs}")
        self.frame_sortings = {path: self._sorted(path) for path in self.video_paths if as_image_dirs}

    def assign_workers(self, n_frame_loading_workers: int, n_metadata_indexing_workers: int = -1) -> None:
        """Count the frames of each video, and share the videos among workers, so that each has about as many.

        Args:
            n_frame_loading_workers: The number of workers; 0 counts as 1, -1 stands for all processors.
            n_metadata_indexing_workers: How many videos are looked at, at a time.
        """
        if self.as_image_dirs:
            counts = [len(self.frame_sortings[path]) for path in self.video_paths]
        else:
            with ThreadPoolExecutor(_workers(n_metadata_indexing_workers)) as pool:
                facts = pool.map(get_video_metadata, self.video_paths)
                counts = [each["n_frames"] for each in facts]
        self.n_frames_lookup = dict(zip(self.video_paths, counts, strict=True))
        workers = _workers(n_frame_loading_workers)
        self.worker_assignments = balance_load_lpt(self.n_frames_lookup, workers)
        logging.info("%d videos are shared among %d workers", len(counts), workers)

    def __iter__(self) -> Iterator[Item]:
        for path in self._own_paths():
            for number, frame in self._images(path) if self.as_image_dirs else self._frames(path):
                tensor = torch.from_numpy(frame).permute(2, 0, 1).float().div_(255)
                tensor = tensor if self.transform is None else self.transform(tensor)
                yield {"frame": tensor, "video_path": path, "frame_idx": number}

    def __len__(self) -> int:
        if self.n_frames_lookup is None:
            raise ValueError("the number of frames is not known yet: call assign_workers() first")
        return sum(self.n_frames_lookup.values())

    def _own_paths(self) -> list[Path]:
        """Return the videos of this worker, or all where there are no workers."""
        worker = get_worker_info()
        if worker is None:
            return self.video_paths
        if self.worker_assignments is None:
            raise ValueError("the videos are not shared among workers yet: call assign_workers() first")
        return self.worker_assignments[worker.id]

    def _frames(self, path: Path) -> Iterator[tuple[int, Frames]]:
        with VideoReader(path, num_threads=None if get_worker_info() is None else 1) as reader:
            yield from enumerate(reader)

    def _images(self, path: Path) -> Iterator[tuple[int, Frames]]:
        """Yield the images of a folder; grey ones with one channel, where `ImageSequence` has three."""
        reader = ImageSequence(path)
        places = {image.name: place for place, image in enumerate(reader.paths)}
        channels = 1 if reader.info.pixel_format.startswith("gray") else 3
        for number, image in enumerate(self.frame_sortings[path]):
            if image.name not in places:
                raise ValueError(f"{printable(image)} is no image; only images may be in a folder of images")
            yield number, reader[places[image.name]][..., :channels]

    def _sorted(self, folder: Path) -> list[Path]:
        images, pattern = [each for each in folder.iterdir() if each.is_file()], self.frame_sorting
        if not pattern:
            return sorted(images, key=lambda image: image.name)
        return sorted(images, key=lambda image: self._extract_frame_number(image.name, pattern))

    @staticmethod
    def _extract_frame_number(filename: str, regex_pattern: str) -> int:
        found = re.findall(regex_pattern, filename)
        if len(found) != 1 or not str(found[0]).isdecimal():
            raise ValueError(f"{regex_pattern!r} must find one number in {filename!r}, and finds {found}")
        return int(found[0])


class VideoCollectionDataLoader(DataLoader[Any]):
    """Batches `{"frames": (B, C, H, W), "video_paths": [...], "frame_indices": [...]}` of all frames.

    Videos come through `pvio_lab.VideoCollectionDataLoader`: batches are the same at any number of workers,
    and frames of different sizes are never in one; a `transform` runs in processes. Images, and items of a
    subclass that has an `__iter__` of its own, come through torch's workers.

    Args:
        dataset: The videos.
        **kwargs: Options of torch's DataLoader, such as `batch_size` and `num_workers`.

    Raises:
        ValueError: It is another kind of dataset; or there is a `batch_sampler` or `collate_fn`.
    """

    def __init__(self, dataset: VideoCollectionDataset, **kwargs: Any):
        if not isinstance(dataset, VideoCollectionDataset):
            raise ValueError(f"dataset must be a VideoCollectionDataset, not {type(dataset).__name__}")
        for name in ("batch_sampler", "collate_fn"):
            if kwargs.get(name) is not None:
                raise ValueError(f"{name} must be left out: the dataset decides what is in a batch, and how")
        super().__init__(dataset, **{**kwargs, "collate_fn": self._collate})
        dataset.assign_workers(n_frame_loading_workers=self.num_workers)

    def __iter__(self) -> Any:
        dataset: Any = self.dataset
        is_plain = type(dataset).__iter__ is VideoCollectionDataset.__iter__ and not dataset.as_image_dirs
        is_torch_asked = self.worker_init_fn is not None or self.multiprocessing_context is not None
        return super().__iter__() if not is_plain or is_torch_asked else self._batches(dataset)

    def _batches(self, dataset: VideoCollectionDataset) -> Iterator[Item]:
        if not dataset.video_paths:
            return
        paths = {str(path): path for path in dataset.video_paths}
        transform = dataset.transform and _EachFrame(dataset.transform)
        loader = OwnLoader(
            OwnDataset(map(str, dataset.video_paths), dtype=torch.float32, transform=transform),
            self.batch_size or 1,
            self.num_workers,
            worker_kind="process" if transform else "thread",
            drop_last=self.drop_last,
            pin_memory=self.pin_memory,
            rank=0,
            world_size=1,
        )
        for batch in loader:
            yield {**batch, "video_paths": [paths[path] for path in batch["video_paths"]]}

    @staticmethod
    def _collate(items: list[Item]) -> Item:
        return {
            "frames": torch.stack([item["frame"] for item in items]),
            "video_paths": [item["video_path"] for item in items],
            "frame_indices": [item["frame_idx"] for item in items],
        }


class _EachFrame:
    """A function of frames, applied to each of a batch."""

    def __init__(self, transform: Transform):
        self._transform = transform

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.stack([self._transform(frame) for frame in frames])


def _workers(wanted: int) -> int:
    """Return a number of workers: -1 stands for all processors, -2 for all but one."""
    return max(1, wanted if wanted >= 0 else num_cpus() + 1 + wanted)
