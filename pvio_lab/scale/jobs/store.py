"""The folder of a job: which shards count, what killed runs and dead workers have left, what has been done.

A shard counts if there is a marker for it, which lists its clips, in Ray Data's checkpoint. Ray writes the
marker under a pending name, then the shard, and renames the marker last. Without Ray, the shard is written
first, and then the marker, at once.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import LineProfile, clear_partials, write_whole
from ...read import is_url
from ..arrow import dataset, fs, pa, parquet
from .estimate import ClipCosts
from .process_clip import PHASES, Row
from .read_manifest import CLIP

_PENDING = ".pending"
# The JSON files of this library are small.
_MOST_BYTES = 2**20
# What Ray adds to the name of a marker when it writes the shard.
_PART = re.compile(r"-\d+$")
# The folder of the notes about dead workers. A worker may die of something else, as when a machine is taken
# away, but hardly this often at one clip. Ray repeats a task three times: enough for one such clip a shard;
# with several, the job ends, to be run again.
DEATHS = "deaths"
MOST_DEATHS = 2
"""A clip is given up when workers have died at it this many times."""
LINES = "lines"
"""The folder of what each worker counted of the lines of a function."""
# This many clips say what a clip costs.
_MANY = 20_000


class Store:
    """The folder of a job, on any file system that all workers reach.

    Args:
        output: A local folder, or a URL that pyarrow knows, as `s3://bucket/folder`.
    """

    def __init__(self, output: str | PathLike[str]):
        name = os.fspath(output)
        self.uri = name if is_url(name) else os.path.abspath(name)
        self.filesystem, root = fs.FileSystem.from_uri(self.uri)
        self.root = root.rstrip("/")
        self._is_local = isinstance(self.filesystem, fs.LocalFileSystem)

    def __reduce__(self) -> Any:
        return Store, (self.uri,)

    def path(self, name: str) -> str:
        """Return the path of a name in the folder, for its file system."""
        return f"{self.root}/{name}"

    def make_folder(self, name: str) -> str:
        """Make a folder, if it is not there, and return its path."""
        self.filesystem.create_dir(self.path(name), recursive=True)
        return self.path(name)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted."""
        found = self.filesystem.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def write(self, name: str, content: bytes) -> None:
        """Write a file under another name and rename it, so that there is never half of it."""
        if self._is_local:
            return write_whole(self.path(name), content, clear=False)
        folder, _, base = self.path(name).rpartition("/")
        partial = f"{folder}/.{base}.{uuid.uuid4().hex[:8]}.part"
        with self.filesystem.open_output_stream(partial) as stream:
            stream.write(content)
        self.filesystem.move(partial, self.path(name))

    def clear(self, folder: str) -> None:
        """Remove files that a killed run has left half-written; what is being written stays."""
        if self._is_local:
            clear_partials(Path(self.path(folder)), "", is_prefix=True)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return what a JSON file says, or None if there is none."""
        try:
            with self.filesystem.open_input_stream(self.path(name)) as stream:
                found = json.loads(stream.read(_MOST_BYTES))
            if not isinstance(found, dict):
                raise ValueError("it is not an object")
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self.uri}/{name} is damaged: {error}; take another folder") from None
        return found

    def commit(self, name: str, table: pa.Table) -> None:
        """Write a shard, and then the marker that makes it count."""
        parquet.write_table(table, self._shard_path(name), filesystem=self.filesystem, compression="zstd")
        marker = pa.BufferOutputStream()
        parquet.write_table(table.select([CLIP]), marker)
        self.write(f"done/{name}.parquet", marker.getvalue().to_pybytes())

    def discard(self, name: str) -> None:
        """Remove a shard that may have been written, its marker first."""
        for path in (self.path(f"done/{name}.parquet"), self._shard_path(name)):
            with suppress(FileNotFoundError):
                self.filesystem.delete_file(path)

    def _shard_path(self, name: str) -> str:
        return self.path(f"clips/{name}-0.parquet")

    def is_done(self, num_clips: int) -> NDArray[np.bool_]:
        """Return which clips are done, by the markers of a folder that has been settled."""
        done = np.zeros(num_clips, bool)
        for part in self._dataset([self.path(f"done/{name}") for name in self.names("done")]).get_fragments():
            done[part.to_table(columns=[CLIP])[CLIP].to_numpy()] = True
        return done

    def empty(self, folder: str) -> None:
        """Make a folder, and remove the files that are in it."""
        self.make_folder(folder)
        self._remove(folder, self.names(folder))

    def line_profile(self, file: str) -> LineProfile:
        """Return what the workers of the last run have counted of a function in this file."""
        counts = [self.read_json(f"{LINES}/{name}") for name in self.names(LINES)]
        return LineProfile.of(chain.from_iterable(each["counts"] for each in counts if each), file)

    def clips(self) -> dataset.Dataset:
        """Return the rows of all shards that count, as a pyarrow dataset."""
        counted = {_stem(name) for name in self.names("done")}
        files = [self.path(f"clips/{name}") for name in self.names("clips") if _shard(name) in counted]
        schemas = [part.physical_schema for part in self._dataset(files).get_fragments()]
        return self._dataset(files, pa.unify_schemas(schemas, promote_options="permissive"))

    def settle(self, num_clips: int) -> int:
        """Remove what a killed run left half done, and return how many clips are done.

        Ray's own clean-up leaves two cases: a worker that outlives its driver may commit clips that the next
        run does, too; and a task that is repeated after its commit may die while it writes its shard anew.
        """
        for folder in ("", DEATHS):
            self.clear(folder)
        markers = self.names("done")
        stems = {_stem(name) for name in markers}
        unsure = {stem.removesuffix(_PENDING) for stem in stems if stem.endswith(_PENDING)}
        shards = {_shard(name) for name in self.names("clips")}
        counted = (stems & shards) - unsure
        self._remove("done", [name for name in markers if _stem(name) not in counted])
        num_done, doubled = self._count(sorted(counted), num_clips)
        # In either order: a shard without a marker, and a marker without a shard, are found again.
        self._remove("done", [f"{stem}.parquet" for stem in doubled])
        kept = counted - set(doubled)
        self._remove("clips", [name for name in self.names("clips") if _shard(name) not in kept])
        return num_done

    def _count(self, stems: list[str], num_clips: int) -> tuple[int, list[str]]:
        """Count the clips of these shards, and list the shards that repeat a clip, which do not count."""
        seen, doubled = np.zeros(num_clips, bool), []
        files = [self.path(f"done/{stem}.parquet") for stem in stems]
        for stem, part in zip(stems, self._dataset(files).get_fragments(), strict=True):
            clips = part.to_table(columns=[CLIP])[CLIP].to_numpy()
            if seen[clips].any() or len(np.unique(clips)) < len(clips):
                doubled.append(stem)
            else:
                seen[clips] = True
        return int(seen.sum()), doubled

    def _dataset(self, files: list[str], schema: pa.Schema | None = None) -> dataset.Dataset:
        empty = pa.schema([]) if schema is None and not files else schema
        return dataset.dataset(files, schema=empty, format="parquet", filesystem=self.filesystem)

    def _remove(self, folder: str, names: list[str]) -> None:
        for name in names:
            self.filesystem.delete_file(self.path(f"{folder}/{name}"))


def _stem(name: str) -> str:
    """'ab_000001.pending.parquet' -> 'ab_000001.pending'."""
    return name.removesuffix(".parquet")


def _shard(name: str) -> str:
    """'ab_000001-0.parquet' -> 'ab_000001'."""
    return _PART.sub("", _stem(name))


def died() -> Row:
    """Return the result of a clip that is given up."""
    message = f"the worker died {MOST_DEATHS} times while it was at this clip"
    return {"error_type": "WorkerDied", "error_message": message}


@dataclass(frozen=True)
class JobReport:
    """The outcome of a run. The results themselves are in the folder: `.dataset()`."""

    output: str
    """The folder of the job."""
    num_clips: int
    """The number of clips in the manifest; each has one row in the results."""
    num_before: int
    """The number of clips that earlier runs had done already."""
    num_failed: int
    """The number of rows that have an `error_type` instead of a result."""
    num_cpus: int
    """The number of clips that were processed at the same time."""
    seconds: float
    """The duration of this run, without starting Ray."""
    costs: ClipCosts | None
    """The costs of the clips of this run; None if there were none."""
    runner: str = "ray"
    """The runner: "local", the processes of this machine, or "ray"."""
    profile: LineProfile | None = field(default=None, repr=False)
    """The time of each line of the function in this run, with `profile=True`; a table in a notebook."""

    @classmethod
    def of(
        cls,
        store: Store,
        *,
        num_before: int,
        begun_at: float,
        num_cpus: int,
        seconds: float,
        runner: str,
        profile: LineProfile | None,
    ) -> JobReport:
        """Return the report of a run that began at this time, by the rows that it has written."""
        rows = store.clips()
        names = [*(f"{name}_seconds" for name in PHASES), "begun_at"]
        recent = rows.head(_MANY, columns=names, filter=dataset.field("begun_at") >= begun_at)
        columns = {name: np.asarray(recent[name], np.float64) for name in names}
        return cls(
            output=store.uri,
            num_clips=rows.count_rows(),
            num_before=num_before,
            num_failed=rows.count_rows(filter=dataset.field("error_type").is_valid()),
            num_cpus=num_cpus,
            seconds=seconds,
            costs=ClipCosts.of(columns, num_cpus) if recent.num_rows else None,
            runner=runner,
            profile=profile,
        )

    def dataset(self) -> dataset.Dataset:
        """Return the rows as a pyarrow dataset: `.to_table(columns=[...])`, `.to_batches(filter=...)`."""
        return Store(self.output).clips()

    def errors(self) -> list[dict[str, Any]]:
        """Return the clips that failed, and why."""
        columns = ["clip", "path", "error_type", "error_message"]
        table = self.dataset().to_table(columns=columns, filter=dataset.field("error_type").is_valid())
        return list(table.sort_by("clip").to_pylist())

    def __repr__(self) -> str:
        before = f", {self.num_before:,} of them before" if self.num_before else ""
        done = f"{self.num_clips:,} clips{before}, {self.num_failed:,} failed"
        where = f"{self.num_cpus} cores, {self.runner}"
        return f"JobReport({self.output!r}: {done}; {self.seconds:.3g} s on {where})"
