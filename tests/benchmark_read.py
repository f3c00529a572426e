"""How fast and frugal reading is, beside its peers: python tests/benchmark_read.py [speed] [memory]

Each reader lives in a process of its own, because some decode ahead in the background, and takes its turn
with the others. Shown are medians; a ratio above 1 means that pvio_lab is faster. Peers that are not
installed are left out (`pip install "pvio_lab[peers]"`).
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

REPEATS = 7
X264 = "-c:v libx264 -pix_fmt yuv420p"
CLIPS = {  # name: (size, options); x264's defaults but for the last
    "320x240": ("320x240", X264),
    "640x360": ("640x360", X264),
    "1280x720": ("1280x720", X264),
    "640x480, GOP 2": ("640x480", f"{X264} -g 2"),
}
READERS = ("pvio_lab", "torchcodec, 1 thread", "torchcodec, 2 threads", "decord", "ffmpeg")


def make_clip(folder: Path, name: str, seconds: int = 20) -> Path:
    """600 frames of a moving picture with some noise, as cameras have it."""
    size, options = CLIPS[name]
    path = folder / f"{name.replace(', ', '_').replace(' ', '')}_{seconds}.mp4"
    source = f"testsrc2=size={size}:rate=30:duration={seconds},noise=alls=6:allf=t"
    command = [
        get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        source,
        *options.split(),
        "-y",
        str(path),
    ]
    subprocess.run(command, check=True)
    return path


# --- the readers, each with the same few tasks ---


class Pvio:
    def __init__(self, path: str):
        import pvio_lab

        self.open = lambda: pvio_lab.VideoReader(path)
        self.reader = self.open()

    def random(self, numbers: list[int]) -> object:
        return self.reader[numbers]

    def batches(self) -> None:
        for _ in self.reader.batches(32):
            pass

    def frames(self) -> None:
        for _ in self.reader:
            pass

    def cold(self, number: int) -> None:
        with self.open() as reader:
            reader[number]

    def opening(self) -> None:
        self.open().close()

    def step(self, number: int) -> object:
        return self.reader[number]


class TorchCodec:
    def __init__(self, path: str, threads: int):
        from torchcodec.decoders import VideoDecoder

        self.open = lambda: VideoDecoder(path, num_ffmpeg_threads=threads, dimension_order="NHWC")
        self.reader = self.open()

    def random(self, numbers: list[int]) -> object:
        return self.reader.get_frames_at(numbers).data

    def batches(self) -> None:
        reader = self.open()
        for start in range(0, len(reader), 32):
            _ = reader.get_frames_in_range(start, min(start + 32, len(reader))).data

    def frames(self) -> None:
        for _ in self.open():
            pass

    def cold(self, number: int) -> None:
        self.open()[number]

    def opening(self) -> None:
        self.open()

    def step(self, number: int) -> object:
        return self.reader[number]


class Decord:
    def __init__(self, path: str):
        import decord

        self.open = lambda: decord.VideoReader(path)
        self.reader = self.open()

    def random(self, numbers: list[int]) -> object:
        return self._then_rest(self.reader.get_batch(numbers).asnumpy())

    def cold(self, number: int) -> None:
        self.open()[number].asnumpy()

    def opening(self) -> None:
        self.open()

    def step(self, number: int) -> object:
        return self.reader[number].asnumpy()

    def _then_rest(self, frames: object) -> object:
        self.reader.seek(0)  # else it goes on decoding in the background
        return frames


class Ffmpeg:
    def __init__(self, path: str):
        self.command = [get_ffmpeg_exe(), "-v", "error", "-i", path, *"-f rawvideo -pix_fmt rgb24 -y".split()]

    def batches(self) -> None:
        subprocess.run([*self.command, os.devnull], check=True)


class Demux:
    def __init__(self, path: str):
        self.path = path

    def opening(self) -> None:
        import av

        with av.open(self.path) as container:
            for _ in container.demux(video=0):
                pass


MAKERS: dict[str, Callable[[str], object]] = {
    "pvio_lab": Pvio,
    "torchcodec, 1 thread": lambda path: TorchCodec(path, 1),
    "torchcodec, 2 threads": lambda path: TorchCodec(path, 2),
    "decord": Decord,
    "ffmpeg": Ffmpeg,
    "a demux pass": Demux,
}


def serve(name: str, path: str) -> None:
    """The life of a child: for each line a task and its arguments, it answers with the seconds it took."""
    reader = MAKERS[name](path)
    for line in sys.stdin:
        task, *arguments = json.loads(line)
        method = getattr(reader, task, None)
        begin = time.perf_counter()
        if method:
            method(*arguments)
        print(json.dumps(time.perf_counter() - begin if method else None), flush=True)


class Child:
    """A reader in a process of its own."""

    def __init__(self, name: str, path: Path):
        command = [sys.executable, __file__, "serve", name, str(path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, *task: object) -> float | None:
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
        except OSError:
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def medians(children: dict[str, Child], tasks: list[tuple[object, ...]]) -> dict[str, float]:
    """For each reader the median over the tasks, all of them in turn, and each time another begins."""
    seconds: dict[str, list[float]] = {name: [] for name in children}
    order = list(children.items())
    for number, task in enumerate([tasks[0], *tasks]):
        order.append(order.pop(0))
        for name, child in order:
            taken = child.ask(*task)
            if taken is not None and number:
                seconds[name].append(taken)
    return {name: statistics.median(values) for name, values in seconds.items() if values}


# --- speed ---


def speed(folder: Path) -> None:
    rng = np.random.default_rng(0)
    ratios = []
    for clip in CLIPS:
        path = make_clip(folder, clip)
        children = {name: Child(name, path) for name in MAKERS}
        try:
            numbers = [rng.integers(0, 600, 100).tolist() for _ in range(REPEATS)]
            print(f"\n## {clip}")
            found = medians(children, [("random", each) for each in numbers])
            ratios.append(show("100 random frames of 600, frames/s", found, 100, "torchcodec"))
            show("in order, batches of 32, frames/s", medians(children, [("batches",)] * REPEATS), 600, "")
            show("in order, one by one, frames/s", medians(children, [("frames",)] * REPEATS), 600, "")
            ones = rng.integers(0, 600, 4 * REPEATS).tolist()
            show("open and read one, ms", medians(children, [("cold", each) for each in ones]), 0, "decord")
            show("open, ms", medians(children, [("opening",)] * 2 * REPEATS), 0, "decord")
            steps = [("step", number) for number in range(300, 340)]
            show("step to the next frame, ms", medians(children, steps), 0, "")
        finally:
            for child in children.values():
                child.close()
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    print(
        f"\nrandom access, against the best of torchcodec: geometric mean {mean:.2f}, least {min(ratios):.2f}"
    )
    metadata(folder)


def show(title: str, seconds: dict[str, float], frames: int, peer: str) -> float:
    """A line; with `frames` as rates, else in milliseconds. The ratio is to this peer's best, or to all."""
    texts = [
        f"{name} {frames / value:.0f}" if frames else f"{name} {1e3 * value:.2f}"
        for name, value in seconds.items()
    ]
    others = [value for name, value in seconds.items() if name != "pvio_lab" and name.startswith(peer)]
    ratio = min(others) / seconds["pvio_lab"] if others else math.nan
    print(f"{title}: {' | '.join(texts)} | ratio {ratio:.2f}")
    return ratio


