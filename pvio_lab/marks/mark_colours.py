"""The colours of marks: the palette, and which of it a new label gets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart; without their black,
# which nobody can see on a dark page.
# Files leave out the colours that these give, so a change recolours saved marks.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def with_colours(known: Mapping[str, str], labels: Iterable[str]) -> dict[str, str]:
    """Give each new label the first colour of `PALETTE` that the fewest others have.

    >>> with_colours({"a": "#56B4E9"}, ["b", "a", "c"])
    {'a': '#56B4E9', 'b': '#E69F00', 'c': '#009E73'}
    """
    colours = dict(known)
    taken = Counter(colour.upper() for colour in colours.values())
    for label in labels:
        if label not in colours:
            colours[label] = min(PALETTE, key=taken.__getitem__)
            taken[colours[label]] += 1
    return colours


def checked_colour(colour: Any) -> str:
    """Return a colour, which is text such as "#0072B2"."""
    if not isinstance(colour, str):
        raise TypeError(f'a colour must be text such as "#0072B2", not {colour!r}')
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise ValueError(f'a colour must be written like "#0072B2", not {colour!r}')
    return colour
