"""Contenders that do what a test asks for, in processes of their own; and runners without a process."""

from __future__ import annotations

from pvio_lab.measure.bench.lab import Kind

ROOM = __name__


class FakeRunner:
    """Stands in for a process: it finds `results[kind]`, one after the other; errors are raised."""

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
        self._folder = folder

    def count(self, number):
        return number

    def own(self):
        return {"apples": 3}


KINDS = {
    "good": Kind(Contender),
    "absent": Kind(Contender, "no_such_package_1", "pip install it"),
    "picky": Kind(lambda folder: 1 / 0),
}
