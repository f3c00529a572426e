"""Worker processes, by torch's own DataLoader: for transforms that hold Python's lock."""

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
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from ..read import SharedMemory
from .batches import Done, Finisher, PartReader, make_batch, note_batch
from .plan import Batch, by_batch, in_turns
from .progress import Progress

if TYPE_CHECKING:
    import torch

_SHARED_MEMORY = "/dev/shm"
# So many batches in a row for one worker, at most: each that waits for others takes an open file.
_MAX_RUN = 32
_CHILD_ENDED: int | None = getattr(signal, "SIGCHLD", None)
Answer = tuple[int, Done | Exception] | None


class BatchReader:
    """A map-style dataset whose indices are plans of batches; in each worker it keeps files open.

    Args:
        dtype: The type of the tensors.
        transform: Applied to whole batches.
        num_kept: How many files stay open.
        is_tolerant: Frames that cannot be read are left out.
    """

    def __init__(self, dtype: torch.dtype, transform: Any, num_kept: int, *, is_tolerant: bool):
        self._settings = dtype, transform, num_kept, is_tolerant
        self._tools: tuple[PartReader, Finisher] | None = None

    def __getitem__(self, plan: Batch | None) -> Answer:
        if plan is None:
            return None
        if self._tools is None:
            dtype, transform, num_kept, is_tolerant = self._settings
            reader = PartReader(num_kept, lambda: None, is_tolerant=is_tolerant)
            self._tools = reader, Finisher(dtype, transform, SharedMemory(), is_pinned=False)
        try:
            done = make_batch(plan, *self._tools, threads=1)
            if self._settings[1] is not None:
                _check_portable(done.delivered["frames"])
            return plan.number, done
        except Exception as error:
            return plan.number, _portable(error)


def process_batches(
    batches: Iterator[Batch],
    reader: BatchReader,
    num_workers: int,
    *,
    progress: Progress,
    prefetch: int,
    max_bytes: int,
    context: str | None,
    is_pinned: bool,
) -> Generator[Done]:
    """The batches in order; each worker makes some that follow each other, so that little is decoded twice.

    Args:
        batches: The plan.
        reader: What the workers do.
        num_workers: How many there are.
        progress: Is told what the workers have done.
        prefetch: How many batches each works ahead.
        max_bytes: How much uint8 frames may wait for those before them.
        context: How processes are started: "fork", "forkserver" or "spawn".
        is_pinned: torch puts the tensors into memory that a GPU can read by itself.
    """
    import torch
    from torch.utils.data import DataLoader

    turns = in_turns(by_batch(batches, max_bytes // num_workers, _MAX_RUN), num_workers, max_bytes)
    loader: Any = DataLoader(
        reader,  # type: ignore[arg-type]
        batch_size=None,
        sampler=turns,
        num_workers=num_workers,
        prefetch_factor=prefetch,
        collate_fn=_as_it_is,
        multiprocessing_context=context,
        pin_memory=is_pinned,
        generator=torch.Generator(),  # else the global one would be used, and changed
    )
    answers: Any = None
    try:
        with _held(signal.SIGINT):
            answers = iter(loader)
        yield from _in_order(_received(answers), progress)
    finally:
        with _held(signal.SIGINT), _held(_CHILD_ENDED):
            if answers is not None:
                answers._shutdown_workers()


@contextmanager
def _held(number: int | None) -> Iterator[None]:
    """The signal waits.

    While processes start, Python's fork hooks lose a Ctrl-C, or torch those that it has begun; and while they
    are ended, torch's handler would complain of a dead one in the midst of clearing up.
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


def _received(answers: Iterator[Answer]) -> Iterator[Answer]:
    """What arrives; where a worker dies while it hands something over, torch says nothing that would help."""
    try:
        yield from answers
    except (EOFError, ConnectionError, FileNotFoundError) as error:
        raise RuntimeError(
            f"a worker process exited unexpectedly, while it handed a batch over ({type(error).__name__}); "
            "perhaps it was killed because memory ran out: take fewer workers, or a smaller batch_size"
        ) from error


def _in_order(answers: Iterator[Answer], progress: Progress) -> Generator[Done]:
    early: dict[int, Done | Exception] = {}
    number: int | None = None
    for answer in answers:
        if answer is not None:
            number = answer[0] if number is None else number
            early[answer[0]] = answer[1]
            if isinstance(answer[1], Done):
                note_batch(progress, answer[1])
        del answer
        while number in early:
            done = early.pop(number)
            number += 1
            if isinstance(done, Exception):
                raise done
            yield done
            del done


def check_transform(transform: Any, context: str | None) -> None:
    """Raises ValueError where a worker process would not find the transform."""
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


def warn_of_shared_memory(num_bytes: int) -> None:
    """Warns where so much does not fit into the memory that processes share."""
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
        """Tensors are only looked at."""
        import torch

        if not isinstance(obj, torch.Tensor):
            return None
        if obj.requires_grad and not obj.is_leaf:
            raise ValueError("it is a tensor with a gradient; call detach() on it")
        return "tensor"


def _check_portable(result: Any) -> None:
    """Raises ValueError where a result could not be sent: torch would lose it, and wait for ever."""
    try:
        _Probe(io.BytesIO()).dump(result)
    except Exception as error:
        raise ValueError(
            f"what the transform returned, {type(result).__name__}, cannot go to another process: {error}; "
            "return tensors or plain values, or use worker_kind='thread'"
        ) from error


def _portable(error: Exception) -> Any:
    """The error itself, if it can be sent, else its words; it arrives with the traceback as its cause."""
    trace = error.__traceback__
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return ExceptionWithTraceback(error, trace)
