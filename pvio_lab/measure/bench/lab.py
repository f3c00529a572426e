"""Running benchmarks: contenders take turns, each in a process of its own.

There a contender cannot decode behind the back of another, and its memory is its own. A task is a whole pass,
which may start processes itself.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ...base import Child, ChildError, in_words
from ..turns import turns
from .media import MB, peak_bytes, tree_bytes

T = TypeVar("T")
Entrant = tuple[Any, ...]
"""A contender: its kind, and its arguments beside the files."""
Entrants = Mapping[str, Entrant]
Task = tuple[Any, ...]
"""A method of a contender, and its arguments."""
# How long a task may take, and how long a contender and what it started may clear up at the end.
_PATIENCE_SECONDS, _FAREWELL_SECONDS = 900.0, 5.0


@dataclass(frozen=True)
class Figure:
    """One contender's number."""

    benchmark: str
    """The title of the benchmark."""
    contender: str
    """The contender whose number it is."""
    unit: str
    """Its unit; where that contains "/s", higher is better, else lower."""
    value: float | None = None
    """The median over the rounds; None where nothing could be measured."""
    low: float | None = None
    """The lowest round."""
    high: float | None = None
    """The highest round."""
    missing: str = ""
    """The reason why the contender does not load, such as that it is not installed."""
    error: str = ""
    """The error while it was measured."""


def find(figures: Iterable[Figure], contender: str, unit: str) -> list[Figure]:
    """Return the figures of a contender in all its variants.

    'pvio_lab' finds 'pvio_lab', and 'pvio_lab, 2 workers'; not 'pvio_lab float32'.
    """
    return [each for each in figures if each.unit == unit and is_variant(each.contender, contender)]


def is_variant(name: str, contender: str) -> bool:
    """Return True if this is the name of a contender, with or without a variant behind a comma."""
    return name == contender or name.startswith(f"{contender},")


def best(figures: Sequence[Figure], *, worst: bool = False) -> Figure | None:
    """Return the most favourable of them, or the least; None if none has a value."""
    measured = [each for each in figures if each.value is not None]
    if not measured:
        return None
    pick = max if ("/s" in measured[0].unit) != worst else min
    return pick(measured, key=lambda each: each.value or 0.0)


@dataclass(frozen=True)
class Benchmark:
    """Some contenders that do the same work."""

    title: str
    """The work."""
    entrants: Entrants
    """The contenders; a variant stands behind a comma: "pvio_lab, 2 workers"."""
    measure: Callable[[Lab, str, Entrants], list[Figure]]
    """Measures some of them, under this title."""


# --- contenders ---


@dataclass(frozen=True)
class Kind:
    """A kind of contender; its module has them in the table `KINDS`."""

    make: Callable[..., Any]
    """Makes one; its methods are the tasks."""
    module: str = ""
    """The module that has to import for that."""
    cure: str = ""
    """The command that installs it."""


class Missing(Exception):
    """A contender cannot be loaded; with the reason."""


class Runner(Protocol):
    """The connection to a contender: a `ContenderProcess`, or in tests something simpler."""

    def run(self, task: str, *arguments: Any) -> dict[str, float]:
        """Do a task, and return what was measured, by unit."""

    def close(self) -> None:
        """End it."""


class ContenderProcess(Child):
    """A process that makes one contender and measures its work.

    Args:
        room: The module that has it in its `KINDS`.
        kind: Its name there.
        arguments: What it is made of.
        folder: Where its temporary files go.
    """

    def __init__(self, room: str, kind: str, arguments: tuple[Any, ...], folder: Path):
        super().__init__(f"{__name__}:contender_service", room, kind, *arguments, folder=folder)
        self._peak = 0

    def run(self, task: str, *arguments: Any) -> dict[str, float]:
        """Return what was measured, by unit; as "MB" the most that was resident, of all its processes.

        Raises:
            Missing: The contender does not load.
            ChildError: An error, a crash, or it takes much too long.
        """
        if missing := self.greeting():
            raise Missing(missing)
        found: dict[str, float] = self.ask([task, *arguments], _PATIENCE_SECONDS, self._look)
        return {**found, "MB": max(found["MB"], self._peak / MB)}

    def close(self, patience: float = _FAREWELL_SECONDS) -> None:
        """End it, and all processes that it started; they may clear up first, but not for long."""
        super().close(patience)

    def _look(self) -> None:
        """Take a look at its memory, from here, where that costs the contender nothing."""
        self._peak = max(self._peak, tree_bytes(self.pid))


