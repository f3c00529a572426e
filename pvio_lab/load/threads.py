"""Worker threads: they decode side by side, and the batches come out in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np

from ..base import new_condition, new_lock, survive_forks, waiting
from .batches import Done, Filling, Finisher, PartReader
from .plan import Batch, Task, by_piece
from .progress import Progress


@dataclass(eq=False)
class Claim:
    """A piece of work that one worker has taken; places are bytes of frames since the begin of the plan."""

    reached: int
    """So far its batches have memory."""
    end: int


class Window:
    """Tells workers when they may begin another batch. What is called here has to be under a lock.

    The batch that the consumer waits for always has room. Any other has if all that are in memory stay within
    the limit, and if there would be memory left for those before it; but the foremost worker needs only
    one at a time, as what it makes is delivered at once.

    Args:
        max_bytes: The limit.
    """

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self._held = self._delivered = 0
        self._claims: list[Claim] = []

    def claim(self, begin: int, end: int) -> Claim:
        """Notes that a worker has taken a piece; pieces have to be taken in order."""
        claim = Claim(begin, end)
        self._claims.append(claim)
        return claim

    def release(self, claim: Claim) -> None:
        """The worker is done with its piece."""
        self._claims.remove(claim)

    def has_room(self, claim: Claim, begin: int, end: int) -> bool:
        """A batch may have memory; it is of this claim, and reaches from `begin` to `end`."""
        if begin <= self._delivered:
            return True
        foremost = self._claims[0]
        spared = 0 if foremost is claim else max(min(foremost.end, begin) - foremost.reached, 0)
        return max(self._held + end - begin, end - self._delivered - spared) <= self._max_bytes

    def hold(self, begin: int, end: int) -> None:
        """A batch has memory now."""
        self._held += end - begin

    def deliver(self, begin: int, end: int) -> None:
        """A batch went to the consumer."""
        self._held -= end - begin
        self._delivered = end


# Waiting is done in short pieces: on Windows a longer wait cannot be interrupted, and threads must see
# that the program ends.
_PATIENCE = 0.2
# How long a worker waits for another one that plans, before it opens a file for the plan meanwhile.
_HELP_SECONDS = 0.01


class Stopped(Exception):
    """The loop is over."""


class Slot:
    """A batch on its way through the crew."""

    def __init__(self, plan: Batch, begin: int):
        self.plan, self.begin, self.end = plan, begin, begin + plan.num_bytes
        self.num_missing = len(plan.parts)
        self.filling: Filling | None = None
        self.is_being_finished = False
        self.result: Done | None = None
        self.error: BaseException | None = None

    @property
    def is_over(self) -> bool:
        """There is a result or an error."""
        return self.result is not None or self.error is not None


class Crew:
    """Worker threads for one epoch.

    Each takes the next piece of work when it is done with one. A piece of which few fit into memory is
    decoded by several threads of one decoder instead, so that all processors are in use then, too.

    Args:
        batches: The plan; it is asked by one worker at a time.
        num_threads: How many workers there are.
        max_bytes: How much uint8 frames may take that are not delivered yet.
        num_ahead: How many batches may be finished before they are asked for.
        finisher: Makes of a filled batch what the consumer gets.
        progress: Is told what the workers have done.
        num_kept: How many files each worker keeps open.
        is_tolerant: Frames that cannot be read are left out.
        help_plan: Something useful to do while somebody else plans.
        end_plan: Called when nothing more will be asked of the plan, so that whoever is planning stops.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        num_threads: int,
        *,
        max_bytes: int,
        num_ahead: int,
        finisher: Finisher,
        progress: Progress,
        num_kept: int,
        is_tolerant: bool,
        help_plan: Callable[[], None],
        end_plan: Callable[[], None],
    ):
        self._pieces, self._num_threads, self._max_bytes = by_piece(batches), num_threads, max_bytes
        self._window = Window(max_bytes)
        self._num_ahead, self._finisher = num_ahead, finisher
        self._help_plan, self._end_plan = help_plan, end_plan
        self._num_kept, self._is_tolerant, self._progress = num_kept, is_tolerant, progress
        self._planning, self._state = new_lock(), new_condition()
        self._slots: dict[int, Slot] = {}
        self._next: int | None = None
        self._planned_bytes = self._busy = 0
        self._plan_is_over = self._is_stopped = False
        self._accident: BaseException | None = None
        self._consumer = threading.current_thread()
        self._threads = [
            threading.Thread(target=self._work, name=f"pvio_lab loader {n}") for n in range(num_threads)
        ]
        survive_forks(self)

    def results(self) -> Generator[Done]:
        """The batches in order; when the loop over them ends, so do the workers."""
        self._consumer = threading.current_thread()
        try:
            waiting.start(self._threads)
            while True:
                with waiting.interruptible():
                    slot = self._await_next()
                if slot is None:
                    return
                yield _contents(slot)
        finally:
            self._stop()

    def after_fork(self) -> None:
        """The threads stay with the parent; here there is nothing to wait for."""
        self._threads, self._is_stopped = [], True
        self._accident = RuntimeError("this loop over a loader belongs to the process that began it")

    def _await_next(self) -> Slot | None:
        """The next batch in order, taken out; None after the last."""
        self._consumer = threading.current_thread()
        with self._state:
            while True:
                if self._accident is not None:
                    raise self._accident
                slot = self._slots.get(self._next) if self._next is not None else None
                if slot is not None and slot.is_over:
                    del self._slots[slot.plan.number]
                    self._next = slot.plan.number + 1
                    self._window.deliver(slot.begin, slot.end)
                    self._state.notify_all()
                    return slot
                if slot is None and self._plan_is_over:
                    return None
                self._state.wait(_PATIENCE)

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
        self._slots.clear()
        self._pieces = iter(())

    # --- what follows runs in the workers ---

    def _work(self) -> None:
        reader = PartReader(self._num_kept, self._check, is_tolerant=self._is_tolerant)
        try:
            while (piece := self._take_piece()) is not None:
                tasks, threads, claim = piece
                try:
                    self._do(tasks, threads, claim, reader)
                finally:
                    with self._state:
                        self._busy -= threads
                        self._window.release(claim)
                        self._state.notify_all()
            self._wait_until(lambda: not self._slots)
        except Stopped:
            pass
        except BaseException as error:
            with self._state:
                self._accident = error
                self._state.notify_all()
        finally:
            reader.close()

    def _take_piece(self) -> tuple[list[Task], int, Claim] | None:
        """A piece of the plan, how many threads shall decode it, and its claim; None after the last."""
        self._help_plan()
        while not self._planning.acquire(timeout=_HELP_SECONDS):
            self._check()
            self._help_plan()
        try:
            self._check()
            tasks = None if self._plan_is_over else next(self._pieces, None)
            if tasks is None:
                with self._state:
                    self._plan_is_over = True
                    self._state.notify_all()
                return None
            slots = self._note(tasks)
            threads = self._threads_for(tasks)
            self._wait_until(lambda: self._busy == 0 or self._busy + threads <= self._num_threads)
            with self._state:
                self._busy += threads
                return tasks, threads, self._window.claim(slots[0].begin, slots[-1].end)
        finally:
            self._planning.release()

    def _note(self, tasks: list[Task]) -> list[Slot]:
        """From now on, the consumer knows about these batches."""
        with self._state:
            for batch, _ in tasks:
                if self._next is None:
                    self._next = batch.number
                if batch.number not in self._slots:
                    self._slots[batch.number] = Slot(batch, self._planned_bytes)
                    self._planned_bytes += batch.num_bytes
            return [self._slots[batch.number] for batch, _ in tasks]

    def _threads_for(self, tasks: list[Task]) -> int:
        """As many lanes as there is memory for share the threads."""
        num_bytes = sum(len(part.numbers) * batch.size[0] * batch.size[1] * 3 for batch, part in tasks)
        num_lanes = min(self._num_threads, 1 + round(self._max_bytes / max(num_bytes, 1)))
        return self._num_threads // num_lanes

    def _do(self, tasks: list[Task], threads: int, claim: Claim, reader: PartReader) -> None:
        for batch, part in tasks:
            slot = self._slots[batch.number]
            self._wait_until(lambda slot=slot: self._has_memory(slot, claim))  # type: ignore[misc]
            assert slot.filling
            try:
                seconds = slot.filling.fill(part, reader, threads)
            except Stopped:
                raise
            except Exception as error:
                self._fail(slot, error)
                return
            self._progress.add(read=len(part.numbers), decode=seconds)
            with self._state:
                slot.num_missing -= 1
            self._finish_some()

    def _has_memory(self, slot: Slot, claim: Claim) -> bool:
        """Gives the batch memory as soon as there is room for it."""
        if slot.filling is None:
            if not self._window.has_room(claim, slot.begin, slot.end):
                return False
            self._window.hold(slot.begin, slot.end)
            shape = (slot.plan.num_rows, *slot.plan.size, 3)
            slot.filling = Filling(slot.plan, self._finisher.memory.take(shape, np.uint8))
        claim.reached = slot.end
        return True

    def _fail(self, slot: Slot, error: Exception) -> None:
        """The loop will end at this batch, so nothing more is planned."""
        with self._state:
            slot.error, self._plan_is_over = error, True
            self._state.notify_all()

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        """Waits; whatever batches can be finished meanwhile are."""
        while True:
            self._finish_some()
            with self._state:
                self._check()
                if is_so():
                    return
                if self._to_finish() is None:
                    self._state.wait(_PATIENCE)

    def _finish_some(self) -> None:
        while True:
            with self._state:
                slot = self._to_finish()
                if slot is None:
                    return
                slot.is_being_finished = True
            try:
                assert slot.filling
                slot.result = self._finisher.finish(slot.filling)
                self._progress.add(finished=slot.plan.num_rows, transform=slot.result.spent.transform)
            except Exception as error:
                self._fail(slot, error)
            with self._state:
                self._state.notify_all()

    def _to_finish(self) -> Slot | None:
        """A filled batch that the consumer will want soon."""
        for number, slot in self._slots.items():
            if slot.num_missing == 0 and not slot.is_being_finished:
                return slot if self._is_near(number, slot) else None
        return None

    def _is_near(self, number: int, slot: Slot) -> bool:
        """The next two, and more as long as they are not too many and not too large."""
        ahead = 0 if self._next is None else number - self._next
        size = slot.plan.num_bytes * self._finisher.num_bytes_per_value
        return ahead <= 1 or (ahead <= self._num_ahead and (ahead + 1) * size <= self._max_bytes)

    def _check(self) -> None:
        if self._is_stopped or not self._is_asked():
            raise Stopped

    def _is_asked(self) -> bool:
        """The program goes on, or waits for the thread that asks for batches."""
        consumer = self._consumer
        return threading.main_thread().is_alive() or (consumer.is_alive() and not consumer.daemon)


def _contents(slot: Slot) -> Done:
    """What came of a batch; the slot keeps nothing of it."""
    result, error = slot.result, slot.error
    slot.filling = slot.result = slot.error = None
    if error is not None:
        try:
            raise error
        finally:
            del error  # else error and traceback keep each other, and a decoder, alive
    assert result is not None
    return result
