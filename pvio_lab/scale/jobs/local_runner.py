"""A job in processes of this machine: each does one clip after another, and is replaced if it dies.

One thread for each process asks it for clip after clip, so it is known at which clip a process died. The
clips that were not written yet are then done again, and the clip at which it died gets a shard of its own.
"""

from __future__ import annotations

import base64
import math
import os
import pickle
import queue
import sys
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import Any, TypeVar

from ...base import Child, ChildError, new_condition, new_lock, num_cpus, waiting
from ..arrow import parquet
from .read_manifest import CLIP
from .shards import Task
from .store import MOST_DEATHS, Store

# A shard is written when it has taken this long, even if it could have more clips: a kill loses no more.
_MOST_SECONDS = 30.0
_SERVICE = f"{__package__}.local_worker:service"

_T = TypeVar("_T")
Place = tuple[str, int, int]
"""The file of a clip in the folder of the manifest, its row there, and its number."""


class LocalRunner:
    """Processes of this machine; see `on_this_machine`.

    Args:
        task: What is done with each clip.
        num_workers: How many processes; as many as this process may use cores when None.
        progress: Show a progress bar.

    Raises:
        ValueError: The function cannot go to another process.
    """

    name = "local"

    def __init__(self, task: Task, num_workers: int | None, progress: bool):
        self.num_cpus = num_cpus() if num_workers is None else num_workers
        """The number of clips that are processed at the same time."""
        self._progress = progress
        # Through a pipe, as it may have secrets: arguments of processes are there for all to see.
        self._task = base64.b64encode(pickled_task(task)).decode()

    def run(self, task: Task, store: Store, size: int, num_clips: int) -> None:
        """Do all clips that are not done, in shards of at most this size."""
        from tqdm.auto import tqdm

        for folder in ("clips", "done"):
            store.make_folder(folder)
        done = store.is_done(num_clips)
        state = _State(Shards(_shards(store, done, size)), num_done=int(done.sum()))
        begin = (store.uri, [os.path.abspath(place) for place in sys.path], self._task)
        count = min(self.num_cpus, num_clips - state.num_done)
        workers = [_Worker(store, begin, state) for _ in range(count)]
        threads = [threading.Thread(target=each.run, daemon=True) for each in workers]
        bar = tqdm(
            desc="clips", unit="clip", total=num_clips, initial=state.num_done, disable=not self._progress
        )
        with bar:
            try:
                waiting.start(threads)
                for _ in threads:
                    if error := waiting.take(state.ends, meanwhile=lambda: state.show(bar)):
                        raise error
                state.show(bar)
            finally:
                state.shards.close()
                for each in workers:
                    each.close()
                waiting.join(threads)


@contextmanager
def on_this_machine(task: Task, num_workers: int | None, progress: bool) -> Iterator[LocalRunner]:
    """Use processes of this machine, which end with the job."""
    yield LocalRunner(task, num_workers, progress)


class Shards:
    """The shards to do, each a list of places; what a worker could not finish comes back."""

    def __init__(self, fresh: Iterator[list[Place]]):
        self._fresh, self._again = fresh, deque[list[Place]]()
        self._num_out, self._is_closed, self._changed = 0, False, new_condition()

    def take(self) -> list[Place] | None:
        """Return a shard, or None when all are done; wait while one that is out may come back."""
        with self._changed:
            while not self._is_closed:
                shard = self._again.popleft() if self._again else next(self._fresh, None)
                if shard:
                    self._num_out += 1
                    return shard
                if not self._num_out:
                    break
                self._changed.wait()
            return None

    def give_back(self, rest: Iterable[list[Place]]) -> None:
        """End a shard that was taken; others have to do the rest of it."""
        with self._changed:
            self._again.extend(filter(None, rest))
            self._num_out -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody take or wait any longer."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class _State:
    """The state that the threads of a job share."""

    def __init__(self, shards: Shards, num_done: int):
        self.shards, self.num_done, self.num_failed = shards, num_done, 0
        self.deaths = Counter[int]()
        self.ends: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._lock = new_lock()

    def count(self, done: int, failed: int) -> None:
        """Count clips that are done, or that have to be done again."""
        with self._lock:
            self.num_done += done
            self.num_failed += failed

    def died_at(self, clip: int) -> None:
        """Note that a worker died while it was at this clip."""
        with self._lock:
            self.deaths[clip] += 1

    def show(self, bar: Any) -> None:
        """Bring a progress bar up to date."""
        with self._lock:
            new, troubles = self.num_done - bar.n, {"failed": self.num_failed, "died": self.deaths.total()}
        if new:
            bar.set_postfix({name: count for name, count in troubles.items() if count}, refresh=False)
            bar.update(new)


