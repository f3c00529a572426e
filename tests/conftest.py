from interrupts import interrupts
from lab_page import lab
from lab_server import browser, server
from ray_session import ray_session

__all__ = ["browser", "interrupts", "lab", "ray_session", "server"]
