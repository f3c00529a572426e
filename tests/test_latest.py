"""The newest wish is fulfilled, and those in between are not."""

from __future__ import annotations

import threading
import time

from pvio_lab.base import Latest


def test_only_the_newest_wish_counts():
    done, gate = [], threading.Event()

    def fulfil(wish):
        gate.wait(5)
        done.append(wish)

    latest = Latest(fulfil, lambda error: None, "test")
    for wish in range(100):
        latest.ask(wish)
        if wish == 0:
            time.sleep(0.05)  # it has begun
    gate.set()
    assert latest.settle(5)
    assert done == [0, 99]
    latest.close()


def test_an_error_is_told_and_the_next_wish_is_fulfilled():
    done, errors = [], []
    latest = Latest(lambda wish: done.append(1 / wish), errors.append, "test")
    latest.ask(0)
    assert latest.settle(5)
    latest.ask(2)
    assert latest.settle(5)
    assert done == [0.5]
    assert isinstance(errors[0], ZeroDivisionError)
    latest.close()


def test_rest_comes_once_and_not_while_one_moves():
    done = []
    latest = Latest(
        done.append, lambda error: None, "test", rest=lambda: done.append("rest"), rest_seconds=0.1
    )
    for wish in range(5):
        latest.ask(wish)
        time.sleep(0.02)
    time.sleep(0.4)
    assert done[-1] == "rest"
    assert done.count("rest") == 1
    assert done[-2] == 4
    latest.close()


def test_close_ends_the_thread():
    latest = Latest(lambda wish: None, lambda error: None, "test of closing")
    latest.ask(1)
    latest.close()
    latest.ask(2)
    assert not [thread for thread in threading.enumerate() if thread.name == "test of closing"]
