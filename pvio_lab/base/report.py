"""Features that all reports share: their rows as dictionaries, and a drawing in notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, ClassVar, Generic, TypeVar

from .. import show

Row = TypeVar("Row")


class Drawn:
    """A result that a notebook shows as `drawn_as`, a key of `show`."""

    drawn_as: ClassVar[str]

    def _repr_html_(self) -> str:
        return show.html(self.drawn_as, self)


class Report(Drawn, Generic[Row]):
    """A result with one dataclass a row; subclasses are dataclasses with a field `rows`."""

    rows: tuple[Row, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return plain dictionaries, as for `pandas.DataFrame` or JSON."""
        return [asdict(row) for row in self.rows]  # type: ignore[call-overload]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)
