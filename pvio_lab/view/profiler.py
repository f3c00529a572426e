"""The panel for readers side by side, and `profile_throughput`, which opens it."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

from ..base import num_cpus
from ..errors import printable
from ..measure import (
    PATTERNS,
    PEERS,
    Pattern,
    ReadProfile,
    Sources,
    Stop,
    ThroughputReport,
    ThroughputRow,
    missing_peers,
    named_files,
    profile_pattern,
    rate_text,
    throughput_steps,
)
from ..read import Fetching, public_names, shown
from .panel import Choices, MeasurePanel, Moment, dropdown, line, pace_fields, sentence_html


def profile_throughput(source: Sources, *, fetching: Fetching | None = None) -> ThroughputProfiler:
    """Compare the speed of this library with that of every installed peer, with buttons.

    It measures the same as `measure_throughput`, beside the notebook, so that cells still run; a cell that
    computes meanwhile disturbs it. The results so far are always in `.report`.

    >>> profile_throughput("data_samples/gop2.mp4")
    ThroughputProfiler(gop2.mp4)

    Args:
        source: A video file, its URL, or many of these, to choose from.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        A widget that shows itself at the end of a cell; its `.report` is None at first.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There are no files, or one is a directory.
    """
    return ThroughputProfiler(source, fetching)


class ThroughputProfiler(MeasurePanel):
    """The widget of `profile_throughput`."""

    report: ThroughputReport | None
    """The results, which grow while it runs."""
    profile: ReadProfile | None
    """The time that this library spends frame by frame: in order, or at random if more is chosen."""

    def __init__(self, source: Sources, fetching: Fetching | None = None):
        files, self._fetching = named_files(source, fetching), fetching
        missing = missing_peers()
        self.profile = None
        self._order: Pattern = "random"
        self.file = dropdown("file", _files(files), "Which file is measured")
        self.patterns = Choices("patterns", {name: name for name in PATTERNS}, PATTERNS)
        installed = [name for name in PEERS if name not in missing]
        self.readers = Choices(
            "readers", {name: name for name in installed}, installed, _missing_note(missing)
        )
        self.seconds, self.repeats = pace_fields(0.3, "reader and pattern")
        controls = [self.file, self.patterns, self.readers, line(self.seconds, self.repeats)]
        name = os.path.basename(shown(files[0])) if len(files) == 1 else f"{len(files)} files"
        super().__init__(controls, name)

    def _options(self) -> dict[str, Any]:
        self.profile = None
        return {
            "sources": self.file.value,
            "patterns": self.patterns.chosen,
            "readers": self.readers.chosen,
            "seconds": self.seconds.value,
            "repeats": self.repeats.value,
        }

    def _measure(self, options: dict[str, Any], stop: Stop) -> Generator[Moment]:
        yield Moment(0, 0, "Opening the video ...")
        steps = throughput_steps(**options, stop=stop, fetching=self._fetching)
        yield Moment(0, 0, "Looking where the time goes ...")
        self._order = "sequential" if options["patterns"] == ["sequential"] else "random"
        self.profile = profile_pattern(options["sources"][0], self._order, fetching=self._fetching)
        self.advice.value = self._advice()
        if stop.is_wanted:
            return
        yield Moment(0, 0, "Loading the readers ...")
        rows: dict[tuple[str, ...], ThroughputRow] = {}
        for step in steps:
            row = step.row
            if row is not None:
                rows[row.source, row.pattern, row.reader, row.threads] = row
            self.report = ThroughputReport.of(rows.values(), step.missing, num_cpus())
            yield Moment(step.done, step.total, f"{row.reader}, {row.pattern}, {row.threads}" if row else "")

    def _conclusion(self, is_whole: bool) -> tuple[str, str]:
        rates = "; ".join(
            f"{row.reader}, {row.pattern}, {row.threads}: {rate_text(row.frames_per_second)}"
            for row in self.report or ()
        )
        return f"Bar chart of frames per second. {rates}.", self._advice()

    def _advice(self) -> str:
        if self.profile is None:
            return ""
        order = "in order" if self._order == "sequential" else "at random"
        name = os.path.basename(self.profile.source)
        return sentence_html(f"{name}, frame by frame, {order}: {self.profile.advice}")


def _files(files: list[str]) -> dict[str, list[str]]:
    """Return the choices of files by name: each file, and all of them."""
    every = {f"all {len(files)} files": files} if len(files) > 1 else {}
    whole = list(map(printable, public_names(files)))
    short = [os.path.basename(name) or name for name in whole]
    names = short if len(set(short)) == len(short) else whole
    return {**{name: [file] for name, file in zip(names, files, strict=True)}, **every}


def _missing_note(missing: dict[str, str]) -> str:
    """Name missing readers: 'not installed: opencv (pip install "opencv-python-headless")'."""
    named = ", ".join(f"{name} ({line})" for name, line in missing.items())
    return f"not installed: {named}" if named else ""
