"""A project of images in Supervisely's form: `meta.json`, and a folder for each dataset."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...base import clear_partials, num_cpus, write_whole
from ...marks import META, FrameNotes, image_annotation, image_project_meta, project_of, read_project_meta
from ...read import Frames
from ..image_files import in_order, save_whole

_FOLDERS = ("img", "ann", "meta")
# So many frames for each processor may wait for their files.
_WAITING = 4


def make_image_project(folder: Path) -> Path:
    """Make a folder the one of a project of images, unless it is in a project; return that one's folder."""
    project = project_of(folder)
    if project is None:
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / META, image_project_meta({}, {}))
    return project or folder


@dataclass(frozen=True)
class ImageDataset:
    """A dataset of images of one video, as a folder with `img`, `ann` and `meta`."""

    folder: Path

    @classmethod
    def below(cls, parent: Path, name: str) -> ImageDataset:
        """Return the dataset of this name in a project or in another dataset, made if it is not there.

        Raises:
            ValueError: No folder can have the name.
        """
        if name in ("", ".", "..") or any(sign in name for sign in "/\\\0"):
            raise ValueError(f"a dataset cannot be called {name!r}: a folder gets its name")
        project = make_image_project(parent)
        folder = parent / name if project == parent else parent / "datasets" / name
        for each in _FOLDERS:
            (folder / each).mkdir(parents=True, exist_ok=True)
        return cls(folder)

    def learn(self, source: Path | None, notes: FrameNotes | None) -> None:
        """Let the project know the classes and tags of another one, and those of annotations.

        Raises:
            ValueError: A class or tag is of another kind there, or a `meta.json` is not one.
        """
        project = make_image_project(self.folder)
        known = read_project_meta(project)
        merged = image_project_meta(known, {} if source is None else read_project_meta(source), notes)
        if merged != known:
            _write_json(project / META, merged)

    def save(
        self,
        reader: Any,
        numbers: Sequence[int],
        size: tuple[int, int],
        notes: FrameNotes | None,
        info: Mapping[str, Any],
    ) -> Generator[int]:
        """Write the images of these frames that are not there; yield how many there are more, each time.

        Args:
            reader: An open reader of the video.
            numbers: The frames, in order.
            size: Width and height of the images.
            notes: The annotations that the images get, also those that are there; None for empty ones.
            info: Facts for the files in `meta`.
        """
        for each in _FOLDERS:
            clear_partials(self.folder / each, f"{self.folder.name}_frame_", is_prefix=True)
        digits = len(str(len(reader)))
        names = {number: f"{self.folder.name}_frame_{number:0{digits}}.png" for number in numbers}
        missing = [number for number in numbers if not (self.folder / "img" / names[number]).exists()]

        def annotate(number: int) -> None:
            _write_json(self.folder / "ann" / f"{names[number]}.json", image_annotation(notes, number, size))

        def save(number: int, frame: Frames) -> int:
            annotate(number)
            _write_json(self.folder / "meta" / f"{names[number]}.json", {**info, "frame_index": number})
            save_whole(self.folder / "img" / names[number], frame)  # last: each image has an annotation
            return 1

        if notes is not None:
            for number in sorted(set(numbers) - set(missing)):
                annotate(number)
        yield len(numbers) - len(missing)
        frames = reader.stream(missing, size=size)
        jobs = (partial(save, *pair) for pair in zip(missing, frames, strict=True))
        with (
            ThreadPoolExecutor(num_cpus(), "pvio_lab images") as pool,
            closing(in_order(jobs, pool, _WAITING * num_cpus())) as saved,
        ):
            yield from saved


def _write_json(path: Path, data: Any) -> None:
    write_whole(path, json.dumps(data, ensure_ascii=False, indent=1) + "\n", clear=False)
