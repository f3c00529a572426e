"""How fast and frugal reading is, beside its peers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from .figures import Figure
from .lab import Benchmark, Entrants, Lab, Task
from .media import X264, copies, make_clip

NUM_FRAMES = 600
CLIPS = {  # name: (size, options); x264's defaults but for the last
    "320x240": ("320x240", X264),
    "640x360": ("640x360", X264),
    "1280x720": ("1280x720", X264),
    "640x480 GOP 2": ("640x480", f"{X264} -g 2"),
}
ENTRANTS: Entrants = {
    "pvio_lab": ("pvio_lab",),
    "torchcodec, 1 thread": ("torchcodec", 1),
    "torchcodec, 2 threads": ("torchcodec", 2),
    "decord": ("decord",),
    "ffmpeg": ("ffmpeg", NUM_FRAMES),
    "a demux pass": ("demux",),
}


def _entrants(*names: str) -> Entrants:
    return {name: entrant for name, entrant in ENTRANTS.items() if name.partition(",")[0] in names}


# --- what is measured ---


def random(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
    """100 random frames in one call."""
    rng = np.random.default_rng(0)
    tasks = [("random", rng.integers(0, NUM_FRAMES, 100).tolist()) for _ in range(lab.pick(7, 1))]
    return _compare(lab, title, entrants, clip, tasks, "frames/s")


def in_order(lab: Lab, title: str, entrants: Entrants, *, clip: str, task: str = "batches") -> list[Figure]:
    """A pass over the video, in batches of 32 or one by one."""
    return _compare(lab, title, entrants, clip, [(task,)] * lab.pick(7, 1), "frames/s")


def cold(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
    """Opening, and one frame anywhere."""
    numbers = np.random.default_rng(0).integers(0, NUM_FRAMES, lab.pick(28, 3)).tolist()
    return _compare(lab, title, entrants, clip, [("cold", each) for each in numbers], "ms")


def opening(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
    """Opening alone."""
    return _compare(lab, title, entrants, clip, [("opening",)] * lab.pick(14, 3), "ms")


def step(lab: Lab, title: str, entrants: Entrants, *, clip: str) -> list[Figure]:
    """One frame after the other, each asked for by its number."""
    tasks = [("step", number) for number in range(300, 300 + lab.pick(40, 10))]
    return _compare(lab, title, entrants, clip, tasks, "ms")


def facts(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """The facts of 1,000 small files."""
    source = lab.place("small files", partial(_make_copies, name="320x240", count=lab.pick(1000, 100)))
    tasks = [("facts",)] * lab.pick(3, 1)
    return lab.compare(title, __name__, entrants, source, tasks, ["ms"], fresh=True)


def growth(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """Memory and open files, while a reader or many of them are used."""
    source = lab.place("long video and copies", partial(_make_long, lab=lab))
    tasks = [("grow", lab.is_quick)] * lab.pick(3, 1)
    units = ["MB more", "files more"]
    return lab.compare(title, __name__, entrants, source, tasks, units, fresh=True, warm_up=False)


def _compare(
    lab: Lab, title: str, entrants: Entrants, clip: str, tasks: list[Task], unit: str
) -> list[Figure]:
    size, options = CLIPS[clip]
    place = lab.place(clip, lambda folder: make_clip(folder / "clip.mp4", size, NUM_FRAMES, options))
    return lab.compare(title, __name__, entrants, place / "clip.mp4", tasks, [unit])


def _make_copies(folder: Path, name: str, count: int, frames: int = 30) -> None:
    first = make_clip(folder / "0.mp4", CLIPS[name][0], frames)
    copies(first, [folder / f"{number}.mp4" for number in range(1, count)])


def _make_long(folder: Path, lab: Lab) -> None:
    make_clip(folder / "long.mp4", "1280x720", lab.pick(3600, 300))
    (folder / "many").mkdir()
    _make_copies(folder / "many", "320x240", lab.pick(300, 20), lab.pick(NUM_FRAMES, 60))


# --- the benchmarks ---

RANDOM = {
    clip: Benchmark(
        f"100 random frames of 600 in one call, {clip}",
        _entrants("pvio_lab", "torchcodec", "decord"),
        partial(random, clip=clip),
    )
    for clip in CLIPS
}
IN_ORDER = {
    clip: Benchmark(
        f"in order, batches of 32, {clip}",
        _entrants("pvio_lab", "torchcodec", "ffmpeg"),
        partial(in_order, clip=clip),
    )
    for clip in CLIPS
}
ONE_BY_ONE = {
    clip: Benchmark(
        f"in order, one by one, {clip}",
        _entrants("pvio_lab", "torchcodec"),
        partial(in_order, clip=clip, task="frames"),
    )
    for clip in CLIPS
}
COLD = {
    clip: Benchmark(
        f"open and read one, {clip}",
        _entrants("pvio_lab", "torchcodec", "decord"),
        partial(cold, clip=clip),
    )
    for clip in CLIPS
}
OPEN = {
    clip: Benchmark(
        f"open, {clip}",
        _entrants("pvio_lab", "torchcodec", "decord", "a demux pass"),
        partial(opening, clip=clip),
    )
    for clip in CLIPS
}
STEP = {
    clip: Benchmark(
        f"a step to the next frame, {clip}",
        _entrants("pvio_lab", "torchcodec", "decord"),
        partial(step, clip=clip),
    )
    for clip in CLIPS
}
FACTS = Benchmark(
    "the facts of 1,000 small files", {"new": ("facts", True), "remembered": ("facts", False)}, facts
)
GROWTH = Benchmark(
    "what readers hold",
    {way: ("growth", way.replace(" ", "_")) for way in ("many files", "sparse batches", "idle")},
    growth,
)
BENCHMARKS = [
    *(each for family in (RANDOM, IN_ORDER, ONE_BY_ONE, COLD, OPEN, STEP) for each in family.values()),
    FACTS,
    GROWTH,
]
