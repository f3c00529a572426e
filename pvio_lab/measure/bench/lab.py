"""Where benchmarks are run: a folder that goes away, and contenders that take turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .child import Child, Failed, Missing


@dataclass(frozen=True)
class Figure:
    """One contender's number."""

    benchmark: str
    """The title of the benchmark."""
    contender: str
    """Whose number it is."""
    unit: str
    """Of what; one that contains "/s" is the better the higher it is, all others the lower."""
    value: float | None = None
    """The median over the rounds; None where nothing could be measured."""
    low: float | None = None
    """The lowest round."""
    high: float | None = None
    """The highest round."""
    missing: str = ""
    """Why the contender does not load: it is not installed, for one."""
    error: str = ""
    """What went wrong while it was measured."""

    @classmethod
    def of(cls, benchmark: str, contender: str, unit: str, values: Sequence[float]) -> Figure:
        """The median of what was measured."""
        return cls(benchmark, contender, unit, statistics.median(values), min(values), max(values))

    @property
    def reason(self) -> str:
        """Why there is no value, in words."""
        return self.missing or self.error


def is_rate(unit: str) -> bool:
    """'frames/s' is a rate: more is better; 'ms' and 'MB' are not."""
    return "/s" in unit


def find(figures: Iterable[Figure], contender: str, unit: str) -> list[Figure]:
    """The figures of a contender in all its variants.

    'pvio_lab' finds 'pvio_lab', and 'pvio_lab, 2 workers'; not 'pvio_lab float32'.
    """
    return [
        each
        for each in figures
        if each.unit in (unit, "")
        and (each.contender == contender or each.contender.startswith(f"{contender},"))
    ]


def best(figures: Sequence[Figure], *, worst: bool = False) -> Figure | None:
    """The most favourable of them, or the least; None if none has a value."""
    measured = [each for each in figures if each.value is not None]
    if not measured:
        return None
    pick = max if is_rate(measured[0].unit) != worst else min
    return pick(measured, key=lambda each: each.value or 0.0)


def turns(names: Sequence[str], rounds: int, *, warm_up: bool = True) -> Iterator[tuple[int, str]]:
    """Round and contender, one after the other; round 0 is there to warm up, and does not count.

    >>> list(turns(["a", "b"], 1))
    [(0, 'a'), (0, 'b'), (1, 'b'), (1, 'a')]

    Args:
        names: The contenders.
        rounds: How many rounds count.
        warm_up: Whether there is a round 0.
    """
    for number in range(0 if warm_up else 1, rounds + 1):
        first = number % len(names) if names else 0
        yield from ((number, name) for name in (*names[first:], *names[:first]))


T = TypeVar("T")
Entrant = tuple[Any, ...]
"""What a contender is: its kind, and what it is made of beside the files."""
Task = tuple[Any, ...]
"""What it is asked for: a method, and its arguments."""
Entrants = Mapping[str, Entrant]


class Runner(Protocol):
    """What stands between this process and a contender: a `Child`, or in tests something simpler."""

    def start(self) -> None:
        """Waits until it is ready."""

    def run(self, task: str, *arguments: Any) -> dict[str, float]:
        """Does a task; what was measured, by unit."""

    def close(self) -> None:
        """Ends it."""


@dataclass(frozen=True)
class Benchmark:
    """Some contenders that do the same work."""

    title: str
    """What they do."""
    entrants: Entrants
    """Who they are; what varies stands behind a comma: "pvio_lab, 2 workers"."""
    measure: Callable[[Lab, str, Entrants], list[Figure]]
    """Measures some of them, under this title."""


@dataclass(frozen=True)
class Lab:
    """The circumstances of a run."""

    folder: Path
    """For files; it goes away afterwards."""
    is_quick: bool = False
    """Do a fraction of the work."""
    note: Callable[[str], Any] = lambda words: None
    """Is told who is measured just now."""
    make_runner: Callable[[str, str, tuple[Any, ...], Path], Runner] = Child
    """Starts a contender: room, kind, arguments, folder for its temporary files."""
    _places: dict[str, Path] = field(default_factory=dict)

    def pick(self, full: T, quick: T) -> T:
        """How much work there is."""
        return quick if self.is_quick else full

    def place(self, name: str, make: Callable[[Path], Any]) -> Path:
        """A folder that several benchmarks use, filled when the first of them asks for it."""
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
        """Lets the contenders take turns with the tasks, and takes medians.

        Args:
            title: Of the benchmark.
            room: The module of the contenders.
            entrants: Who takes part.
            source: The file or folder that all of them get.
            tasks: One for each round.
            units: Which of the measured numbers become figures.
            fresh: A new process for each turn, where a pass must not profit from the one before it.
            warm_up: Do the first task once more beforehand, which does not count.
        """
        scores = {name: _Score(title, name, units) for name in entrants}
        ready: dict[str, Runner] = {}
        warm_up = warm_up and not (fresh and self.is_quick)

        def runner(name: str) -> Runner:
            kind, *rest = entrants[name]
            return self.make_runner(room, kind, (str(source), *rest), self.folder)

        try:
            if not fresh:
                ready.update((name, runner(name)) for name in entrants)
            for number, name in turns(list(entrants), len(tasks), warm_up=warm_up):
                if scores[name].is_out:
                    continue
                self.note(f"{title}: {name}")
                if fresh:
                    ready[name] = runner(name)
                scores[name].turn(ready[name], tasks[max(number - 1, 0)], counts=number > 0)
                if fresh:
                    ready.pop(name).close()
        finally:
            for each in ready.values():
                each.close()
        return [figure for score in scores.values() for figure in score.figures()]


class _Score:
    """What a contender did so far."""

    def __init__(self, title: str, name: str, units: Sequence[str]):
        self._who, self._units = (title, name), units
        self._values: dict[str, list[float]] = {}
        self._missing = self._error = ""

    @property
    def is_out(self) -> bool:
        """It failed, and is not asked again."""
        return bool(self._missing or self._error)

    def turn(self, runner: Runner, task: Task, *, counts: bool) -> None:
        try:
            found = runner.run(*task)
        except Missing as error:
            self._missing = str(error)
        except Failed as error:
            self._error = str(error)
        else:
            for unit in self._units if counts else ():
                self._values.setdefault(unit, []).append(found[unit])

    def figures(self) -> list[Figure]:
        if self.is_out:
            return [
                Figure(*self._who, unit, missing=self._missing, error=self._error) for unit in self._units
            ]
        return [Figure.of(*self._who, unit, values) for unit, values in self._values.items()]
