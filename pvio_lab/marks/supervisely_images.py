"""Supervisely's projects of images, as folders: their `meta.json`, and the annotation of an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from ..base import read_json
from ..errors import printable
from .annotations import FrameNotes
from .supervisely import Json, SuperviselyNotes

META = "meta.json"
"""The file in the folder of a project that names its classes and tags."""
# Tags that figures of videos get where they become those of images.
_OBJECT_ID = {"name": "object_id", "value_type": "any_number", "applicable_type": "objectsOnly"}
_AUTO_TRACKED = {"name": "auto-tracked", "value_type": "none", "applicable_type": "objectsOnly"}
_KINDS = {"classes": ("title", "shape"), "tags": ("name", "value_type")}


def project_of(dataset: Path) -> Path | None:
    """Return the folder of the project that a dataset is in, or that it is itself; None if there is none.

    Datasets are in the folder of the project, or in the folder `datasets` of another one.
    """
    for folder in (dataset, dataset.parent):
        if is_project(folder):
            return folder
    return project_of(dataset.parent.parent) if dataset.parent.name == "datasets" else None


def is_project(folder: Path) -> bool:
    """Return whether a folder has a `meta.json` as a project has it."""
    try:
        return isinstance(read_json(folder / META).get("classes"), list)
    except (OSError, ValueError, AttributeError):
        return False


def read_project_meta(project: Path) -> Json:
    """Return what the `meta.json` of a project says.

    Raises:
        ValueError: It is not one.
    """
    path = project / META
    try:
        meta = read_json(path)
        entries = [(kind, each[_KINDS[kind][0]]) for kind in _KINDS for each in meta.get(kind) or []]
        if not all(isinstance(name, str) for _, name in entries):
            raise ValueError("names of classes and tags must be text")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{printable(path)} is not that of a project of Supervisely: {error}") from None
    return dict(meta)


def image_project_meta(known: Json, source: Json, notes: FrameNotes | None = None) -> Json:
    """Return the `meta.json` of a project of images that takes in those of a video.

    >>> meta = image_project_meta({}, {"classes": [{"title": "car", "shape": "rectangle"}]})
    >>> [each["title"] for each in meta["classes"]], [each["name"] for each in meta["tags"]]
    (['car'], ['object_id', 'auto-tracked'])

    Args:
        known: What it says so far.
        source: That of the video's project. Classes and tags that it lacks get their kind from the notes.
        notes: The annotations of the video.

    Raises:
        ValueError: A class or tag is of another kind in the two.
    """
    classes, tags = _used(notes)
    merged: Json = {**known, "projectType": "images"}
    for kind, more in (("classes", classes), ("tags", [*tags, _OBJECT_ID, _AUTO_TRACKED])):
        name, form = _KINDS[kind]
        entries = {each[name]: each for each in known.get(kind) or []}
        for each in source.get(kind) or []:
            mine = entries.setdefault(each[name], each)
            if mine.get(form) != each.get(form):
                raise ValueError(
                    f"{kind}: {each[name]!r} is {mine.get(form)!r} in the project of images, and "
                    f"{each.get(form)!r} in that of the videos; give another project, or rename one of them"
                )
        for each in more:
            entries.setdefault(each[name], {**each, "color": f"#{crc32(each[name].encode()) & 0xFFFFFF:06X}"})
        merged[kind] = list(entries.values())
    return merged


def _used(notes: FrameNotes | None) -> tuple[list[Json], list[Json]]:
    """Return the classes and tags that annotations use."""
    if not isinstance(notes, SuperviselyNotes):
        labels = dict.fromkeys(_labels(notes)) if notes is not None else {}
        return [], [{"name": label, "value_type": "none"} for label in labels]
    shapes: dict[str, set[str]] = {each["classTitle"]: set() for each in notes.objects.values()}
    for figure in (each for drawn in notes.figures.values() for each in drawn):
        shapes[notes.objects[figure["objectKey"]]["classTitle"]].add(figure["geometryType"])
    classes = [
        {"title": title, "shape": next(iter(kinds)) if len(kinds) == 1 else "any"}
        for title, kinds in shapes.items()
    ]
    every = [*notes.tags, *(tag for each in notes.objects.values() for tag in each.get("tags", ()))]
    values: dict[str, list[Any]] = {}
    for tag in every:
        values.setdefault(tag["name"], []).append(tag.get("value"))
    return classes, [{"name": name, "value_type": _value_type(found)} for name, found in values.items()]


def _labels(notes: FrameNotes) -> Iterator[str]:
    yield from (label for labels in notes.frames.values() for label in labels)
    yield from (each.label for each in notes.ranges)


def _value_type(values: Iterable[Any]) -> str:
    """Return the kind of a tag with these values; one that is left out goes with any."""
    given = [each for each in values if each is not None]
    if not given:
        return "none"
    return "any_number" if all(isinstance(each, int | float) for each in given) else "any_string"


def image_annotation(notes: FrameNotes | None, number: int, size: tuple[int, int]) -> Json:
    """Return the annotation of the image of a frame, which has this width and height.

    Figures get the tag `object_id`, with the id of their object or, where it has none, its place in the
    annotation, from 1; and `auto-tracked` if they have a track. Labels of other annotations become tags.
    """
    empty = {"description": "", "tags": [], "size": {"height": size[1], "width": size[0]}, "objects": []}
    if notes is None:
        return empty
    if not isinstance(notes, SuperviselyNotes):
        return empty | {"tags": [{"name": label, "value": None} for label in notes.labels_at(number)]}
    share = notes.share(number, size)
    for shown, figure in zip(share["objects"], notes.figures.get(number, ()), strict=True):
        shown["tags"] += _tags_of_figure(figure, notes.objects)
    return share


def _tags_of_figure(figure: Json, objects: Mapping[str, Json]) -> Iterator[Json]:
    key = figure["objectKey"]
    own = objects[key].get("id")
    yield {"name": "object_id", "value": own if type(own) is int else 1 + list(objects).index(key)}
    if figure.get("trackId") is not None:
        login = objects[key].get("labelerLogin")
        yield {"name": "auto-tracked", "value": None} | ({"labelerLogin": login} if login else {})
