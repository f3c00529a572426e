"""Clips at which a worker dies, as decoders may crash: they get a row that says so, and the job goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from .clip import Row
from .manifest import CLIP
from .store import Store

# A worker may die of something else, as a machine that is taken away; hardly so often at one clip. Ray
# repeats a task three times: that is one such clip in a shard. With several, the job ends, to be run again.
_STRIKES = 2
_FOLDER = "deaths"


def watched(rows: Sequence[Row], store: Store, process: Callable[[Row], Row]) -> Iterable[Row]:
    """Processes rows; when this is repeated after a death, it notes before each where it is.

    Args:
        rows: Rows of the manifest, which are done in one task.
        store: Where the notes are.
        process: Makes a result of a row.
    """
    name = f"{_FOLDER}/{rows[0][CLIP]}.json"
    note = store.read_json(name)
    deaths: dict[str, int] = {} if note is None else _counted(note)
    store.make_folder(_FOLDER)
    store.write(name, _deaths_note(None, deaths))
    for row in rows:
        clip = str(row[CLIP])
        if deaths.get(clip, 0) >= _STRIKES:
            yield _died(row)
            continue
        if note is not None:
            store.write(name, _deaths_note(clip, deaths))
        yield process(row)
    store.filesystem.delete_file(store.path(name))


def _counted(note: Row) -> dict[str, int]:
    """The deaths so far, with the one that ended the last try."""
    deaths, at = dict(note["deaths"]), note["at"]
    return deaths if at is None else deaths | {at: deaths.get(at, 0) + 1}


def _deaths_note(at: str | None, deaths: dict[str, int]) -> bytes:
    return json.dumps({"at": at, "deaths": deaths}).encode()


def _died(row: Row) -> Row:
    words = f"the worker died {_STRIKES} times while it was at this clip"
    return {"error_type": "WorkerDied", "error_message": words}
