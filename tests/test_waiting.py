"""Waiting: Ctrl-C ends it as a KeyboardInterrupt, at whichever moment it comes."""

import queue
import threading
import time

import pytest

from pvio_lab.base import waiting


class HalfTaken:
    """A lock as an interruption leaves it when it hits a thread that takes it again."""

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        raise RuntimeError("release unlocked lock")


def test_an_interruption_that_python_hides_is_passed_on():
    with pytest.raises(KeyboardInterrupt) as caught, waiting.interruptible(), HalfTaken():
        raise KeyboardInterrupt("pressed")
    assert caught.value.args == ("pressed",)


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="can't start new thread"), waiting.interruptible():
        raise RuntimeError("can't start new thread")


def test_threads_are_started_and_waited_for():
    done = []
    threads = [threading.Thread(target=lambda: (time.sleep(0.3), done.append(1))) for _ in range(3)]
    waiting.start(threads[:2])
    waiting.join(threads)
    assert done == [1, 1]


def test_an_item_that_comes_late_is_taken():
    results = queue.Queue()
    threading.Timer(0.5, results.put, ["late"]).start()
    assert waiting.take(results) == "late"


def test_an_item_that_does_not_come_is_a_timeout():
    looks = []
    with pytest.raises(TimeoutError, match=r"nothing has come for 0\.3 s"):
        waiting.take(queue.SimpleQueue(), 0.3, lambda: looks.append(1))
    assert looks