def metadata(folder: Path, count: int = 1000) -> None:
    import pvio_lab

    clip = make_clip(folder, "320x240", 1).read_bytes()
    paths = [folder / f"many_{number}.mp4" for number in range(count)]
    for path in paths:
        path.write_bytes(clip)
    for what in ("first", "remembered"):
        begin = time.perf_counter()
        for path in paths:
            pvio_lab.get_video_metadata(path)
        print(f"get_video_metadata of {count} files, {what}: {time.perf_counter() - begin:.2f} s")


# --- memory ---


def memory(folder: Path) -> None:
    for task in (many_files, sparse_batches, one_then_idle):
        command = [sys.executable, __file__, task.__name__, str(folder)]
        subprocess.run(command, check=True)


def many_files(folder: Path, files: int = 300, reads: int = 10_000) -> None:
    """Random reads over many open readers."""
    import pvio_lab

    clip = make_clip(folder, "320x240").read_bytes()
    paths = [folder / f"open_{number}.mp4" for number in range(files)]
    for path in paths:
        path.write_bytes(clip)
    rng, readers = np.random.default_rng(0), {}
    curve = Curve(f"{reads} random reads over {files} files of 320x240")
    for read in range(reads):
        number = int(rng.integers(files))
        if number not in readers:
            readers[number] = pvio_lab.VideoReader(paths[number])
        readers[number][int(rng.integers(600))]
        if read % (reads // 10) == 0:
            curve.note(f"{read} reads")
    for reader in readers.values():
        reader.close()
    curve.note("closed")


def sparse_batches(folder: Path) -> None:
    """30 calls for 32 frames each, spread over a long 720p video."""
    import pvio_lab

    reader = pvio_lab.VideoReader(make_clip(folder, "1280x720", 120))
    rng, curve = np.random.default_rng(0), Curve("30 sparse batches of 32 of a 720p video of 3600 frames")
    for call in range(30):
        reader[rng.integers(0, 3600, 32)]
        if call % 5 == 4:
            curve.note(f"{call + 1} calls")


def one_then_idle(folder: Path) -> None:
    """One frame, then nothing for five seconds."""
    import pvio_lab

    reader = pvio_lab.VideoReader(make_clip(folder, "1280x720", 120))
    curve = Curve("one frame of a 720p video, then five idle seconds")
    reader[1000]
    for second in range(6):
        curve.note(f"{second} s")
        time.sleep(1)


class Curve:
    """Resident memory over its beginning, and open files, as a line of numbers."""

    def __init__(self, title: str):
        import psutil

        self.process = psutil.Process()
        self.begin = self.process.memory_info().rss
        print(f"\n{title}")

    def note(self, when: str) -> None:
        grown = (self.process.memory_info().rss - self.begin) / 2**20
        files = self.process.num_fds() if hasattr(self.process, "num_fds") else 0
        print(f"  {when}: {grown:.0f} MiB more, {files} open files", flush=True)


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["serve"]:
        serve(*arguments[1:])
    elif len(arguments) == 2 and arguments[0] in globals():
        globals()[arguments[0]](Path(arguments[1]))
    else:
        for folder in temporary_folder():
            for name in arguments or ("speed", "memory"):
                {"speed": speed, "memory": memory}[name](folder)


def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


if __name__ == "__main__":
    main(sys.argv[1:])
