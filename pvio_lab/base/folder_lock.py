"""One at a time in a folder, across threads and processes; no file is left for it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PATIENCE_SECONDS, _PAUSE_SECONDS = 3.0, 0.01


@contextmanager
def alone_in_folder(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Run a short block that nobody else who asks for this folder runs at the same time.

    Where folders cannot be locked (Windows, some network file systems), the block runs without a lock: who
    looks before writing has to do so anyway, since other programs do not ask.

    Raises:
        TimeoutError: Somebody else has not come to an end for three seconds.
    """
    if sys.platform == "win32":
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # there is none, or it may not be read: writing to it will say so
        yield
        return
    is_locked = False
    try:
        is_locked = _lock(descriptor, Path(folder))
        yield
    finally:
        if is_locked:  # said in words: a child that was forked meanwhile holds the descriptor, too
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> bool:
    """Return whether it is locked now; False where this file system has no such locks."""
    last = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < last:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        except OSError:
            return False
        else:
            return True
    raise TimeoutError(f"another program has been writing to {folder} for {_PATIENCE_SECONDS:g} s; try again")
