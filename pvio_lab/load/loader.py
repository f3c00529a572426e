"""`VideoCollectionDataLoader`: batches of frames, made by threads or processes."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from inspect import signature
from typing import Any, Literal, get_args

import torch
from torch.utils.data import DataLoader, get_worker_info

from ..base import not_negative_integer, num_cpus, one_of, positive_integer
from .batch_plan import BatchSettings, Order, Piece, form_batches
from .batches import BatchOptions, Delivered, Progress, Result, make_batches
from .dataset import BROKEN, Skipped, VideoCollectionDataset
from .epoch import Epoch, Facts, media_file
from .processes import check_transform, process_batches
from .threads import ThreadedBatches

WorkerKind = Literal["thread", "process"]

# Processes cannot share a batch, so each makes more of them in a row.
_MAX_BYTES: dict[WorkerKind, int] = {"thread": 144 * 2**20, "process": 512 * 2**20}
# A shuffled epoch comes back to the files of a window again and again.
_KEPT_FILES: dict[Order, int] = {"grouped": 1, "shuffled": 8}
_INSTEAD = {
    "collate_fn": "batches are filled in place; use the dataset's transform= to change them",
    "shuffle": "use order='shuffled'",
    "sampler": "use order= and the dataset's step=",
    "batch_sampler": "use order=, batch_size= and the dataset's step=",
    "prefetch_factor": "use prefetch=",
    "generator": "use seed=",
    "persistent_workers": "each loop has workers of its own",
}


class VideoCollectionDataLoader:
    """Batches of all frames of many videos: each frame exactly once, the same at every number of workers.

    Each batch is `{"frames": (B, C, H, W), "video_paths": list[str], "frame_indices": list[int]}`. Frames of
    different sizes are never in one batch; for one size give the dataset `width` and `height`.

    >>> dataset = VideoCollectionDataset(["data_samples/shapes.mp4", "data_samples/gop2.mp4"])
    >>> loader = VideoCollectionDataLoader(dataset, batch_size=32)
    >>> first = next(iter(loader))
    >>> first["frames"].shape, first["frame_indices"][-1], len(loader)
    (torch.Size([32, 3, 360, 640]), 31, 12)

    Args:
        dataset: The videos, and the way in which their frames are delivered.
        batch_size: The number of frames of a batch; the last one may have fewer, and so may the last one
            before the size of the frames changes.
        num_workers: The number of workers that make batches; "auto" takes one for each processor that this
            process may use, 0 makes them in the calling thread when they are asked for, with all processors
            decoding.
        worker_kind: "thread", or "process" for a transform that holds the GIL.
        prefetch: The number of finished batches that may wait, for each worker.
        drop_last: Leave out batches that have fewer frames than `batch_size`; but with `on_error="skip"` one
            that loses frames to damage still comes.
        order: "grouped" is file after file. "shuffled" shuffles pieces that can be decoded by themselves,
            from one keyframe to the next, among those of 64 files at a time, which are shuffled, too; each
            epoch is shuffled differently.
        seed: The seed of the shuffling.
        pin_memory: Put batches into memory that a GPU can read by itself.
        max_bytes: The size, as uint8, of the frames that may be decoded and not delivered; 144 MiB for
            threads, 512 MiB of shared memory for processes when left out. One batch may come on top of it.
            Workers can be at different places of one video only as far as this reaches.
        multiprocessing_context: The way in which processes are started: "fork", "forkserver" or "spawn".
        rank: The rank of this process; known where `torch.distributed` is initialised.
        world_size: The number of ranks that share the frames; each frame is on exactly one of them. They have
            about the same amount of work, but not the same number of batches.
        others: Options of torch's own DataLoader; the error says what to use instead.

    Raises:
        TypeError: The dataset is not a `VideoCollectionDataset`, or an option does not exist.
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        dataset: VideoCollectionDataset,
        batch_size: int = 8,
        num_workers: int | Literal["auto"] = "auto",
        *,
        worker_kind: WorkerKind = "thread",
        prefetch: int = 2,
        drop_last: bool = False,
        order: Order = "grouped",
        seed: int = 0,
        pin_memory: bool = False,
        max_bytes: int | None = None,
        multiprocessing_context: str | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        **others: Any,
    ):
        if not isinstance(dataset, VideoCollectionDataset):
            raise TypeError(
                f"dataset must be a VideoCollectionDataset, not {type(dataset).__name__}: {dataset!r}; "
                "for other datasets use torch.utils.data.DataLoader"
            )
        _refuse_torch_options(others)
        self.dataset, self.drop_last = dataset, bool(drop_last)
        self.batch_size = positive_integer(batch_size, "batch_size")
        self.worker_kind: WorkerKind = one_of(worker_kind, get_args(WorkerKind), "worker_kind")
        self.num_workers = num_cpus() if num_workers == "auto" else _checked_workers(num_workers)
        self.prefetch = positive_integer(prefetch, "prefetch")
        self.order: Order = one_of(order, get_args(Order), "order")
        self.seed = not_negative_integer(seed, "seed")
        self.max_bytes = positive_integer(
            _MAX_BYTES[self.worker_kind] if max_bytes is None else max_bytes, "max_bytes"
        )
        self.pin_memory = _can_pin(pin_memory)
        methods = multiprocessing.get_all_start_methods()
        if multiprocessing_context is not None:
            one_of(multiprocessing_context, tuple(methods), "multiprocessing_context")
        self.multiprocessing_context = multiprocessing_context
        self._rank = _checked_rank(rank, world_size)
        self._epoch = self._start = 0
        self._position = {"epoch": 0, "batches": 0}
        self._progress = Progress()
        if self.worker_kind == "process" and self.num_workers:
            check_transform(dataset.transform, multiprocessing_context)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The videos of which something was left out so far, with their errors."""
        return self.dataset.skipped

    @property
    def progress(self) -> Progress:
        """The work that the workers of the newest loop have done, and the time that it took."""
        return self._progress

    def __len__(self) -> int:
        """Return how many batches this rank has in the next epoch; each file has to be opened once for it."""
        settings = self._settings()
        if settings.world_size == 1:  # where the keyframes are does not matter
            pieces = (Piece(None, range(0, n, settings.step), size, 0) for n, size, _ in self._facts())
            return sum(1 for _ in form_batches(pieces, settings))
        with closing(self._plan(settings, self._epoch)) as epoch:
            count = sum(1 for _ in epoch.batches)
        if epoch.error is not None:
            raise epoch.error
        return count

    def __iter__(self) -> Iterator[Delivered]:
        epoch, start, self._progress = self._epoch, self._start, Progress()
        self._epoch, self._start = epoch + 1, 0
        self._position = {"epoch": epoch, "batches": start}
        return self._run(epoch, start, self._position, self._progress)

    def __repr__(self) -> str:
        return (
            f"VideoCollectionDataLoader({len(self.dataset.paths)} sources, batch_size={self.batch_size}, "
            f"num_workers={self.num_workers}, worker_kind={self.worker_kind!r}, order={self.order!r})"
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next loop. Without this, each loop is the one after the last."""
        if not_negative_integer(epoch, "epoch") != self._epoch:
            self._epoch, self._start = epoch, 0
            self._position = {"epoch": epoch, "batches": 0}

    def state_dict(self) -> dict[str, Any]:
        """Return the place of the newest loop: `load_state_dict` continues after its last batch."""
        return {**self._position, **asdict(self._settings()), "sources": self.dataset.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next loop continue where `state_dict` was called.

        Raises:
            ValueError: The loader that was saved makes other batches than this one.
        """
        own = self.state_dict()
        wrong = [name for name in own if name not in self._position and state.get(name) != own[name]]
        if wrong or not self._position.keys() <= state.keys():
            saved = ", ".join(f"{name}={state.get(name)!r} (here {own[name]!r})" for name in wrong)
            raise ValueError(f"this state is of a loader with {saved or 'no position'}; make one like it")
        self._position = {name: int(state[name]) for name in self._position}
        self._epoch, self._start = self._position["epoch"], self._position["batches"]

    def _run(
        self, number: int, start: int, position: dict[str, int], progress: Progress
    ) -> Generator[Delivered]:
        with closing(self._plan(self._settings(), number, start)) as epoch:
            with closing(self._made(epoch, progress)) as made:
                for result in made:
                    if isinstance(result, Exception):
                        try:
                            raise result
                        finally:
                            del result  # else error and traceback keep each other, and a decoder, alive
                    batch, losses = result
                    del result
                    position["batches"] += 1
                    for loss in losses:
                        self.dataset.skipped_videos.add(*loss)
                    if batch["frame_indices"]:
                        yield batch
                    del batch
            if epoch.error is not None:
                raise epoch.error
            position.update(epoch=number + 1, batches=0)

    def _plan(self, settings: BatchSettings, number: int, start: int = 0) -> Epoch:
        return Epoch(
            self.dataset,
            settings,
            number,
            start,
            cuts=self.num_workers > 0,
            threads=1 if self.num_workers else _all_threads(),
            ahead=2 * self.num_workers if self.worker_kind == "thread" else 0,
        )

    def _made(self, epoch: Epoch, progress: Progress) -> Generator[Result]:
        options = BatchOptions(
            self.dataset.dtype,
            self.dataset.transform,
            num_kept=_KEPT_FILES[self.order],
            is_tolerant=self.dataset.on_error == "skip",
            is_pinned=self.pin_memory,
        )
        if self.num_workers == 0:
            return make_batches(epoch.batches, options, progress, _all_threads())
        if self.worker_kind == "process":
            return process_batches(
                epoch.batches,
                options,
                progress,
                self.num_workers,
                prefetch=self.prefetch,
                max_bytes=self.max_bytes,
                context=self.multiprocessing_context,
            )
        return ThreadedBatches(
            epoch,
            options,
            progress,
            self.num_workers,
            max_bytes=self.max_bytes,
            num_ahead=self.prefetch * self.num_workers,
        ).results()

    def _settings(self) -> BatchSettings:
        rank, world_size = self._rank or _distributed_rank()
        return BatchSettings(
            self.batch_size, self.dataset.step, self.order, self.seed, rank, world_size, self.drop_last
        )

    def _facts(self) -> Iterator[Facts]:
        """Yield the facts of every file that can be opened: remembered ones, or learnt by several threads."""

        def learn(number: int) -> Facts | None:
            file = media_file(self.dataset, number)
            try:
                facts = file.facts()
            except BROKEN as error:
                self.dataset.skip(file.name, error)
                return None
            file.close()
            return facts

        with ThreadPoolExecutor(num_cpus()) as pool:
            yield from filter(None, pool.map(learn, range(len(self.dataset.paths))))


def _all_threads() -> int:
    """Return some more threads than processors: none is idle while the calling thread converts."""
    return num_cpus() + 2 if num_cpus() > 1 and get_worker_info() is None else 1


def _checked_workers(value: Any) -> int:
    """Return the number of workers, where it is not "auto"."""
    try:
        return not_negative_integer(value, "num_workers")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}, or 'auto'") from None


def _can_pin(pin_memory: bool) -> bool:
    """Return whether pinned memory is wanted and there is a GPU; warn where there is none."""
    if pin_memory and not torch.cuda.is_available():
        warnings.warn("pin_memory=True has no effect: there is no GPU here", RuntimeWarning, stacklevel=3)
        return False
    return bool(pin_memory)


def _refuse_torch_options(options: dict[str, Any]) -> None:
    """Raise TypeError for an option that does not exist, and for one of torch's that asks for something."""
    allowed = signature(DataLoader).parameters
    for name, value in options.items():
        if name in allowed and value in (None, False):
            continue
        hint = _INSTEAD.get(name, "see help(VideoCollectionDataLoader) for those that exist")
        raise TypeError(f"VideoCollectionDataLoader has no option {name}=: {hint}")


def _checked_rank(rank: int | None, world_size: int | None) -> tuple[int, int] | None:
    """Return the arguments, or None where `torch.distributed` decides."""
    if (rank is None) != (world_size is None):
        raise ValueError(f"rank={rank!r} and world_size={world_size!r} must be given together, or neither")
    if rank is None or world_size is None:
        return None
    if not_negative_integer(rank, "rank") >= positive_integer(world_size, "world_size"):
        raise ValueError(f"rank={rank} must be less than world_size={world_size}")
    return rank, world_size


def _distributed_rank() -> tuple[int, int]:
    """Return the rank and the world size of `torch.distributed`; 0 and 1 where it is not initialised."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
