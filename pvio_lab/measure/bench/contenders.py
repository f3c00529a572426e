"""Contenders of a benchmark: each does its work in a process of its own, and they take turns.

There a contender cannot decode behind the back of another, and its memory is its own. Memory is read from
/proc: a look at a contender takes 0.05 ms, by psutil, which reads about all processes, 1.6 ms.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ...base import Child, ChildError, in_words
from ..rounds import turns

MB = 1e6
PEERS_CURE = 'pip install "pvio_lab[peers]"'
# How long a round may take, and how long a contender and what it started may clear up at the end.
_PATIENCE_SECONDS, _FAREWELL_SECONDS = 900.0, 5.0

Work = Callable[..., Any]
Entrant = tuple[Any, ...]
"""A contender: a function, and its arguments beside the folder of files.

In the child process the function prepares everything, and returns the work, which is timed. The work may
return its own measurements by unit, or a number of frames, which are counted per second."""


@dataclass(frozen=True)
class Benchmark:
    """Some contenders that do the same work."""

    title: str
    """The work."""
    entrants: Mapping[str, Entrant]
    """The contenders; a variant stands behind a comma: "pvio_lab, 2 workers"."""
    files: tuple[str, Callable[[Path, bool], Any]]
    """A name of the files, which benchmarks with the same one share, and the function that fills a folder
    with them: with some in a quick run."""
    rounds: Sequence[Sequence[Any]]
    """The arguments of the work in each round."""
    quick_rounds: Sequence[Sequence[Any]]
    """Those of a quick run."""
    units: Sequence[str]
    """The measured numbers that become figures."""
    is_fresh: bool = True
    """There is a new process in each round, where a pass must not profit from the one before it."""
    warms_up: bool = True
    """The first round is done once more beforehand, and does not count."""


@dataclass(frozen=True)
class Figure:
    """One contender's number: the median over the rounds, the lowest and the highest."""

    benchmark: str
    contender: str
    unit: str
    """Where this contains "/s", higher is better, else lower."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    missing: str = ""
    """The reason why the contender does not load, such as that it is not installed."""
    error: str = ""
    """The error while it was measured."""


class Missing(Exception):
    """A contender cannot be loaded; with the reason."""


def needed(module: str, cure: str) -> Any:
    """Import what a contender needs.

    Raises:
        Missing: It cannot be imported; with the command that installs it.
    """
    try:
        return import_module(module)
    except Exception as error:  # a broken installation raises anything
        raise Missing(f"{in_words(error)}; {cure}") from error


class ContenderProcess(Child):
    """A process that prepares one contender and measures its work.

    Args:
        entrant: The contender.
        source: The folder of its files.
        folder: The place of its temporary files.
    """

    def __init__(self, entrant: Entrant, source: Path, folder: Path):
        prepare, *arguments = entrant
        names = prepare.__module__, prepare.__qualname__
        super().__init__(f"{__name__}:contender_service", *names, str(source), *arguments, folder=folder)

    def run(self, given: Sequence[Any]) -> dict[str, float]:
        """Return what was measured, by unit; as "MB" the most that was resident, of all its processes.

        Raises:
            Missing: The contender does not load.
            ChildError: An error, a crash, or it takes much too long.
        """
        held = [0]  # seen from here, where it costs the contender nothing
        found = self.ask(given, _PATIENCE_SECONDS, lambda: held.append(tree_bytes(self.pid)))
        if isinstance(found, str):
            raise Missing(found)
        return {**found, "MB": max(found["MB"], max(held) / MB)}

    def close(self, patience: float = _FAREWELL_SECONDS) -> None:
        """End it, and all processes that it started; they may clear up first, but not for long."""
        super().close(patience)


def contender_service(module: str, name: str, *arguments: Any) -> tuple[None, Callable[[list[Any]], Any]]:
    """Return what prepares a contender at the first question, and measures its work, in the child process."""
    prepared = cache(lambda: getattr(import_module(module), name)(*arguments))

    def answer(given: list[Any]) -> dict[str, float] | str:
        try:
            work = prepared()
        except Missing as missing:
            return str(missing)
        return measured(work, given)

    return None, answer


def measured(work: Callable[..., Any], given: list[Any]) -> dict[str, float]:
    """Return the time in ms; frames/s if the work returns their number; or what it measured itself."""
    begin = time.perf_counter()
    found = work(*given)
    seconds = time.perf_counter() - begin
    own = dict(found) if isinstance(found, Mapping) else {}
    rate = {"frames/s": found / seconds} if isinstance(found, int) else {}
    return {"ms": 1e3 * seconds, **rate, "MB": peak_bytes() / MB, **own}


def compare(
    benchmark: Benchmark,
    names: Iterable[str],
    folder: Path,
    *,
    is_quick: bool = False,
    note: Callable[[str], Any] = lambda text: None,
    start: Callable[[Entrant, Path, Path], ContenderProcess] = ContenderProcess,
) -> list[Figure]:
    """Let contenders take turns with the work of a benchmark, and return medians.

    Args:
        benchmark: The work.
        names: The contenders.
        folder: The place of files.
        is_quick: Do a fraction of the work.
        note: Called with what is done next.
        start: Starts a contender: entrant, folder of its files, folder for temporary files.
    """
    label, make_files = benchmark.files
    if not (folder / label).exists():
        note(f"making {label}")
        (folder / label).mkdir()
        make_files(folder / label, is_quick)
    rounds = benchmark.quick_rounds if is_quick else benchmark.rounds
    num_warm_ups = int(benchmark.warms_up and not (benchmark.is_fresh and is_quick))
    rounds = [*rounds[:num_warm_ups], *rounds]
    values: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    failed: dict[str, dict[str, Any]] = {}
    running: dict[str, ContenderProcess] = {}
    try:
        for number, name in turns(list(values), len(rounds)):
            if name in failed:
                continue
            note(f"{benchmark.title}: {name}")
            if name not in running:
                running[name] = start(benchmark.entrants[name], folder / label, folder)
            try:
                values[name].append(running[name].run(rounds[number]))
            except Missing as error:
                failed[name] = {"missing": str(error)}
            except ChildError as error:
                failed[name] = {"error": str(error)}
            if benchmark.is_fresh:
                running.pop(name).close()
    finally:
        for runner in running.values():
            runner.close()

    def figure(name: str, unit: str) -> Figure:
        who = benchmark.title, name, unit
        if name in failed:
            return Figure(*who, **failed[name])
        found = [each[unit] for each in values[name][num_warm_ups:]]
        return Figure(*who, statistics.median(found), min(found), max(found))

    return [figure(name, unit) for name in values for unit in benchmark.units]


# --- files ---

X264 = "-c:v libx264 -pix_fmt yuv420p"


def ffmpeg(*arguments: object) -> None:
    """Run the ffmpeg program that this library uses, too."""
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def make_clip(
    path: Path,
    size: str,
    frames: int,
    options: str = X264,
    seed: int = 0,
    noise: int = 6,
    picture: str = "testsrc2",
) -> Path:
    """Make a moving picture, with some noise as cameras have it; another seed, another video."""
    grain = f",noise=alls={noise}:allf=t:all_seed={seed}" if noise else ""
    source = f"{picture}=size={size}:rate=30,trim=start_frame={seed},setpts=PTS-STARTPTS{grain}"
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", frames, *options.split(), path)
    return path


def make_copies(path: Path, names: Iterable[str]) -> None:
    """Write the same bytes under other names beside it, as files of their own."""
    for name in names:
        shutil.copyfile(path, path.parent / name)


def videos(folder: str | Path) -> list[str]:
    """Return the videos of a folder, in order."""
    return sorted(map(str, Path(folder).glob("*.mp4")))


# --- memory and open files ---


def resident_bytes(pid: int | str = "self") -> int:
    """Return the memory that a process holds now."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def peak_bytes() -> int:
    """Return the most memory that this process ever held.

    `ru_maxrss` counts what its parent held when it was started, so on Linux it is read elsewhere.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def tree_bytes(pid: int) -> int:
    """Return what a process and all its descendants hold; pages that they share count for each of them."""
    children: list[int] = []
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError, ValueError):
            children += map(int, place.read_text().split())
    return resident_bytes(pid) + sum(map(tree_bytes, children))


def open_files() -> int:
    """Return how many file descriptors this process has."""
    for place in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(place))
    return 0
