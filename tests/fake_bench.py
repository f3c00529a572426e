"""Contenders that do what a test asks for, in processes of their own; and runners without a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pvio_lab.measure.bench.child import Kind

ROOM = __name__


class FakeRunner:
    """Stands in for a `Child`: it finds `results[kind]`, one after the other; errors are raised."""

    def __init__(self, log, results, kind):
        self._log, self._results, self._kind = log, results, kind
        log.append(("start", kind))

    def run(self, task, *arguments):
        self._log.append((task, self._kind, *arguments))
        found = self._results[self._kind]
        found = found.pop(0) if isinstance(found, list) else found
        if isinstance(found, BaseException):
            raise found
        return {"frames/s": found, "ms": found, "MB": 1.0}

    def close(self):
        self._log.append(("close", self._kind))


class Contender:
    def __init__(self, folder):
        self._folder = Path(folder)

    def count(self, number):
        return number

    def own(self):
        return {"apples": 3}

    def fork(self):
        """Uses a worker process as torch's DataLoader does."""
        from multiprocessing import get_context

        process = get_context("fork").Process(target=print, args=("noise",))
        process.start()
        process.join()

    def wrong(self):
        raise ValueError("no such frame")

    def crash(self):
        os._exit(3)

    def wait(self):
        """Waits for ever, and so does a process of its own."""
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (self._folder / "pids.part").write_text(f"{os.getpid()} {other.pid}")
        (self._folder / "pids.part").rename(self._folder / "pids")
        try:
            time.sleep(600)
        finally:
            (self._folder / "farewell").touch()


KINDS = {
    "good": Kind(Contender),
    "absent": Kind(Contender, "no_such_package_1", "pip install it"),
    "picky": Kind(lambda folder: 1 / 0),
}
