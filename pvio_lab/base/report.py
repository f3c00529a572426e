"""Features that all reports share: rows as dictionaries, tables in plain text, a drawing in notebooks.

Results name their drawing here and `view/` makes it when it is shown, so reading never imports what draws.
"""

from __future__ import annotations

import importlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Generic, TypeVar

_DRAWN_BY = {
    "card": "pvio_lab.view.tables:reader_card",
    "doctor": "pvio_lab.view.measurements:doctor_table",
    "estimate": "pvio_lab.view.measurements:estimate_table",
    "info": "pvio_lab.view.tables:info_table",
    "lines": "pvio_lab.view.measurements:lines_table",
    "read_profile": "pvio_lab.view.measurements:profile_table",
    "samples": "pvio_lab.view.tables:sample_table",
    "scan": "pvio_lab.view.tables:scan_table",
    "throughput": "pvio_lab.view.measurements:throughput_table",
    "worker_choice": "pvio_lab.view.measurements:choice_table",
    "workers": "pvio_lab.view.measurements:workers_table",
}
_PLOTTED_BY = {
    "read_profile": "pvio_lab.view.measurements:plot_profile",
    "throughput": "pvio_lab.view.measurements:plot_throughput",
    "workers": "pvio_lab.view.measurements:plot_workers",
}

Row = TypeVar("Row")


def html_of(kind: str, result: Any) -> str:
    """Return the HTML that shows a result in a notebook, drawn as `kind`, such as "card" or "scan"."""
    return str(_found(_DRAWN_BY[kind])(result))


def plot_of(kind: str, result: Any) -> Any:
    """Return the figure that shows a result, drawn as `kind`, such as "throughput" or "workers"."""
    return _found(_PLOTTED_BY[kind])(result)


def _found(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


class Drawn:
    """A result that a notebook shows as `drawn_as`, such as "card"; as plain text where that is None."""

    drawn_as: ClassVar[str | None] = None

    def _repr_html_(self) -> str | None:
        return None if self.drawn_as is None else html_of(self.drawn_as, self)


class Report(Drawn, Generic[Row]):
    """A result with one dataclass per row; subclasses are dataclasses with a field `rows`."""

    rows: tuple[Row, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return plain dictionaries, as for `pandas.DataFrame` or JSON."""
        return [asdict(row) for row in self.rows]  # type: ignore[call-overload]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Container[int] = ()) -> str:
    r"""Return a table in plain text, some of its columns set to the right, as numbers are.

    >>> print(text_table(["reader", "frames/s"], [["pyav", "735"], ["opencv", "1,480"]], right=[1]))
    reader  frames/s
    pyav         735
    opencv     1,480
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if column in right else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
