"""The folder of a job: which shards count, and what a killed run has left.

A shard counts if Ray Data's checkpoint has a marker for it, which lists its clips. Ray writes the marker
under a pending name, then the shard, and renames the marker last.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ...base import clear_partials, write_whole
from ...read import is_url
from ..arrow import dataset, fs, pa
from .manifest import CLIP

_PENDING = ".pending"
# What this library writes as JSON is small.
_MOST_BYTES = 2**20
# What Ray makes of the name of a marker, when it writes its shard.
_PART = re.compile(r"-\d+$")


@dataclass(frozen=True)
class Store:
    """Where a job reads and writes; on any file system that all workers reach."""

    uri: str
    """The folder, as a path or URL."""
    filesystem: fs.FileSystem
    """What it is on."""
    root: str
    """The folder there."""

    @classmethod
    def of(cls, output: str | PathLike[str]) -> Store:
        """The store in a local folder, or at a URL that pyarrow knows, as `s3://bucket/folder`."""
        name = os.fspath(output)
        uri = name if is_url(name) else os.path.abspath(name)
        filesystem, root = fs.FileSystem.from_uri(uri)
        return cls(uri, filesystem, root.rstrip("/"))

    def __reduce__(self) -> Any:
        return Store.of, (self.uri,)

    def path(self, name: str) -> str:
        """A name in the folder, for its file system."""
        return f"{self.root}/{name}"

    def make_folder(self, name: str) -> str:
        """Makes a folder, if it is not there."""
        self.filesystem.create_dir(self.path(name), recursive=True)
        return self.path(name)

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted."""
        found = self.filesystem.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def write(self, name: str, content: bytes) -> None:
        """Writes a file under another name and renames it, so that there is never half of it."""
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

    @property
    def _is_local(self) -> bool:
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return what a JSON file says; None if there is none.

        Raises:
            ValueError: It is damaged.
        """
        try:
            with self.filesystem.open_input_stream(self.path(name)) as stream:
                found = json.loads(stream.read(_MOST_BYTES))
            if not isinstance(found, dict):
                raise ValueError("it is no object")
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self.uri}/{name} is damaged: {error}; take another folder") from None
        return found

    def clips(self) -> dataset.Dataset:
        """The rows of all shards that count, as a pyarrow dataset."""
        counted = {_stem(name) for name in self.names("done")}
        files = [self.path(f"clips/{name}") for name in self.names("clips") if _shard(name) in counted]
        schemas = [part.physical_schema for part in self._dataset(files).get_fragments()]
        return self._dataset(files, pa.unify_schemas(schemas, promote_options="permissive"))

    def settle(self, num_clips: int) -> int:
        """Removes what a killed run left half done, and tells how many clips are done.

        Ray's own clean-up leaves open: a worker that outlives its driver may commit clips that the next run
        does, too, and a task that is repeated after it had committed may die while it writes its shard anew.
        """
        for folder in ("", "deaths"):
            self.clear(folder)
        markers = self.names("done")
        stems = {_stem(name) for name in markers}
        unsure = {stem.removesuffix(_PENDING) for stem in stems if stem.endswith(_PENDING)}
        shards = {_shard(name) for name in self.names("clips")}
        counted = (stems & shards) - unsure
        self._remove("done", [name for name in markers if _stem(name) not in counted])
        num_done, doubled = self._count(sorted(counted), num_clips)
        # The shard goes last: one without a marker is found again, a marker without a shard is, too.
        self._remove("done", [f"{stem}.parquet" for stem in doubled])
        kept = counted - set(doubled)
        self._remove("clips", [name for name in self.names("clips") if _shard(name) not in kept])
        return num_done

    def _count(self, stems: list[str], num_clips: int) -> tuple[int, list[str]]:
        """How many clips these shards have; a shard with a clip that was met before does not count."""
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
