"""Worker threads and their queue, over files that cost nothing: in order, within their memory, to the end."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvio_lab.load.batch_plan import BatchSettings, Piece, by_piece, form_batches
from pvio_lab.load.batches import BatchOptions, Progress
from pvio_lab.load.threads import ThreadedBatches

pytestmark = pytest.mark.timeout(60)
FRAME = 2 * 2 * 3
OPTIONS = BatchOptions(torch.uint8, None, num_kept=1, is_tolerant=False)


class FakeFile:
    """A file whose frames are filled with their numbers."""

    def __init__(self, number, frames=None):
        self.path, self.name, self.threads = str(number), str(number), []
        self._frames = frames or (lambda numbers, *_: (np.full((2, 2, 3), n, np.uint8) for n in numbers))

    def decoder(self, size, threads):
        self.threads.append(threads)
        return SimpleNamespace(frames=self._frames, close=lambda: None)


def pieces_of(lengths, files=None):
    files = files or [FakeFile(number) for number in range(len(lengths))]
    return [Piece(file, range(n), (2, 2), n) for file, n in zip(files, lengths, strict=True)]


def workers_for(pieces, batch_size=4, num_threads=2, *, max_bytes=2**20, opening=lambda: None):
    work = by_piece(form_batches(pieces, BatchSettings(batch_size)))
    epoch = SimpleNamespace(next_piece=lambda: next(work, []), opening=opening, close=lambda: None)
    return ThreadedBatches(epoch, OPTIONS, Progress(), num_threads, max_bytes=max_bytes, num_ahead=2)


def origins(done):
    return list(zip(done.delivered["video_paths"], done.delivered["frame_indices"], strict=True))


def held_by(workers):
    """The bytes of the batches that have memory and are not delivered."""
    batches = list(workers._queue.values())
    return sum(each.plan.num_bytes for each in batches if each.rows is not None or each.result is not None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 40),
)
def test_every_batch_comes_in_order_within_the_limit(lengths, batch_size, num_threads, limit):
    """However pieces and batches overlap, and however little fits into memory, nobody waits for ever."""
    pieces, found, most = pieces_of(lengths), [], 0
    workers = workers_for(pieces, batch_size, num_threads, max_bytes=limit * FRAME)
    for done in workers.results():
        with workers._state:
            most = max(most, held_by(workers))
        assert [n % 256 for n in done.delivered["frame_indices"]] == done.delivered["frames"][
            :, 0, 0, 0
        ].tolist()
        found += origins(done)
    assert found == [(piece.file.name, n) for piece in pieces for n in piece.numbers]
    assert most <= (limit + batch_size) * FRAME


@pytest.mark.parametrize("limit", [1, 5])
def test_a_slow_consumer_stops_everybody(limit):
    workers = workers_for(pieces_of([400]), max_bytes=limit * 4 * FRAME)
    loop = workers.results()
    next(loop)
    time.sleep(0.2)
    assert held_by(workers) == limit * 4 * FRAME
    loop.close()


def test_workers_are_at_several_places_of_one_batch():
    """Each file waits until the other one is decoded, too."""
    together = threading.Barrier(2, timeout=20)

    def frames(numbers, *_):
        together.wait()
        return (np.zeros((2, 2, 3), np.uint8) for _ in numbers)

    pieces = pieces_of([3, 3], [FakeFile(number, frames) for number in range(2)])
    assert [len(origins(done)) for done in workers_for(pieces, 6).results()] == [6]


@pytest.mark.parametrize(("max_bytes", "threads"), [(2**20, 1), (10 * FRAME, 4)])
def test_a_piece_that_does_not_fit_is_decoded_by_all_threads(max_bytes, threads):
    pieces = pieces_of([100, 100])
    list(workers_for(pieces, num_threads=4, max_bytes=max_bytes).results())
    assert [piece.file.threads for piece in pieces] == [[threads]] * 2


def test_an_idle_worker_does_useful_jobs():
    opened = threading.Event()
    jobs = iter([opened.set])
    loop = workers_for(pieces_of([4]), opening=lambda: next(jobs, None)).results()
    next(loop)
    assert opened.wait(20)
    loop.close()


def test_nothing_follows_an_error():
    def frames(numbers, *_):
        raise ZeroDivisionError("broken")

    files = [FakeFile(0), FakeFile(1, frames), FakeFile(2)]
    loop = workers_for(pieces_of([8, 4, 4], files)).results()
    assert [origins(next(loop)) for _ in range(2)] == [[("0", n) for n in range(k, k + 4)] for k in (0, 4)]
    assert isinstance(next(loop), ZeroDivisionError)
    loop.close()
