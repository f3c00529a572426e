"""Whether files fit together, and a table of what does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_MOST_ROWS = 30
_HEAD = ("property", "first file", "this file", "")


def table_of_differences(first: Mapping[str, str], others: Sequence[tuple[str, Mapping[str, str]]]) -> str:
    """A row for each property that differs from the first file's, with the name of the file.

    >>> print(table_of_differences({"size": "320x240"}, [("b.mp4", {"size": "64x64"})]))
    property | first file | this file |
    size     | 320x240    | 64x64     | b.mp4

    Args:
        first: The properties of the first file, in words.
        others: The names of the other files, and their properties; what one of two has not is no difference.

    Returns:
        The table, or nothing if all is the same.
    """
    rows = [
        (what, value, properties[what], repr(path)[1:-1])
        for path, properties in others
        for what, value in first.items()
        if properties.get(what, value) != value
    ]
    if not rows:
        return ""
    shown = [_HEAD, *rows[:_MOST_ROWS]]
    widths = [max(len(row[column]) for row in shown) for column in range(3)]
    lines = [" | ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in shown]
    if len(rows) > _MOST_ROWS:
        files = len({row[3] for row in rows})
        lines.append(f"... and {len(rows) - _MOST_ROWS} more differences; {files} files differ in all")
    return "\n".join(lines)