class _Died(Exception):
    """The process of a worker has ended while it was asked something."""


class _Worker:
    """A process, the next one if it dies, and the thread that asks it."""

    def __init__(self, store: Store, begin: tuple[Any, ...], state: _State):
        self._store, self._begin, self._state = store, begin, state
        self._child: Child | None = None
        self._is_closed, self._lock = False, new_lock()

    def run(self) -> None:
        """Do shards until there are none left."""
        error = None
        try:
            while (shard := self._state.shards.take()) is not None:
                self._state.shards.give_back(self._rest_after(shard))
        except Exception as raised:  # the thread that waits raises it
            error = raised
        finally:
            self.close()
            self._state.ends.put(error)

    def close(self) -> None:
        """End the process, even in the middle of a clip."""
        with self._lock:
            self._is_closed, child = True, self._child
        if child is not None:
            child.close()

    def _rest_after(self, shard: list[Place]) -> list[list[Place]]:
        """Do a shard, and return what has to be done again, or later."""
        end, name, failed = time.monotonic() + _MOST_SECONDS, uuid.uuid4().hex, 0
        done = 0
        try:
            while done < len(shard) and (not done or time.monotonic() < end):
                part, row, clip = shard[done]
                is_given_up = self._state.deaths[clip] >= MOST_DEATHS
                is_failed = self._ask("clip", part, row, is_given_up) is not None
                self._state.count(1, is_failed)
                done, failed = done + 1, failed + is_failed
            self._ask("write", name)
        except _Died:
            self._store.discard(name)
            self._state.count(-done, -failed)
            if done < len(shard) or len(shard) == 1:
                self._state.died_at(shard[min(done, len(shard) - 1)][2])
            return split(shard, done)
        return [shard[done:]]

    def _ask(self, *question: Any) -> Any:
        try:
            answer, error = self._started().ask(question, math.inf)
        except ChildError as error:
            raise _Died from error
        if error is not None:
            raise pickle.loads(base64.b64decode(error))
        return answer

    def _started(self) -> Child:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the job was stopped")
            if self._child is not None and self._child.is_alive:
                return self._child
            if self._child is not None:
                self._child.close()
            self._child = child = Child(_SERVICE, name="the worker")
        try:
            child.greeting()
            _, error = child.ask(["begin", *self._begin], math.inf)
        except ChildError as failure:
            raise RuntimeError(f"no worker process can be started: {failure}") from None
        if error is not None:
            raise pickle.loads(base64.b64decode(error))
        return child


def split(shard: list[_T], place: int) -> list[list[_T]]:
    """Split a shard at the clip where its worker died; where that was at the end, in halves.

    >>> split([1, 2, 3, 4], 2), split([1, 2, 3, 4], 4)
    ([[1, 2], [3], [4]], [[1, 2], [3, 4]])
    """
    if place < len(shard):
        return [shard[:place], [shard[place]], shard[place + 1 :]]
    return [shard[: place // 2], shard[place // 2 :]]


def _shards(store: Store, done: Any, size: int) -> Iterator[list[Place]]:
    """Yield the places of the clips that are not done, this many at a time."""

    def places() -> Iterator[Place]:
        for part in store.names("manifest"):
            table = parquet.read_table(
                store.path(f"manifest/{part}"), columns=[CLIP], filesystem=store.filesystem
            )
            for row, clip in enumerate(table[CLIP].to_pylist()):
                if not done[clip]:
                    yield part, row, clip

    remaining = places()
    while shard := list(islice(remaining, size)):
        yield shard


def pickled_task(task: Task) -> bytes:
    """Pickle a task for a new process, with cloudpickle where the function cannot be imported there.

    Raises:
        ValueError: That is not possible; the message says what to do.
    """
    try:
        pickled = pickle.dumps(task)
        if b"__main__" not in pickled:
            return pickled
        reason = "it was defined in a notebook, in a script or at a prompt"
    except Exception as error:
        reason = str(error)
    cures = ['pip install "pvio_lab[jobs]"', "put it into a file and import it"]
    for name in ("cloudpickle", "ray.cloudpickle"):
        try:
            return bytes(import_module(name).dumps(task))
        except ImportError:
            continue
        except Exception as error:
            reason, cures = str(error), cures[1:]
            break
    raise ValueError(
        f"function={task.work.function!r} cannot go to a worker process: {reason}; {', or '.join(cures)}"
    )
