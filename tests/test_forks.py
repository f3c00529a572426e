"""Forks while other threads are at work: a child never waits for a lock that nobody can release."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

import pvio_lab
from pvio_lab import StreamingVideoEncoder, VideoReader
from pvio_lab.base import forks

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
SHAPES = "data_samples/shapes.mp4"


def works_in_a_child(work, seconds=60):
    """Return True if `work` returns something true in a forked child, within a time."""
    child = os.fork()
    if not child:
        signal.alarm(seconds)
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@contextmanager
def held_elsewhere(locks):
    """In this block, another thread holds these locks."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold():
        with ExitStack() as held:
            for lock in locks:
                if lock.acquire(timeout=1):  # those of other tests may be in use
                    held.callback(lock.release)
            is_held.set()
            is_over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(60)
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_child_reads_whatever_locks_another_thread_holds():
    with VideoReader(SHAPES) as reader:
        expected = reader[[7, 250]]
        with held_elsewhere(forks._alive(forks._locks.copy())):
            assert works_in_a_child(lambda: (reader[[7, 250]] == expected).all())
        assert (reader[[7, 250]] == expected).all()


@pytest.mark.parametrize("make", [forks.new_lock, forks.new_rlock, forks.new_condition])
def test_a_lock_that_another_thread_holds_is_free_in_a_child(make):
    lock = make()
    with held_elsewhere([lock]):
        assert works_in_a_child(lambda: lock.acquire(timeout=30))
        assert not lock.acquire(blocking=False)


def test_a_lock_that_the_forking_thread_holds_stays_its_own():
    lock = forks.new_rlock()
    with lock:
        assert works_in_a_child(lock._is_owned)


def test_a_child_does_not_get_a_frame_that_another_thread_was_converting():
    with VideoReader(SHAPES) as reader:
        expected = reader[7]
        graph = reader._access._decoders[0].converter._graph
        graph.push(reader._access.cache.get(0))
        assert works_in_a_child(lambda: (reader[7] == expected).all())
        graph.pull()
        assert (reader[7] == expected).all()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_failure_does_not_keep_the_others_from_being_renewed():
    class Survivor:
        def __init__(self, number):
            self.number, self.count = number, 0
            forks.survive_forks(self)

        def after_fork(self):
            self.count += 1
            if self.number % 2:
                raise RuntimeError("as it must")

    survivors = [Survivor(number) for number in range(10)]
    assert works_in_a_child(lambda: all(each.count == 1 for each in survivors))


def test_a_child_does_not_wait_for_the_cameras_of_its_parent(tmp_path):
    with StreamingVideoEncoder(30, when_full="block") as recorder:
        recorder.start_episode(["front"], tmp_path)
        frame = np.zeros((48, 64, 3), np.uint8)
        recorder.feed_frame("front", frame)

        def end():
            with pytest.raises(pvio_lab.EncodeError, match=f"forked from {os.getppid()}"):
                recorder.feed_frame("front", frame)
            return recorder.finish_episode()["front"].path is None

        assert works_in_a_child(end)
        recorder.feed_frame("front", frame)
        assert recorder.finish_episode()["front"].num_frames == 2


def test_all_locks_of_the_package_are_known():
    found = re.compile(r"\b(threading\.)?(R?Lock|Condition)\(\)|register_at_fork")
    package = Path(pvio_lab.__file__).parent
    strangers = [
        f"{path.relative_to(package)}:{number}"
        for path in package.rglob("*.py")
        if path != Path(forks.__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if found.search(line)
    ]
    assert not strangers, "make them with base.forks.new_lock, new_rlock or new_condition"


READING_AND_FORKING = """
import os, signal, sys, threading
import numpy as np
from pvio_lab import VideoReader

readers = [VideoReader("data_samples/shapes.mp4"), VideoReader("data_samples/gop2.mp4")]
expected, is_over = readers[0][7], threading.Event()

def read(seed):
    random, reader = np.random.default_rng(seed), readers[seed % 2]
    while not is_over.is_set():
        reader[random.integers(len(reader), size=1 if seed else 12)]

threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
for thread in threads:
    thread.start()
codes = []
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(0 if (readers[0][7] == expected).all() else 3)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
is_over.set()
print(sorted(set(codes)))
"""


@pytest.mark.slow
def test_forks_while_three_threads_read():
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READING_AND_FORKING, "100"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.stdout == "[0]\n", ran.stderr
    assert not ran.stderr
