"""Worker threads: they make batches side by side, and the batches come out in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import NamedTuple

from ..base import new_condition, survive_forks, waiting
from ..read import BatchMemory
from .batches import BatchOptions, Done, PartReader, PendingBatch, Progress
from .plan import Batch, Part, by_piece

# Waiting is done in short pieces: on Windows a longer wait cannot be interrupted, and threads must notice
# that the program ends.
_PATIENCE = 0.2
Job = Callable[[], None]


class Stopped(Exception):
    """The loop is over."""


class Reservation:
    """The place of a batch in the queue; `begin` and `end` count bytes of frames from the first batch on."""

    def __init__(self, plan: Batch, begin: int):
        self.plan, self.begin, self.end = plan, begin, begin + plan.num_bytes
        self.batch: PendingBatch | None = None
        self.is_being_finished = False
        self.result: Done | Exception | None = None


class _Task(NamedTuple):
    """A part to be read."""

    place: Reservation
    part: Part
    threads: int


class ThreadedBatches:
    """Worker threads for one epoch, and the queue of the batches that they make.

    A worker takes the next piece of the plan when it is done with one. The batch that the consumer waits for
    always has room; another one is begun when it and all that come before it would fit into memory. A piece
    of which few batches fit is decoded by several threads of one decoder.

    Args:
        batches: The plan; one worker at a time asks for more of it.
        options: The ways in which batches are made.
        progress: Counts the frames that are made.
        num_threads: The number of workers.
        max_bytes: The size of the uint8 frames, beyond those of one batch, that may be in memory.
        num_ahead: The number of batches that may be finished before they are asked for.
        opening: Returns a useful job for an idle worker, or None.
        end_plan: Called when nothing more will be asked of the plan.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        options: BatchOptions,
        progress: Progress,
        num_threads: int,
        *,
        max_bytes: int,
        num_ahead: int,
        opening: Callable[[], Job | None],
        end_plan: Job,
    ):
        self._pieces, self._options, self._progress = by_piece(batches), options, progress
        self._max_bytes, self._num_ahead = max_bytes, num_ahead
        self._opening, self._end_plan = opening, end_plan
        self._memory, self._state = BatchMemory(num_ahead), new_condition()
        self._queue: dict[int, Reservation] = {}  # by number, in order
        self._planned_bytes = self._delivered_bytes = 0
        self._is_planning = self._is_planned = self._is_stopped = False
        self._error: BaseException | None = None
        self._consumer = threading.current_thread()
        self._threads = [
            threading.Thread(target=self._work, name=f"pvio_lab loader {n}") for n in range(num_threads)
        ]
        survive_forks(self)

    def results(self) -> Generator[Done]:
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

    def _next_result(self) -> Done | None:
        with self._state:
            while self._error is None:
                first = next(iter(self._queue.values()), None)
                if first is None and self._is_planned:
                    return None
                if first is not None and first.result is not None:
                    del self._queue[first.plan.number]
                    self._delivered_bytes = first.end
                    self._state.notify_all()
                    return _contents(first)
                self._state.wait(_PATIENCE)
            raise self._error

    def _stop(self) -> None:
        with self._state:
            self._is_stopped = True
            self._state.notify_all()
        self._end_plan()
        if threading.current_thread() in self._threads:
            return  # the garbage collector, which may run anywhere, found a loop that nobody refers to
        for thread in self._threads:  # at the end of a program, when other modules are gone already
            while thread.is_alive():
                thread.join(_PATIENCE)
        self._queue.clear()
        self._pieces = iter(())

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

    def _next_job(self, reader: PartReader, tasks: deque[_Task]) -> Job | None:
        """Return the most urgent job, as soon as there is one; None after the last piece.

        Args:
            reader: This worker's.
            tasks: What is left of its piece.
        """
        with self._state:
            while True:
                self._check()
                if (place := self._to_finish()) is not None:
                    place.is_being_finished = True
                    return partial(self._finish, place)
                if tasks and self._has_memory(tasks[0].place):
                    return partial(self._read, reader, tasks)
                if not tasks and not self._is_planned and not self._is_planning:
                    self._is_planning = True
                    return partial(self._plan, tasks)
                if not tasks and self._is_planned and not self._queue:
                    return None
                if (job := self._opening()) is not None:
                    return job
                self._state.wait(_PATIENCE)

    def _to_finish(self) -> Reservation | None:
        """Return a filled batch that is wanted soon: of the next two, or of more if they fit into memory."""
        for ahead, place in enumerate(self._queue.values()):
            if place.batch is not None and place.batch.is_filled and not place.is_being_finished:
                num_bytes = (ahead + 1) * place.plan.num_bytes * self._options.dtype.itemsize
                is_near = ahead <= 1 or (ahead <= self._num_ahead and num_bytes <= self._max_bytes)
                return place if is_near else None
        return None

    def _has_memory(self, place: Reservation) -> bool:
        """Give the batch memory as soon as there is room for it."""
        if place.batch is None:
            is_next = place.begin == self._delivered_bytes
            if not is_next and place.end - self._delivered_bytes > self._max_bytes:
                return False
            place.batch = PendingBatch(place.plan, self._memory)
        return True

    def _plan(self, tasks: deque[_Task]) -> None:
        """Take the next piece; from now on, the consumer knows of its batches."""
        piece = next(self._pieces, [])
        num_bytes = sum(len(part.numbers) * batch.num_bytes // batch.num_rows for batch, part in piece)
        # All threads are shared by as many pieces as there is memory for.
        threads = max(len(self._threads) // (1 + round(self._max_bytes / max(num_bytes, 1))), 1)
        with self._state:
            self._is_planning, self._is_planned = False, self._is_planned or not piece
            for batch, part in piece:
                if batch.number not in self._queue:
                    self._queue[batch.number] = Reservation(batch, self._planned_bytes)
                    self._planned_bytes += batch.num_bytes
                tasks.append(_Task(self._queue[batch.number], part, threads))

    def _read(self, reader: PartReader, tasks: deque[_Task]) -> None:
        place, part, threads = tasks.popleft()
        assert place.batch
        try:
            seconds = place.batch.fill(part, reader, threads)
        except Stopped:
            raise
        except Exception as error:
            tasks.clear()
            self._fail(place, error)
        else:
            self._progress.add(read=len(part.numbers), decode=seconds)

    def _finish(self, place: Reservation) -> None:
        assert place.batch
        try:
            place.result = done = place.batch.finish(self._options, self._memory)
        except Exception as error:
            self._fail(place, error)
        else:
            self._progress.add(finished=place.plan.num_rows, transform=done.spent.transform)

    def _fail(self, place: Reservation, error: Exception) -> None:
        """Let the loop end at this batch, so that nothing more is planned."""
        with self._state:
            place.result, self._is_planned = error, True

    def _check(self) -> None:
        if self._is_stopped or not self._is_asked():
            raise Stopped

    def _is_asked(self) -> bool:
        """Return whether the program goes on, or waits for the thread that asks for batches."""
        consumer = self._consumer
        return threading.main_thread().is_alive() or (consumer.is_alive() and not consumer.daemon)


def _contents(place: Reservation) -> Done:
    """Return the batch, or raise its error; nothing of it is kept."""
    result, place.result, place.batch = place.result, None, None
    if isinstance(result, Exception):
        try:
            raise result
        finally:
            del result  # else error and traceback keep each other, and a decoder, alive
    assert result is not None
    return result
