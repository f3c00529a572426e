"""Features that all reports share: rows as dictionaries, tables in plain text, a drawing in notebooks."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Generic, TypeVar

from .. import show

Row = TypeVar("Row")


class Drawn:
    """A result that a notebook shows as `drawn_as`, a key of `show`; as plain text where that is None."""

    drawn_as: ClassVar[str | None] = None

    def _repr_html_(self) -> str | None:
        return None if self.drawn_as is None else show.html(self.drawn_as, self)


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
