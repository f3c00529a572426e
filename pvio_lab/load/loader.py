"""`VideoCollectionDataLoader`: batches of frames, made by threads or processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from itertools import chain, islice
from typing import Any, Literal, get_args

from ..base import not_negative_integer, num_cpus, one_of, positive_integer
from ..read import BatchMemory
from .arguments import can_pin, checked_rank, checked_workers, distributed_rank, refuse_torch_options
from .batches import Delivered, Done, make_batches
from .dataset import VideoCollectionDataset
from .epoch import Epoch, Order, Recipe
from .files import MediaFile
from .plan import Batch, Piece, form_batches
from .processes import BatchReader, check_transform, process_batches, warn_of_shared_memory
from .progress import Progress
from .skipped import BROKEN, Skipped
from .threads import Crew


def count_batches(dataset: VideoCollectionDataset, recipe: Recipe) -> int:
    """Of all ranks together; where the keyframes are does not matter."""
    pieces = (
        Piece(file, range(0, file.num_frames, recipe.step), file.size, 0)
        for file in _files_with_facts(dataset)
    )
    batches = form_batches(pieces, recipe.batch_size, drop_last=recipe.drop_last, by_size=recipe.is_shuffled)
    return sum(1 for _ in batches)


def _files_with_facts(dataset: VideoCollectionDataset) -> Iterator[MediaFile]:
    """Every file that can be opened: its facts come from the cache, or from several threads."""

    def with_facts(number: int) -> MediaFile | None:
        file = dataset.file(number)
        try:
            _ = file.num_frames
            file.close()
        except BROKEN as error:
            if dataset.on_error == "raise":
                raise
            dataset.trouble.of_file(file.name, error)
            return None
        return file

    with ThreadPoolExecutor(num_cpus()) as pool:
        yield from (file for file in pool.map(with_facts, range(len(dataset.paths))) if file is not None)


WorkerKind = Literal["thread", "process"]

# Processes cannot share a batch, so each makes more of them in a row.
_MAX_BYTES: dict[WorkerKind, int] = {"thread": 144 * 2**20, "process": 512 * 2**20}
# A shuffled epoch comes back to the files of a window again and again.
_KEPT_FILES: dict[Order, int] = {"grouped": 1, "shuffled": 8}


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
        dataset: Which videos, and what becomes of their frames.
        batch_size: How many frames a batch has; the last one may have fewer, and so may the last one before
            the size of the frames changes.
        num_workers: How many workers make batches; "auto" takes one for each processor that this process may
            use, 0 makes them in the calling thread when they are asked for, with all processors decoding.
        worker_kind: "thread", or "process" for a transform that holds Python's lock.
        prefetch: How many finished batches may wait, for each worker.
        drop_last: Leave out batches that have fewer frames than `batch_size`; but with `on_error="skip"` one
            that loses frames to damage still comes.
        order: "grouped" is file after file. "shuffled" shuffles pieces that can be decoded by themselves,
            from one keyframe to the next, among those of 64 files at a time, which are shuffled, too; each
            epoch differently.
        seed: Of the shuffling.
        pin_memory: Put batches into memory that a GPU can read by itself.
        max_bytes: How much frames may take, as uint8, that are decoded and not finished or not delivered;
            144 MiB for threads, 512 MiB of shared memory for processes when left out. One batch may
            come on top of it. Workers can be at different places of one video only as far as this reaches.
        multiprocessing_context: How processes are started: "fork", "forkserver" or "spawn".
        rank: Of how many ranks this is which; `torch.distributed` knows, where it is initialised.
        world_size: How many ranks share the frames; each frame is on exactly one of them. They have about the
            same amount of work, but not the same number of batches.
        others: Options of torch's own DataLoader are refused in words.

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
        refuse_torch_options(others)
        self.dataset, self.drop_last = dataset, bool(drop_last)
        self.batch_size = positive_integer(batch_size, "batch_size")
        self.worker_kind: WorkerKind = one_of(worker_kind, get_args(WorkerKind), "worker_kind")
        self.num_workers = num_cpus() if num_workers == "auto" else checked_workers(num_workers)
        self.prefetch = positive_integer(prefetch, "prefetch")
        self.order: Order = one_of(order, get_args(Order), "order")
        self.seed = not_negative_integer(seed, "seed")
        self.max_bytes = positive_integer(
            _MAX_BYTES[self.worker_kind] if max_bytes is None else max_bytes, "max_bytes"
        )
        self.pin_memory = can_pin(pin_memory)
        methods = multiprocessing.get_all_start_methods()
        if multiprocessing_context is not None:
            one_of(multiprocessing_context, tuple(methods), "multiprocessing_context")
        self.multiprocessing_context = multiprocessing_context
        self._rank = checked_rank(rank, world_size)
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
        """What the workers of the newest loop have done, and where their time went."""
        return self._progress

    def __len__(self) -> int:
        """How many batches this rank has in the next epoch. Each file must have been opened once for that."""
        recipe = self._recipe()
        if recipe.world_size == 1:
            return count_batches(self.dataset, recipe)
        with closing(self._plan(recipe, self._epoch)) as epoch:
            count = sum(1 for _ in epoch.batches())
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
        """The next loop is this epoch. Without it, each loop is the one after the last."""
        if not_negative_integer(epoch, "epoch") != self._epoch:
            self._epoch, self._start = epoch, 0
            self._position = {"epoch": epoch, "batches": 0}

    def state_dict(self) -> dict[str, Any]:
        """Where the newest loop stands: what `load_state_dict` needs to go on after its last batch."""
        return {**self._position, **asdict(self._recipe()), "sources": self.dataset.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next loop goes on where `state_dict` was called.

        Raises:
            ValueError: The loader would make other batches than the one that was saved.
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
        epoch = self._plan(self._recipe(), number)
        try:
            with closing(self._made(epoch, islice(epoch.batches(), start, None), progress)) as made:
                while (done := next(made, None)) is not None:
                    batch, losses, _ = done
                    del done
                    position["batches"] += 1
                    for loss in losses:
                        self.dataset.trouble.of_frame(*loss)
                    if batch["frame_indices"]:
                        yield batch
                    del batch
            if epoch.error is not None:
                raise epoch.error
            position.update(epoch=number + 1, batches=0)
        finally:
            epoch.close()

    def _plan(self, recipe: Recipe, number: int) -> Epoch:
        is_crew = self.worker_kind == "thread" and self.num_workers > 0
        return self.dataset.epoch(
            recipe,
            number,
            cuts=self.num_workers > 0,
            ahead=2 * self.num_workers if is_crew else 0,
            threads=1 if self.num_workers else _all_threads(),
        )

    def _made(self, epoch: Epoch, batches: Iterator[Batch], progress: Progress) -> Generator[Done]:
        if self.num_workers == 0:
            return self._in_this_thread(batches, progress)
        if self.worker_kind == "thread":
            return self._by_threads(epoch, batches, progress)
        return self._by_processes(batches, progress)

    def _in_this_thread(self, batches: Iterator[Batch], progress: Progress) -> Generator[Done]:
        finisher = self.dataset.finisher(BatchMemory(), is_pinned=self.pin_memory)
        return make_batches(batches, finisher, _all_threads(), progress=progress, **self._habits())

    def _by_threads(self, epoch: Epoch, batches: Iterator[Batch], progress: Progress) -> Generator[Done]:
        num_ahead = self.prefetch * self.num_workers
        return Crew(
            batches,
            self.num_workers,
            max_bytes=self.max_bytes,
            num_ahead=num_ahead,
            finisher=self.dataset.finisher(BatchMemory(num_ahead), is_pinned=self.pin_memory),
            progress=progress,
            help_plan=epoch.help,
            end_plan=epoch.close,
            **self._habits(),
        ).results()

    def _by_processes(self, batches: Iterator[Batch], progress: Progress) -> Generator[Done]:
        first = next(batches, None)
        if first is None:
            return
        factor = self.dataset.dtype.itemsize
        ahead = (self.prefetch * self.num_workers + 1) * first.num_bytes
        warn_of_shared_memory((self.max_bytes + ahead) * factor)
        yield from process_batches(
            chain([first], batches),
            BatchReader(self.dataset.dtype, self.dataset.transform, **self._habits()),
            self.num_workers,
            progress=progress,
            prefetch=self.prefetch,
            max_bytes=self.max_bytes,
            context=self.multiprocessing_context,
            is_pinned=self.pin_memory,
        )

    def _habits(self) -> dict[str, Any]:
        return {"num_kept": _KEPT_FILES[self.order], "is_tolerant": self.dataset.on_error == "skip"}

    def _recipe(self) -> Recipe:
        rank, world_size = self._rank or distributed_rank()
        return Recipe(
            self.batch_size, self.dataset.step, self.order, self.seed, rank, world_size, self.drop_last
        )


def _all_threads() -> int:
    """Some more than processors, so that none is idle while the calling thread converts."""
    return num_cpus() + 2 if num_cpus() > 1 else 1
