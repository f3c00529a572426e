from lab_page import lab
from lab_server import browser, server

__all__ = ["browser", "lab", "server"]
