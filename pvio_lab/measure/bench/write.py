"""How fast and frugal writing is, beside its peers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .figures import Figure
from .lab import Benchmark, Entrants, Lab
from .media import X264, copies, ffmpeg, make_clip

# --- what is measured ---


def speed(lab: Lab, title: str, entrants: Entrants, *, preset: str) -> list[Figure]:
    """300 frames of 1280x720 to H.264, with the same preset and CRF; each has them in its memory."""
    given = {name: (*entrant, lab.pick(300, 30), preset) for name, entrant in entrants.items()}
    source = lab.place("written", lambda folder: None)
    tasks = [("write",)] * lab.pick(5, 1)
    return lab.compare(title, __name__, given, source, tasks, ["frames/s"], fresh=True)


def joining(
    lab: Lab, title: str, entrants: Entrants, *, count: int, seconds: int, size: str, sound: bool = False
) -> list[Figure]:
    """Joining files without encoding them again."""
    make = partial(_make_pieces, count=lab.pick(count, 10), seconds=seconds, size=size, sound=sound)
    source = lab.place(title, make)
    return lab.compare(title, __name__, entrants, source, [("join",)] * lab.pick(9, 3), ["ms"])


def memory(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """5,000 frames of 1280x720 from a generator."""
    source, tasks = lab.place("written", lambda folder: None), [("write_many", lab.pick(5000, 200))]
    return lab.compare(
        title, __name__, entrants, source, tasks, ["MB more", "MB of ffmpeg"], fresh=True, warm_up=False
    )


def recording(lab: Lab, title: str, entrants: Entrants) -> list[Figure]:
    """Three cameras for a minute; nothing may be dropped."""
    source, tasks = lab.place("written", lambda folder: None), [("record", lab.pick(60, 3))]
    units = ["frames dropped", "ms", "ms, 99%", "ms, longest"]
    return lab.compare(title, __name__, entrants, source, tasks, units, fresh=True, warm_up=False)


def _make_pieces(folder: Path, count: int, seconds: int, size: str, sound: bool) -> None:
    first = make_clip(folder / "0000.mp4", size, 30 * seconds, f"{X264} -preset veryfast", noise=0)
    if sound:
        silent = first.rename(folder / "silent")
        tone = f"-f lavfi -i sine=440:r=44100:d={seconds} -c:v copy -c:a aac".split()
        ffmpeg("-i", silent, *tone, first)
        silent.unlink()
    copies(first, [folder / f"{number:04}.mp4" for number in range(1, count)])


# --- the benchmarks ---

_JOINERS: Entrants = {"pvio_lab": ("pvio_lab joins",), "ffmpeg": ("ffmpeg joins",)}
SPEED = {
    preset: Benchmark(
        f"300 frames of 1280x720 to H.264, preset {preset}",
        {
            "pvio_lab": ("pvio_lab",),
            "ffmpeg fed by hand": ("ffmpeg",),
            "imageio": ("imageio",),
            "PyAV": ("pyav",),
        },
        partial(speed, preset=preset),
    )
    for preset in ("ultrafast", "veryfast", "medium")
}
JOINING = {
    (count, sound): Benchmark(
        f"joining {count} files of {seconds} s, {size}{', with sound' if sound else ''}",
        _JOINERS,
        partial(joining, count=count, seconds=seconds, size=size, sound=sound),
    )
    for count, seconds, size in ((100, 2, "320x240"), (500, 1, "160x120"), (4, 120, "640x360"))
    for sound in (False, True)
}
MEMORY = Benchmark("memory for 5,000 frames of 1280x720", {"pvio_lab": ("memory",)}, memory)
RECORDING = Benchmark(
    "three cameras of 640x480 at 30/s for 60 s",
    {"ultrafast": ("recorder", "ultrafast"), "default preset": ("recorder", None)},
    recording,
)
BENCHMARKS = [*SPEED.values(), *JOINING.values(), MEMORY, RECORDING]
