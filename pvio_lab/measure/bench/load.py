"""How fast and frugal loading is, beside its peers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...read.cpus import num_cpus
from .figures import Figure
from .lab import Benchmark, Entrants, Lab
from .media import copies, make_clip, videos

# --- what is measured ---


def collection(lab: Lab, title: str, entrants: Entrants, *, is_drawn: bool) -> list[Figure]:
    """12 videos in batches of 32; for each turn a new process, and one pass."""
    name, tasks = "drawings" if is_drawn else "collection", [("epoch",)]
    source = lab.place(name, lambda folder: _make_collection(folder, lab, is_drawn))
    return lab.compare(title, __name__, entrants, source, tasks * lab.pick(5, 1), ["frames/s", "MB"], fresh=True)


def many(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """2,000 small videos, some of each size; two passes in a process."""
    source, tasks = lab.place("many", lambda folder: _make_many(folder, lab)), [("passes",)] * lab.pick(3, 1)
    return lab.compare(title, __name__, entrants, source, tasks, MANY_UNITS, fresh=True)


def clips(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """1,000 random clips of 16 frames from 200 videos."""
    source = lab.place("clips", lambda folder: _make_clips(folder, lab))
    tasks = [("clips", lab.pick(1000, 40))] * lab.pick(2, 1)
    return lab.compare(title, __name__, entrants, source, tasks, ["clips/s", "MB"], fresh=True)


MANY_UNITS = (
    "s to the first batch",
    "frames/s",
    "frames/s, second pass",
    "MB, most in the first pass",
    "MB more in the second pass",
    "open files, most",
    "open files more at the end",
)


def _make_collection(folder: Path, lab: Lab, is_drawn: bool) -> None:
    frames, picture, noise = (320, "testsrc", 0) if is_drawn else (320, "testsrc2", 6)
    for number in range(lab.pick(12, 3)):
        path = folder / f"{number:02}_{frames}.mp4"
        make_clip(path, "640x360", frames, seed=100 * number, noise=noise, picture=picture)
    (folder / "copies").mkdir()
    for path in map(Path, videos(folder)):
        copies(path, [folder / "copies" / path.name])


def _make_many(folder: Path, lab: Lab, kinds: int = 20) -> None:
    count, sizes = lab.pick(2000, 60), ("160x120", "192x144", "240x180", "320x180", "320x240")
    for kind in range(kinds):
        frames = 30 + 30 * kind // (kinds - 1)
        first = make_clip(
            folder / f"{kind:04}_{frames}.mp4", sizes[kind % len(sizes)], frames, seed=50 * kind
        )
        copies(first, [folder / f"{number:04}_{frames}.mp4" for number in range(kind + kinds, count, kinds)])


def _make_clips(folder: Path, lab: Lab, kinds: int = 8) -> None:
    count, kinds, frames = lab.pick(200, 8), lab.pick(kinds, 2), 300
    for kind in range(kinds):
        first = make_clip(folder / f"{kind:03}_{frames}.mp4", "640x360", frames, seed=100 * kind)
        copies(first, [folder / f"{number:03}_{frames}.mp4" for number in range(kind + kinds, count, kinds)])


# --- the benchmarks ---


def _workers(count: int) -> str:
    return f"{count} worker{'s' * (count != 1)}"


_BESIDE_DRAWINGS = ("pvio_lab uint8", "pvio_lab float32", "parallel-video-io", "torchcodec", "ffmpeg")
COLLECTION = Benchmark(
    "12 videos of 640x360, batches of 32",
    {
        **{f"pvio_lab uint8, {_workers(count)}": ("pvio_lab", count) for count in range(4)},
        **{f"pvio_lab float32, {_workers(count)}": ("pvio_lab", count, "float32") for count in range(4)},
        **{
            f"pvio_lab shuffled, {_workers(count)}": ("pvio_lab", count, "uint8", "thread", "shuffled")
            for count in (0, 2, 3)
        },
        **{
            f"pvio_lab processes, {_workers(count)}": ("pvio_lab", count, "uint8", "process")
            for count in (1, 2, 3)
        },
        **{f"parallel-video-io, {_workers(count)}": ("parallel-video-io", count) for count in (0, 1, 2, 4)},
        "torchcodec in a DataLoader, 0 workers": ("torchcodec", 0, "by range", 1),
        "torchcodec in a DataLoader, 0 workers, all threads": ("torchcodec", 0, "by range", num_cpus()),
        **{
            f"torchcodec in a DataLoader, {_workers(count)}, {order}": ("torchcodec", count, order, 1)
            for count, order in ((1, "by range"), (2, "by range"), (2, "by file"))
        },
        "VideoReader.batches": ("bare loop",),
        "ffmpeg, all threads": ("ffmpeg", 1),
        "ffmpeg, a process for each core": ("ffmpeg", 0),
    },
    partial(collection, is_drawn=False),
)
DRAWINGS = Benchmark(
    "12 drawn videos of 640x360 without noise, batches of 32",
    {name: entrant for name, entrant in COLLECTION.entrants.items() if name.startswith(_BESIDE_DRAWINGS)},
    partial(collection, is_drawn=True),
)
MANY = Benchmark(
    "2,000 small videos, batches of 32",
    {"without remembered facts": ("many", True), "with remembered facts": ("many", False)},
    many,
)
_ALL_THREADS: Entrants = {
    "torchcodec, approximate, all threads": (
        "torchcodec clips",
        0,
        "approximate",
        True,
        num_cpus(),
    )
}
CLIPS = {
    workers: Benchmark(
        f"1,000 clips of 16 frames from 200 videos, {_workers(workers)}",
        {
            "pvio_lab": ("pvio_lab clips", workers),
            **{
                f"torchcodec, {mode}, {'some kept' if keeps else 'opened each time'}": (
                    ("torchcodec clips", workers, mode, keeps)
                )
                for mode, keeps in (("exact", False), ("approximate", True))
            },
            **(_ALL_THREADS if workers == 0 else {}),
        },
        clips,
    )
    for workers in (0, 2)
}
BENCHMARKS = [COLLECTION, DRAWINGS, MANY, *CLIPS.values()]
