"""One set-up of a folder at a time."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def try_lock(handle: int) -> bool:
    """Take the lock if it is free. The system releases it when its holder ends, however that happens."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock; child processes that inherit its handle keep it if this one is killed."""
    with path.open("w") as file:
        os.set_inheritable(file.fileno(), True)
        if not try_lock(file.fileno()):
            print("pvio_lab: waiting for another set-up of this folder to end", flush=True)
            while not try_lock(file.fileno()):
                time.sleep(1)
        yield
