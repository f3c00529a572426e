"""Clips at which a worker dies, as decoders may crash: they get a row that says so, and the job continues."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from .clip import Row
from .manifest import CLIP
from .store import DEATHS, Store

# A clip is given up when workers have died at it this many times.
_MOST_DEATHS = 2


def watched(rows: Sequence[Row], store: Store, process: Callable[[Row], Row]) -> Iterator[Row]:
    """Process rows; when this is repeated after the death of a worker, note before each which one it is.

    Args:
        rows: Rows of the manifest, which are done in one task.
        store: Where the notes are.
        process: Makes a result of a row.
    """
    name = f"{DEATHS}/{rows[0][CLIP]}.json"
    note = store.read_json(name)
    deaths = Counter[str]() if note is None else Counter(note["deaths"])
    if note is not None and note["at"] is not None:  # the clip at which the last try ended
        deaths[note["at"]] += 1
    store.make_folder(DEATHS)

    def write_note(at: str | None) -> None:
        store.write(name, json.dumps({"at": at, "deaths": deaths}).encode())

    write_note(None)
    for row in rows:
        clip = str(row[CLIP])
        if deaths[clip] >= _MOST_DEATHS:
            words = f"the worker died {_MOST_DEATHS} times while it was at this clip"
            yield {"error_type": "WorkerDied", "error_message": words}
            continue
        if note is not None:
            write_note(clip)
        yield process(row)
    store.filesystem.delete_file(store.path(name))
