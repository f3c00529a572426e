"""Damaged copies of clips, and a child process that reads them: it may crash or hang, the tests must not.

Run as a program it reads names of files from stdin and answers each with one line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import random
import subprocess
import sys
import threading
from pathlib import Path

import pvio_lab


def mutate(data: bytes, seed: int) -> bytes:
    """Flip bits, cut, zero a block, swap two blocks, or fill a block with noise; the same each time."""
    chance = random.Random(seed)
    return chance.choice((_flip, _flip_head, _cut, _zero, _swap, _noise))(bytearray(data), chance)


def _flip(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 10, 100))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _flip_head(data: bytearray, chance: random.Random) -> bytes:
    """Headers are small: flips all over the file rarely hit them."""
    begin = chance.choice((0, max(len(data) - 4000, 0)))
    for _ in range(chance.choice((1, 4, 16))):
        data[begin + chance.randrange(min(len(data), 4000))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _cut(data: bytearray, chance: random.Random) -> bytes:
    begin, end = sorted(chance.choices(range(len(data)), k=2))
    return bytes(chance.choice((data[:end], data[begin:], data[:begin] + data[end:])))


def _zero(data: bytearray, chance: random.Random) -> bytes:
    begin, length = chance.randrange(len(data)), chance.choice((16, 300, 5000))
    data[begin : begin + length] = bytes(len(data[begin : begin + length]))
    return bytes(data)


def _swap(data: bytearray, chance: random.Random) -> bytes:
    length = min(chance.choice((16, 300, 5000)), len(data) // 2)
    first, second = (chance.randrange(len(data) - length) for _ in range(2))
    one, other = data[first : first + length], data[second : second + length]
    data[first : first + length], data[second : second + length] = other, one
    return bytes(data)


def _noise(data: bytearray, chance: random.Random) -> bytes:
    begin, length = chance.randrange(len(data)), chance.choice((4, 64, 1000))
    data[begin : begin + length] = chance.randbytes(len(data[begin : begin + length]))
    return bytes(data)


class Child:
    """A process that reads one file after another.

    Args:
        seconds: How long one file may take.
        memory_bytes: How much memory the child may ask for beyond what it needs itself; None for any.
        options: Of the reader in the child.
    """

    def __init__(self, seconds: float = 60, *, memory_bytes: int | None = None, **options: object):
        self.seconds, self.memory_bytes, self.options = seconds, memory_bytes, options
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> dict:
        """Return the fate of a file: {"frames", "errors", "leaked", "peak_bytes"}, {"crash"} or {"hang"}."""
        if self._process is None:
            self._start()
        self._process.stdin.write(json.dumps(str(path)) + "\n")
        self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=self.seconds)
        except queue.Empty:
            self.close()
            return {"hang": self.seconds}
        if line:
            return json.loads(line)
        code = self._process.wait()
        self._process = None
        return {"crash": code}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        paths = os.pathsep.join([str(Path(pvio_lab.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(self.options), json.dumps(self.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_pass_on, args=(self._process.stdout, self._answers), daemon=True).start()


def _pass_on(lines, answers: queue.Queue[str]) -> None:
    for line in lines:
        answers.put(line)
    answers.put("")


def read_whole(path: str, **options: object) -> dict:
    """Read a file in many ways; every error becomes its name and its message."""
    errors: list[str] = []

    def attempt(action):
        try:
            return action()
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}"[:300])

    attempt(lambda: pvio_lab.get_video_metadata(path, cache=False))
    reader = attempt(lambda: pvio_lab.VideoReader(path, **options))
    frames = 0
    if reader is not None:
        length = len(reader)
        for number in random.Random(0).sample(range(length), min(length, 4)):
            frames += attempt(lambda number=number: len(reader[[number]])) or 0
        frames += attempt(lambda: len(reader[:: max(length // 12, 1)])) or 0
        frames += attempt(lambda: len(reader.at(reader.index.pts_seconds[-1:]))) or 0
        frames += attempt(lambda: sum(1 for _ in reader)) or 0
        reader.close()
    return {"frames": frames, "errors": errors}


def limit_memory(num_bytes: int | None) -> None:
    """More than this, and what an interpreter with threads claims without using it, is an error."""
    if num_bytes is not None and sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2 * num_bytes + 2**31,) * 2)


def peak_bytes() -> int:
    """The most memory that this process has used since it was asked last; 0 where nobody knows."""
    try:
        text = Path("/proc/self/status").read_text()
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return 1024 * int(text.partition("VmHWM:")[2].split()[0])


def main() -> None:
    """Answer until stdin ends."""
    options = json.loads(sys.argv[1])
    limit_memory(json.loads(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    before = None
    for line in sys.stdin:
        result = read_whole(json.loads(line), **options)
        gc.collect()  # an error may keep its frames for a while
        files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        before = files if before is None else before
        result |= {"leaked": files - before, "peak_bytes": peak_bytes()}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