def contender_service(room: str, kind: str, *arguments: Any) -> tuple[str, Callable[[list[Any]], Any]]:
    """Load what a contender needs in the child process; return why that failed, and what measures tasks."""
    found: Kind = import_module(room).KINDS[kind]
    contender = cache(lambda: found.make(*arguments))
    missing = ""
    try:
        if found.module:
            import_module(found.module)
    except Exception as error:  # a broken installation raises anything
        missing = in_words(error) + (f"; {found.cure}" if found.cure else "")
    return missing, lambda task: measured(getattr(contender(), task[0]), task[1:])


def measured(work: Callable[..., Any], given: list[Any]) -> dict[str, float]:
    """Return how long it takes in ms; frames/s if it returns their number; or what it measured itself."""
    begin = time.perf_counter()
    found = work(*given)
    seconds = time.perf_counter() - begin
    own = dict(found) if isinstance(found, Mapping) else {}
    rate = {"frames/s": found / seconds} if isinstance(found, int) else {}
    return {"ms": 1e3 * seconds, **rate, "MB": peak_bytes() / MB, **own}


# --- the lab ---


@dataclass(frozen=True)
class Lab:
    """The circumstances of a run."""

    folder: Path
    """For files; it goes away afterwards."""
    is_quick: bool = False
    """Do a fraction of the work."""
    note: Callable[[str], Any] = lambda words: None
    """Called with the name of the contender that is measured next."""
    make_runner: Callable[[str, str, tuple[Any, ...], Path], Runner] = ContenderProcess
    """Starts a contender: module, kind, arguments, folder for its temporary files."""
    _places: dict[str, Path] = field(default_factory=dict)

    def pick(self, full: T, quick: T) -> T:
        """Return the amount of work."""
        return quick if self.is_quick else full

    def place(self, name: str, make: Callable[[Path], Any] = lambda folder: None) -> Path:
        """Return a folder that several benchmarks use, filled at the first call."""
        if name not in self._places:
            self.note(f"making {name}")
            folder = self.folder / name
            folder.mkdir()
            make(folder)
            self._places[name] = folder
        return self._places[name]

    def compare(
        self,
        title: str,
        room: str,
        entrants: Entrants,
        source: Path,
        tasks: Sequence[Task],
        units: Sequence[str],
        *,
        fresh: bool = False,
        warm_up: bool = True,
    ) -> list[Figure]:
        """Let the contenders take turns with the tasks, and return medians.

        Args:
            title: Of the benchmark.
            room: The module of the contenders.
            entrants: The contenders.
            source: The file or folder that all of them get.
            tasks: One for each round.
            units: Which of the measured numbers become figures.
            fresh: A new process for each turn, where a pass must not profit from the one before it.
            warm_up: Do the first task once more beforehand, which does not count.
        """
        values: dict[str, list[dict[str, float]]] = {name: [] for name in entrants}
        out: dict[str, tuple[str, str]] = {}
        ready: dict[str, Runner] = {}
        rounds = [*([] if (fresh and self.is_quick) or not warm_up else tasks[:1]), *tasks]

        def turn(name: str, task: Task) -> None:
            self.note(f"{title}: {name}")
            if name not in ready:
                kind, *rest = entrants[name]
                ready[name] = self.make_runner(room, kind, (str(source), *rest), self.folder)
            try:
                values[name].append(ready[name].run(*task))
            except Missing as error:
                out[name] = (str(error), "")
            except ChildError as error:
                out[name] = ("", str(error))
            if fresh:
                ready.pop(name).close()

        try:
            for number, name in turns(list(entrants), len(rounds)):
                if name not in out:  # one that failed is not asked again
                    turn(name, rounds[number])
        finally:
            for each in ready.values():
                each.close()
        skipped = len(rounds) - len(tasks)
        return [
            _figure((title, name, unit), [each[unit] for each in values[name][skipped:]], out.get(name))
            for name in entrants
            for unit in units
        ]


def _figure(who: tuple[str, str, str], values: list[float], trouble: tuple[str, str] | None) -> Figure:
    if trouble is not None:
        return Figure(*who, missing=trouble[0], error=trouble[1])
    return Figure(*who, statistics.median(values), min(values), max(values))
