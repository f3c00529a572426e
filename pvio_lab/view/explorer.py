"""The panel for numbers and kinds of loader workers, and `explore_workers`, which opens it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from os import PathLike
from typing import Any

from ..base import num_cpus
from ..load import VideoCollectionDataset
from ..measure import Setting, Stop, WorkerReport, WorkerRow, rate_text, worker_steps
from ..read import Fetching
from ..read import shown as shown_source
from .panel import (
    Choices,
    MeasurePanel,
    Moment,
    dropdown,
    line,
    number_field,
    pace_fields,
    sentence_html,
)

Transforms = Mapping[str, Callable[[Any], Any]]


def explore_workers(
    sources: VideoCollectionDataset | str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    transforms: Transforms | None = None,
    fetching: Fetching | None = None,
) -> WorkerExplorer:
    """Show how the speed of a loader grows with its workers, with buttons.

    It measures the same as `compare_workers`, beside the notebook, so that cells still run; a cell that
    computes meanwhile disturbs it. The results so far are always in `.report`.

    >>> explore_workers(["data_samples/gop2.mp4", "data_samples/shapes.mp4"])
    WorkerExplorer(2 videos)

    Args:
        sources: Videos, or a `VideoCollectionDataset` of them.
        transforms: Functions of a batch of frames, by name, to choose from; "none" is added.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`. A dataset has its own.

    Returns:
        A widget that shows itself at the end of a cell; its `.report` is None at first.

    Raises:
        TypeError: A transform is not a function.
        ValueError: There are no videos.
    """
    if isinstance(sources, str | PathLike):
        sources = [sources]
    if not isinstance(sources, VideoCollectionDataset):
        sources = VideoCollectionDataset(sources, fetching=fetching)
    elif fetching is not None:
        raise ValueError(
            "fetching= is for videos; give it to the dataset: VideoCollectionDataset(fetching=...)"
        )
    return WorkerExplorer(sources, transforms or {})


class WorkerExplorer(MeasurePanel):
    """The widget of `explore_workers`."""

    report: WorkerReport | None
    """The results, which grow while it runs."""

    def __init__(self, dataset: VideoCollectionDataset, transforms: Transforms):
        self._dataset, self._transforms = dataset, _transforms(dataset, transforms)
        cores = num_cpus()
        counts = sorted({0, 1, 2, 4, cores, cores + 1, 2 * cores})
        shown = {"none, the calling thread" if not count else str(count): count for count in counts}
        self.counts = Choices("workers", shown, {0, 1, 2, 4, cores})
        kinds = {"threads": "thread", "processes": "process"}
        self.kinds = Choices("of kind", kinds, kinds.values())
        self.batch_size = number_field("batch size", "How many frames a batch has", 32, 1, 4096, 1)
        self.seconds, self.repeats = pace_fields(0.5, "number and kind")
        self.transform = dropdown(
            "transform",
            {name: name for name in self._transforms},
            "What is done with each batch in the workers",
        )
        numbers = line(self.batch_size, self.seconds, self.repeats)
        count = len(dataset.paths)
        videos = os.path.basename(shown_source(dataset.paths[0])) if count == 1 else f"{count} videos"
        super().__init__([self.counts, self.kinds, numbers, self.transform], videos)

    def _options(self) -> dict[str, Any]:
        dataset = copy.copy(self._dataset)
        dataset.transform = self._transforms[self.transform.value]
        return {
            "dataset": dataset,
            "num_workers": self.counts.chosen,
            "worker_kinds": self.kinds.chosen,
            "batch_size": self.batch_size.value,
            "seconds": self.seconds.value,
            "repeats": self.repeats.value,
        }

    def _measure(self, options: dict[str, Any], stop: Stop) -> Generator[Moment]:
        yield Moment(0, 0, "Starting the first workers ...")
        rows: dict[Setting, WorkerRow] = {}
        for step in worker_steps(**options, stop=stop):
            rows[step.row.setting] = step.row
            self.report = WorkerReport(tuple(rows.values()), options["batch_size"], num_cpus())
            yield Moment(step.done, step.total, str(step.row.setting))

    def _conclusion(self, is_whole: bool) -> tuple[str, str]:
        able = [row for row in self.report or () if row.frames_per_second is not None]
        if self.report is None or not able:
            errors = dict.fromkeys(row.error for row in self.report or () if row.error)
            return "", sentence_html("; ".join(errors), wrong=True)
        rates = "; ".join(f"{row.setting}: {rate_text(row.frames_per_second)}" for row in able)
        suggestion = self.report.suggestion
        picture = f"Frames per second against the number of workers. {rates}. Suggested: {suggestion}."
        sentence = f"{suggestion[0].upper()}{suggestion[1:]}." if is_whole else f"So far: {suggestion}."
        return picture, sentence_html(sentence)


def _transforms(dataset: VideoCollectionDataset, transforms: Transforms) -> dict[str, Any]:
    """Return the transforms to choose from, by name; the first is the dataset's own."""
    for name, transform in transforms.items():
        if not callable(transform):
            raise TypeError(f"transforms[{name!r}]={transform!r} must be a function of a batch of frames")
    own = {"the dataset's own": dataset.transform} if dataset.transform is not None else {}
    return {**own, "none": None, **transforms}
