"""Tables in plain text, for what the reports print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    r"""Columns as wide as they have to be.

    >>> print(text_table(["reader", "frames/s"], [["pyav", "735"], ["opencv", "1,480"]], right=[1]))
    reader  frames/s
    pyav         735
    opencv     1,480

    Args:
        header: The names of the columns.
        rows: The cells.
        right: Which columns are set to the right, as numbers are.
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


def rate_text(rate: float | None) -> str:
    """1572.4 -> '1,572'; 9.53 -> '9.5'; None -> '-'."""
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 20 else f"{rate:.1f}"


def tsv_text(dicts: Sequence[dict[str, Any]]) -> str:
    r"""Lines for a spreadsheet, with tabs between the cells.

    >>> tsv_text([{"reader": "pyav", "low": None}, {"reader": "opencv", "low": 1.5}])
    'reader\tlow\npyav\t\nopencv\t1.5'
    """
    lines = [list(dicts[0]), *(line.values() for line in dicts)] if dicts else []
    return "\n".join("\t".join(map(_cell, line)) for line in lines)


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())
