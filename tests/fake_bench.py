"""Contenders that do what a test asks for, in processes of their own; and runners without a process."""

from __future__ import annotations

from pvio_lab.measure.bench.contenders import needed


class FakeRunner:
    """Stands in for a process: it finds `results[kind]`, one after the other; errors are raised."""

    def __init__(self, log, results, kind):
        self._log, self._results, self._kind = log, results, kind
        log.append(("start", kind))

    def run(self, given):
        self._log.append(("go", self._kind, *given))
        found = self._results[self._kind]
        found = found.pop(0) if isinstance(found, list) else found
        if isinstance(found, BaseException):
            raise found
        return {"frames/s": found, "ms": found, "MB": 1.0}

    def close(self):
        self._log.append(("close", self._kind))


def good(folder):
    return lambda found: found


def absent(folder):
    return needed("no_such_package_1", "pip install it")


def picky(folder):
    return 1 / 0
