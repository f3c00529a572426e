import pytest
from interrupts import interrupts
from lab_page import lab
from lab_server import browser, server
from ray_session import ray_session

from pvio_lab.base import num_cpus

__all__ = ["browser", "interrupts", "lab", "ray_session", "server"]


@pytest.hookimpl(optionalhook=True)  # without xdist (`-p no:xdist`) it is not called
def pytest_xdist_auto_num_workers():
    """Return one for each usable processor, but at most eight, as each worker takes memory."""
    return min(num_cpus(), 8)
