"""Readers that are wrong in known ways, for tests of what finds them out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import psutil

from pvio_lab.base import ChildError
from pvio_lab.measure.timed_reads import Piece, run_piece


def moving_frames(count, size=(96, 128)):
    """A light square on a reddish ground, which moves by a pixel from frame to frame."""
    frames = np.full((count, *size, 3), (140, 60, 50), np.uint8)
    for number, frame in enumerate(frames):
        left = number % (size[1] - 24)
        frame[40:64, left : left + 24] = (220, 180, 60)
    return frames


class FakePeer:
    """Reads from an array; what it returns for frame i is changed by `change(frames, i)`."""

    def __init__(self, frames, change=lambda frames, number: frames[number], length=None):
        self._frames, self._change = frames, change
        self._length = len(frames) if length is None else length
        self.calls = Counter()

    def sequential(self):
        self.calls["sequential"] += 1
        return (self.random(number) for number in range(self._length))

    def random(self, number):
        self.calls["random"] += 1
        return self._change(self._frames, number)

    def batch(self, numbers):
        self.calls["batch"] += 1
        return np.stack([self.random(number) for number in numbers])

    def close(self):
        self.calls["close"] += 1


class FakeRunner:
    """Stands in for a child process.

    Args:
        log: What happened, shared by all: (event, reader, threads).
        name: Which reader.
        threads: How many threads it may use.
        results: Frames a second, one after the other; an exception is raised.
        frames: What it reads from; with frames, they are checked.
        load_error: Why it does not load.
    """

    def __init__(self, log, name, threads, results=(), frames=None, change=None, load_error=None):
        self._log, self._who = log, (name, threads)
        self._results, self._frames, self._change = iter(results), frames, change
        self._load_error = load_error

    def version(self):
        if self._load_error:
            raise ChildError(self._load_error)
        return f"{self._who[0]} 1.0"

    def run(self, task):
        self._log.append(("run", *self._who))
        result = next(self._results, 100.0)
        if isinstance(result, BaseException):
            raise result
        if self._change:
            return run_piece(FakePeer(self._frames, self._change), task)
        return Piece(int(result), 1.0, 1.0, [], np.zeros((0, 1, 1, 3), np.uint16), (0, 0))

    def close(self):
        self._log.append(("close", *self._who))


def events(log, kind):
    return [tuple(rest) for event, *rest in log if event == kind]


def children():
    """The processes of a measurement; other tests may have left the helpers of multiprocessing."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "pvio_lab.measure" in " ".join(child.cmdline())]
