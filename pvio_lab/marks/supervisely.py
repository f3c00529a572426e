"""Video annotations of Supervisely: its JSON of a video, and the part of it that belongs to one image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base import not_negative_integer
from .annotations import MOST_LABELS, FrameNotes, RangeMark, checked_index

Json = dict[str, Any]

# Keys that only mean something in the annotation of a whole video.
_VIDEO_ONLY = ("frameRange", "key")
# Keys of a figure that an image annotation has at its object.
_OF_FIGURE = ("labelerLogin", "createdAt", "updatedAt", "nnCreated", "nnUpdated")


@dataclass(frozen=True)
class SuperviselyNotes(FrameNotes):
    """The notes in a video annotation. A frame is annotated if it has figures, or a tag with a range."""

    always: tuple[str, ...] = ()
    """Labels of the whole video. They hold on every frame, and make none an annotated one."""
    size: tuple[int, int] = (0, 0)
    """Width and height that the figures refer to."""
    description: str = ""
    """The description of the video."""
    tags: tuple[Json, ...] = ()
    """The tags of the video."""
    objects: Mapping[str, Json] = field(default_factory=dict)
    """The objects by their keys."""
    figures: Mapping[int, tuple[Json, ...]] = field(default_factory=dict)
    """The figures on each frame."""

    def labels_at(self, number: int) -> tuple[str, ...]:
        """Return the labels of this frame, and those of the video."""
        return tuple(dict.fromkeys((*super().labels_at(number), *self.always)))

    def share(self, number: int, size: tuple[int, int]) -> Json:
        """Return the image annotation of a frame; coordinates follow the size of the image."""
        scale = (size[0] / self.size[0], size[1] / self.size[1])
        return {
            "description": self.description,
            "tags": _tags_at(self.tags, number),
            "size": {"height": size[1], "width": size[0]},
            "objects": [self._object(figure, number, scale) for figure in self.figures.get(number, ())],
        }

    def _object(self, figure: Json, number: int, scale: tuple[float, float]) -> Json:
        shown = self.objects[figure["objectKey"]]
        return {
            "key": figure.get("key"),
            "objectKey": figure["objectKey"],
            "classTitle": shown["classTitle"],
            "description": figure.get("description", ""),
            "geometryType": figure["geometryType"],
            "tags": _tags_at(shown.get("tags", ()), number),
            **{key: figure[key] for key in _OF_FIGURE if key in figure},
            **scaled_geometry(figure["geometry"], scale),
        }


def is_supervisely(data: Any) -> bool:
    """Return whether a JSON document looks like a video annotation of Supervisely."""
    return (
        isinstance(data, dict) and isinstance(data.get("size"), dict) and {"frames", "objects"} <= set(data)
    )


def notes_of_supervisely(data: Json) -> SuperviselyNotes:
    """Return the notes in a video annotation.

    >>> tag = {"name": "weather", "value": "rain", "frameRange": [4, 5]}
    >>> size = {"height": 90, "width": 160}
    >>> notes = notes_of_supervisely({"size": size, "tags": [tag], "objects": [], "frames": []})
    >>> notes.numbers(), notes.labels_at(5)
    ([4, 5], ('weather: rain',))
    """
    tags = _entries(data, "tags", ("name",))
    objects = {each["key"]: each for each in _entries(data, "objects", ("key", "classTitle"))}
    for each in objects.values():
        tags_of_it = _entries(each, "tags", ("name",))
        _check_few(tags_of_it, "an object")  # every figure of it gets them
        for tag in tags_of_it:
            _span(tag)
    figures = _figures(data, objects)
    spans = [(_span(tag), _tag_text(tag)) for tag in tags]
    always = tuple(text for span, text in spans if span is None)
    _check_few(always, "the video")
    return SuperviselyNotes(
        frames={
            number: tuple(dict.fromkeys(objects[each["objectKey"]]["classTitle"] for each in drawn))
            for number, drawn in figures.items()
        },
        ranges=tuple(sorted(RangeMark(span.start, span.stop, text) for span, text in spans if span)),
        always=always,
        size=_size(data),
        description=data.get("description") or "",
        tags=tuple(tags),
        objects=objects,
        figures=figures,
    )


def _check_few(tags: Sequence[Any], what: str) -> None:
    if len(tags) > MOST_LABELS:
        raise ValueError(f"{what} has more than {MOST_LABELS} tags")


def _tag_text(tag: Json) -> str:
    """Return a tag as a label: {"name": "weather", "value": "rain"} -> 'weather: rain'."""
    value = tag.get("value")
    return str(tag["name"]) if value is None else f"{tag['name']}: {value}"


def scaled_geometry(geometry: Json, scale: tuple[float, float]) -> Json:
    """Return the same shape in an image of another size.

    >>> scaled_geometry({"points": {"exterior": [[10, 20], [30, 40]], "interior": []}}, (0.5, 0.5))
    {'points': {'exterior': [[5, 10], [15, 20]], 'interior': []}}
    """
    if min(scale) == max(scale) == 1:
        return dict(geometry)
    scaled = dict(geometry)
    if "points" in geometry:
        scaled["points"] = {side: _scaled(points, scale) for side, points in geometry["points"].items()}
    if "nodes" in geometry:
        nodes = geometry["nodes"].items()
        scaled["nodes"] = {key: {**node, "loc": _scaled(node["loc"], scale)} for key, node in nodes}
    if not {"points", "nodes"} & set(geometry):
        raise ValueError(
            f"figures of {', '.join(sorted(geometry)) or 'an unknown kind'} cannot be resized with their "
            "image: leave resize out, or copy_annotations"
        )
    return scaled


def _scaled(points: Any, scale: tuple[float, float]) -> Any:
    """Scale a point, or points in nested lists; whole numbers stay whole."""
    if len(points) == 2 and not any(isinstance(each, list) for each in points):
        pairs = zip(points, scale, strict=True)
        return [round(at * by) if isinstance(at, int) else at * by for at, by in pairs]
    return [_scaled(each, scale) for each in points]


def _tags_at(tags: Iterable[Json], number: int) -> list[Json]:
    """Return the tags that hold on a frame, as tags of an image."""
    valid = (tag for tag in tags if (span := _span(tag)) is None or number in span)
    return [{key: value for key, value in tag.items() if key not in _VIDEO_ONLY} for tag in valid]


def _span(tag: Json) -> range | None:
    """Return the frames of a tag, including the last one; None for all."""
    pair = tag.get("frameRange")
    if pair is None:
        return None
    if not (isinstance(pair, list) and len(pair) == 2):
        raise ValueError(f"the frameRange of tag {tag['name']!r} must be a list of two frames, not {pair!r}")
    first, last = (checked_index(each) for each in pair)
    if first > last:
        raise ValueError(f"the frameRange of tag {tag['name']!r} ends before it begins: {pair}")
    return range(first, last + 1)


def _figures(data: Json, objects: Mapping[str, Json]) -> dict[int, tuple[Json, ...]]:
    figures: dict[int, list[Json]] = {}
    for frame in _entries(data, "frames", ("index", "figures")):
        number = checked_index(frame["index"])
        drawn = tuple(_entries(frame, "figures", ("objectKey", "geometryType", "geometry")))
        for figure in drawn:
            if figure["objectKey"] not in objects:
                raise ValueError(
                    f"frame {number}: a figure is of object {figure['objectKey']!r}, which is not there"
                )
        if drawn:
            figures.setdefault(number, []).extend(drawn)
    return {number: tuple(drawn) for number, drawn in figures.items()}


def _entries(data: Json, key: str, names: tuple[str, ...]) -> list[Json]:
    """Return the objects of a list, each of which must have these keys."""
    entries: Any = data.get(key) or []
    if not isinstance(entries, list):
        raise ValueError(f'"{key}" must be a list')
    for place, entry in enumerate(entries):
        missing = set(names) - set(entry) if isinstance(entry, dict) else set(names)
        if missing:
            raise ValueError(f"{key}[{place}] must be an object with {', '.join(names)}")
    return entries


def _size(data: Json) -> tuple[int, int]:
    size = data["size"]
    try:
        width, height = (not_negative_integer(size[name], name) for name in ("width", "height"))
    except (KeyError, TypeError) as error:
        raise ValueError(f'"size" must be an object with height and width, not {size!r}') from error
    if not width or not height:
        raise ValueError(f'"size" must be more than 0, not {size!r}')
    return width, height
