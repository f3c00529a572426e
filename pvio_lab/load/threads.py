"""Worker threads: they make batches side by side, and the batches come out in order."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import NamedTuple

from ..base import new_condition, survive_forks, waiting
from ..read import BatchMemory
from .batch_plan import Part
from .batches import BatchOptions, PartReader, PendingBatch, Progress, Result
from .epoch import Epoch

# Waiting is done in short pieces: on Windows a longer wait cannot be interrupted, and threads must notice
# that the program ends.
_PATIENCE = 0.2


class Stopped(BaseException):
    """The loop is over."""


class _Task(NamedTuple):
    """A part to be read."""

    batch: PendingBatch
    part: Part
    threads: int


class ThreadedBatches:
    """Worker threads for one epoch, and the queue of the batches that they make.

    A worker takes the next piece of the plan when it is done with one. The batch that the consumer waits for
    always has room; another one is begun when it and all that come before it would fit into memory. A piece
    of which few batches fit is decoded by several threads of one decoder.

    Args:
        epoch: The plan; one worker at a time asks for more of it.
        options: The ways in which batches are made.
        progress: Counts the frames that are made.
        num_threads: The number of workers.
        max_bytes: The size of the uint8 frames, beyond those of one batch, that may be in memory.
        num_ahead: The number of batches that may be finished before they are asked for.
    """

    def __init__(
        self,
        epoch: Epoch,
        options: BatchOptions,
        progress: Progress,
        num_threads: int,
        *,
        max_bytes: int,
        num_ahead: int,
    ):
        self._epoch, self._options, self._progress = epoch, options, progress
        self._max_bytes, self._num_ahead = max_bytes, num_ahead
        self._memory, self._state = BatchMemory(num_ahead), new_condition()
        self._queue: dict[int, PendingBatch] = {}  # by number, in order
        self._filled: list[tuple[int, PendingBatch]] = []  # a heap of those that nobody has begun to finish
        self._planned_bytes = self._delivered_bytes = 0
        self._is_planning = self._is_planned = self._is_stopped = False
        self._error: BaseException | None = None
        self._consumer = threading.current_thread()
        self._threads = [
            threading.Thread(target=self._work, name=f"pvio_lab loader {n}") for n in range(num_threads)
        ]
        survive_forks(self)

    def results(self) -> Generator[Result]:
        """Yield the batches in order; when the loop over them ends, so do the workers."""
        try:
            waiting.start(self._threads)
            while True:
                self._consumer = threading.current_thread()
                with waiting.interruptible():
                    result = self._next_result()
                if result is None:
                    return
                yield result
                del result
        finally:
            self._stop()

    def after_fork(self) -> None:
        """Abandon the threads, which stay with the parent."""
        self._threads, self._is_stopped = [], True
        self._error = RuntimeError("this loop over a loader belongs to the process that began it")

    def _next_result(self) -> Result | None:
        with self._state:
            while self._error is None:
                first = next(iter(self._queue.values()), None)
                if first is None and self._is_planned:
                    return None
                if first is not None and first.result is not None:
                    del self._queue[first.plan.number]
                    self._delivered_bytes = first.end
                    self._state.notify_all()
                    result, first.result = first.result, None  # else an error would keep itself alive
                    return result
                self._state.wait(_PATIENCE)
            raise self._error

    def _stop(self) -> None:
        with self._state:
            self._is_stopped = True
            self._state.notify_all()
        self._epoch.close()
        if threading.current_thread() in self._threads:
            return  # the garbage collector, which may run anywhere, found a loop that nobody refers to
        for thread in self._threads:  # at the end of a program, when other modules are gone already
            while thread.is_alive():
                thread.join(_PATIENCE)
        self._queue.clear()
        self._filled.clear()

    # --- what follows runs in the workers ---

    def _work(self) -> None:
        reader, tasks = PartReader(self._options, self._check), deque[_Task]()
        try:
            while (job := self._next_job(reader, tasks)) is not None:
                job()
                with self._state:
                    self._state.notify_all()
        except Stopped:
            pass
        except BaseException as error:
            with self._state:
                self._error = error
                self._state.notify_all()
        finally:
            reader.close()

    def _next_job(self, reader: PartReader, tasks: deque[_Task]) -> Callable[[], None] | None:
        """Return the most urgent job, as soon as there is one; None after the last piece.

        The reader is this worker's, and so are the tasks that are left of its piece.
        """
        with self._state:
            while True:
                self._check()
                if self._filled and self._is_wanted_soon(*self._filled[0]):
                    return partial(self._finish, heapq.heappop(self._filled)[1])
                if tasks and self._has_memory(tasks[0].batch):
                    return partial(self._read, reader, tasks)
                if not tasks and not self._is_planned and not self._is_planning:
                    self._is_planning = True
                    return partial(self._plan, tasks)
                if not tasks and self._is_planned and not self._queue:
                    return None
                if (job := self._epoch.opening()) is not None:
                    return job
                self._state.wait(_PATIENCE)

    def _is_wanted_soon(self, number: int, batch: PendingBatch) -> bool:
        """Return whether a batch is one of the next two, or of more if they fit into memory when finished."""
        ahead = number - next(iter(self._queue))
        num_bytes = (ahead + 1) * batch.plan.num_bytes * self._options.dtype.itemsize
        return ahead <= 1 or (ahead <= self._num_ahead and num_bytes <= self._max_bytes)

    def _has_memory(self, batch: PendingBatch) -> bool:
        """Give the batch memory as soon as there is room for it."""
        if batch.rows is None:
            is_next = batch.plan.number == next(iter(self._queue))
            if not is_next and batch.end - self._delivered_bytes > self._max_bytes:
                return False
            batch.begin(self._memory)
        return True

    def _plan(self, tasks: deque[_Task]) -> None:
        """Take the next piece; from now on, the consumer knows of its batches."""
        piece = self._epoch.next_piece()
        num_bytes = sum(len(part.numbers) * batch.size[0] * batch.size[1] * 3 for batch, part in piece)
        # The threads are divided among as many pieces as fit into memory.
        threads = max(len(self._threads) // (1 + round(self._max_bytes / max(num_bytes, 1))), 1)
        with self._state:
            self._is_planning, self._is_planned = False, self._is_planned or not piece
            for batch, part in piece:
                if batch.number not in self._queue:
                    self._planned_bytes += batch.num_bytes
                    self._queue[batch.number] = PendingBatch(batch, self._planned_bytes)
                tasks.append(_Task(self._queue[batch.number], part, threads))

    def _read(self, reader: PartReader, tasks: deque[_Task]) -> None:
        batch, part, threads = tasks.popleft()
        try:
            batch.fill(part, reader, self._progress, threads)
        except Exception as error:
            tasks.clear()
            self._fail(batch, error)
            return
        with self._state:
            batch.num_left -= 1
            if not batch.num_left:
                heapq.heappush(self._filled, (batch.plan.number, batch))

    def _finish(self, batch: PendingBatch) -> None:
        try:
            batch.result = batch.finish(self._options, self._memory, self._progress)
        except Exception as error:
            self._fail(batch, error)

    def _fail(self, batch: PendingBatch, error: Exception) -> None:
        """Let the loop end at this batch, so that nothing more is planned."""
        with self._state:
            batch.result, self._is_planned = error, True

    def _check(self) -> None:
        # The program goes on, or waits for the thread that asks for batches.
        consumer = self._consumer
        is_asked = threading.main_thread().is_alive() or (consumer.is_alive() and not consumer.daemon)
        if self._is_stopped or not is_asked:
            raise Stopped
