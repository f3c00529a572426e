"""Frame numbers and labels in a table of comma-separated values."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..base import in_short, read_side_file
from ..errors import printable
from .format import checked_index
from .notes import FrameNotes

_FRAME_COLUMNS = ("frame", "frame_index", "frame_number", "index")
_LABEL_COLUMNS = ("label", "labels")
_DELIMITERS = ",;\t"


def read_label_table(path: Path) -> FrameNotes:
    """The notes of a CSV file: one line for a frame, several where it has several labels.

    The frame stands in a column named frame, frame_index, frame_number or index. Its labels are those in
    columns named label or labels, where a semicolon or bar may stand between several; without such columns,
    every other column makes labels such as "weather: rain". Values may be separated by commas, semicolons
    or tabs.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such table; the message names the file, the line, and what is wrong.
    """
    try:
        return notes_of_table(read_side_file(path))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{printable(path)} is no table of annotations: {in_short(error)}") from error


def notes_of_table(text: str) -> FrameNotes:
    r"""The notes in the text of such a table.

    >>> notes_of_table("frame,label\n12,jump\n12,red shoes\n40,").frames
    {12: ('jump', 'red shoes'), 40: ()}
    """
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = columns
    frame_column = _frame_column(columns)
    frames: dict[int, dict[str, None]] = {}
    for row in table:
        number = _frame_number(row.pop(frame_column), table.line_num)
        frames.setdefault(number, {}).update(dict.fromkeys(_labels(row)))
    return FrameNotes({number: tuple(labels) for number, labels in frames.items()})


def _frame_column(columns: list[str]) -> str:
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if twice:
        raise ValueError(f"it has the column {twice[0]!r} twice")
    found = [name for name in columns if name.lower() in _FRAME_COLUMNS]
    if len(found) != 1:
        there_are = "two columns" if found else "no column"
        raise ValueError(
            f"it has {there_are} with the frame, which must be named {', '.join(_FRAME_COLUMNS[:-1])} or "
            f"{_FRAME_COLUMNS[-1]}; its columns are {', '.join(map(repr, columns)) or 'none'}"
        )
    return found[0]


def _frame_number(text: str | None, line: int) -> int:
    stripped = (text or "").strip()
    if not stripped.isdecimal():
        raise ValueError(f"line {line}: the frame {text!r} must be a whole number, 0 or more")
    try:
        return checked_index(int(stripped), None)
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None


def _labels(row: dict[str, str | None]) -> Iterator[str]:
    named = [value for column, value in row.items() if column and column.lower() in _LABEL_COLUMNS]
    if named:
        parts = (part for value in named for part in (value or "").replace("|", ";").split(";"))
        yield from (part.strip() for part in parts if part.strip())
        return
    for column, value in row.items():
        if column and isinstance(value, str) and value.strip():
            yield f"{column}: {value.strip()}"
