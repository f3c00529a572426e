"""The newest request is handled, and those in between are not."""

from __future__ import annotations

import threading
import time

from pvio_lab.base import Latest


def test_only_the_newest_request_counts():
    done, gate = [], threading.Event()

    def handle(request):
        gate.wait(5)
        done.append(request)

    latest = Latest(handle, lambda error: None, "test")
    for request in range(100):
        latest.ask(request)
        if request == 0:
            time.sleep(0.05)  # it has begun
    gate.set()
    assert latest.settle(5)
    assert done == [0, 99]
    latest.close()


def test_an_error_is_passed_on_and_the_next_request_is_handled():
    done, errors = [], []
    latest = Latest(lambda request: done.append(1 / request), errors.append, "test")
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
    for request in range(5):
        latest.ask(request)
        time.sleep(0.02)
    time.sleep(0.4)
    assert done[-1] == "rest"
    assert done.count("rest") == 1
    assert done[-2] == 4
    latest.close()


def test_close_ends_the_thread():
    latest = Latest(lambda request: None, lambda error: None, "test of closing")
    latest.ask(1)
    latest.close()
    latest.ask(2)
    assert not [thread for thread in threading.enumerate() if thread.name == "test of closing"]
