"""Worker processes, by torch's own DataLoader: for transforms that hold the GIL."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..read import SharedMemory
from .batch_plan import Batch, by_batch, in_turns
from .batches import BatchOptions, Done, PartReader, Progress, Result, Spent, make_batch

_SHARED_MEMORY = "/dev/shm"
# The longest run of batches for one worker: each that waits for others takes an open file.
_MAX_RUN = 32
_CHILD_ENDED: int | None = getattr(signal, "SIGCHLD", None)
Answer = tuple[int, Result, Spent] | None
"""The number of a batch, the batch, and the time that it took; None from a worker that had a pause."""


class BatchReader:
    """A map-style dataset whose indices are plans of batches; in each worker it keeps files open."""

    def __init__(self, options: BatchOptions):
        self._options = options
        self._reader: PartReader | None = None

    def __getitem__(self, plan: Batch | None) -> Answer:
        if plan is None:
            return None
        self._reader = self._reader or PartReader(self._options)
        progress = Progress()
        try:
            done = make_batch(plan, self._reader, self._options, SharedMemory(), progress)
            if self._options.transform is not None:
                _check_portable(done.delivered["frames"])
            return plan.number, done, progress.spent
        except Exception as error:
            return plan.number, _portable(error), progress.spent


def process_batches(
    batches: Iterator[Batch],
    options: BatchOptions,
    progress: Progress,
    num_workers: int,
    *,
    prefetch: int,
    max_bytes: int,
    context: str | None,
) -> Generator[Result]:
    """Yield the batches in order; each worker makes runs of them, so that little is decoded twice.

    Args:
        batches: The plan.
        options: The ways in which batches are made.
        progress: Counts the frames that arrive.
        num_workers: The number of processes.
        prefetch: The number of batches that each worker makes ahead.
        max_bytes: The size of the uint8 frames that may wait for those before them.
        context: The way in which processes are started: "fork", "forkserver" or "spawn".
    """
    first = next(batches, None)
    if first is None:
        return
    num_bytes = max_bytes + (prefetch * num_workers + 1) * first.num_bytes
    _warn_of_shared_memory(num_bytes * options.dtype.itemsize)
    batches = chain([first], batches)
    turns = in_turns(by_batch(batches, max_bytes // num_workers, _MAX_RUN), num_workers, max_bytes)
    loader: Any = DataLoader(
        BatchReader(replace(options, is_pinned=False)),  # type: ignore[arg-type]
        batch_size=None,
        sampler=turns,
        num_workers=num_workers,
        prefetch_factor=prefetch,
        collate_fn=_as_it_is,
        multiprocessing_context=context,
        pin_memory=options.is_pinned,
        generator=torch.Generator(),  # else the global one would be used, and changed
    )
    answers: Any = None
    try:
        with _held(signal.SIGINT):
            answers = iter(loader)
        yield from _in_order(answers, first.number, progress)
    finally:
        with _held(signal.SIGINT), _held(_CHILD_ENDED):
            if answers is not None:
                answers._shutdown_workers()


@contextmanager
def _held(number: int | None) -> Iterator[None]:
    """Hold a signal back.

    While processes start, a Ctrl-C gets lost in Python's fork hooks, or makes torch lose those that it has
    started; and while they are ended, torch's handler would complain of a dead one during the clean-up.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(number) if number and is_main and not sys.is_finalizing() else None
    if number is None or before is None:
        yield
        return
    arrived: list[int] = []
    signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(number, before)
    if arrived:
        signal.raise_signal(number)


def _in_order(answers: Iterator[Answer], number: int, progress: Progress) -> Generator[Result]:
    """Yield the batches from this number on; where a worker dies while it hands one over, say so."""
    early: dict[int, Result] = {}
    try:
        for answer in answers:
            if answer is not None:
                early[answer[0]] = answer[1]
                if isinstance(answer[1], Done):
                    count = len(answer[1].delivered["frame_indices"])
                    decode, transform = answer[2]
                    progress.add(read=count, decode=decode, finished=count, transform=transform)
            del answer
            while number in early:
                yield early.pop(number)
                number += 1
    except (EOFError, ConnectionError, FileNotFoundError) as error:  # torch lets them through
        raise RuntimeError(
            f"a worker process exited unexpectedly, while it handed a batch over ({type(error).__name__}); "
            "perhaps it was killed because memory ran out: take fewer workers, or a smaller batch_size"
        ) from error


def check_transform(transform: Any, context: str | None) -> None:
    """Raise ValueError where a worker process would not find the transform."""
    # Asked without allow_none, it would be fixed for the whole program.
    method = context or multiprocessing.get_start_method(allow_none=True)
    method = method or multiprocessing.get_all_start_methods()[0]
    if transform is None or method == "fork":
        return
    try:
        pickle.dumps(transform)
        reason = "it was defined in a notebook or at a prompt" if _is_interactive(transform) else None
    except Exception as error:
        reason = str(error)
    if reason:
        raise ValueError(
            f"transform={transform!r} cannot go to a process started by {method!r}: {reason}; "
            "put it into a file and import it, or use worker_kind='thread'"
        )


def _is_interactive(transform: Any) -> bool:
    module = getattr(transform, "__module__", type(transform).__module__)
    return module == "__main__" and not hasattr(sys.modules["__main__"], "__file__")


def _warn_of_shared_memory(num_bytes: int) -> None:
    """Warn where this much does not fit into the memory that processes share."""
    if not os.path.isdir(_SHARED_MEMORY):
        return
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if num_bytes > free:
        warnings.warn(
            f"up to {num_bytes / 2**20:.0f} MiB of frames may wait in {_SHARED_MEMORY}, where "
            f"{free / 2**20:.0f} MiB are free; a worker that finds it full is killed. Use "
            "worker_kind='thread', a smaller batch_size, max_bytes or prefetch, or give the container more "
            "(docker run --shm-size=8g)",
            RuntimeWarning,
            stacklevel=2,
        )


def _as_it_is(answer: Any) -> Any:
    return answer


class _Probe(pickle.Pickler):
    """Pickles everything but the contents of tensors, which go another way."""

    def persistent_id(self, obj: Any) -> str | None:
        """Look at tensors only."""
        import torch

        if not isinstance(obj, torch.Tensor):
            return None
        if obj.requires_grad and not obj.is_leaf:
            raise ValueError("it is a tensor with a gradient; call detach() on it")
        return "tensor"


def _check_portable(result: Any) -> None:
    """Raise ValueError where a result could not be sent: torch would lose it, and wait for ever."""
    try:
        _Probe(io.BytesIO()).dump(result)
    except Exception as error:
        raise ValueError(
            f"the result of the transform, {type(result).__name__}, cannot go to another process: {error}; "
            "return tensors or plain values, or use worker_kind='thread'"
        ) from error


def _portable(error: Exception) -> Any:
    """Return an error that can be sent, with the same text; it arrives with the traceback as its cause."""
    trace = error.__traceback__
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return ExceptionWithTraceback(error, trace)
