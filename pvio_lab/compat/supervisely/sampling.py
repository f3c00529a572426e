"""The sampling of a video, a dataset or a project into a project of images."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ... import open_video, sample_indices
from ...base import free_path, not_negative_integer, positive_integer
from ...errors import printable
from ...marks import FrameNotes, SuperviselyNotes, find_notes, project_of
from ...read import VIDEO_EXTENSIONS, Fetching, is_url, natural_key
from ...write import ImageDataset, make_image_project, video_name

Source = str | os.PathLike[str]
Settings = Mapping[str, Any]
Info = Mapping[str, Any]
Names = Iterable[Source]

_log = logging.getLogger("pvio_lab")


class SamplingSettings:
    """The keys of the settings of `sample_video`."""

    ONLY_ANNOTATED = "annotated"
    START = "start"
    END = "end"
    STEP = "step"
    RESIZE = "resize"
    COPY_ANNOTATIONS = "copy_annotations"


class ApiContext:
    """Accepted where they take one, and not needed: there is no server whose answers could be kept."""


def sample_video(
    path: Source,
    output: Source,
    settings: Settings,
    sample_info: Info | None = None,
    context: ApiContext | None = None,
    progress: Any = None,
    *,
    annotations: Any = None,
    fetching: Fetching | None = None,
) -> Path:
    """Add a dataset with images from a video to a project, named as the video is, and return its folder.

    >>> from tempfile import mkdtemp
    >>> dataset = sample_video("data_samples/gop2.mp4", mkdtemp(), {"start": 8, "end": 20, "step": 6})
    >>> [path.name for path in sorted((dataset / "img").iterdir())]
    ['gop2.mp4_frame_08.png', 'gop2.mp4_frame_14.png']

    Images that are there are kept, as they are there. Here, figures are resized with their image, tags are on
    each frame of their range even if it has no figures, and `object_id` tells the objects of a class apart.

    Args:
        path: A video, its URL, or a directory of images.
        output: The folder of a project, or of a dataset in one, which gets the new dataset. Any other folder
            becomes a project.
        settings: `SamplingSettings` has the keys. "annotated": only frames with figures; "start" and "end":
            the first frame, and one past the last; "step": every n-th of these; "resize": height and width;
            "copy_annotations": images get the annotations of their frames. Others are ignored.
        sample_info: More for the files in `meta`, which have the `frame_index` of each image.
        context: Not needed.
        progress: A bar of tqdm, which is used again.
        annotations: As in `pvio_lab.sample_video`; None for what is beside the video, or in `ann`.
        fetching: How a URL is fetched, and what may be opened; see `pvio_lab.Fetching`.

    Raises:
        DecodeError: A frame cannot be decoded.
        FileNotFoundError: There is no such file.
        OpenError: It is not a video.
        ValueError: A setting or annotation is wrong, or the two projects do not go together.
    """
    name = video_name(checked_path(path))
    with open_video(path, fetching=fetching) as reader:
        notes = find_notes(annotations, path, reader=reader)
        if notes is not None:
            notes.check(len(reader))
        numbers = _frame_numbers(reader, settings, notes, name)
        size = _size(settings, reader.info)
        copied = notes if settings.get(SamplingSettings.COPY_ANNOTATIONS, False) else None
        dataset = ImageDataset.below(Path(output), name)
        dataset.learn(_source_project(path), copied)
        info = {"is_sample": True, **(sample_info or {}), "video_name": name}
        _begin(progress, len(numbers), name)
        with closing(dataset.save(reader, numbers, size, copied, info)) as saved:
            for count in saved:
                if progress is not None:
                    progress.update(count)
    return dataset.folder


def sample_video_dataset(
    src_dataset: Source,
    dst_parent: Source,
    settings: Settings,
    sample_info: Info | None = None,
    context: ApiContext | None = None,
    datasets_ids_whitelist: Names | None = None,
    items_progress_cb: Callable[[], object] | None = None,
    video_progress: Any = None,
) -> Path | None:
    """Sample all videos of a dataset and of those inside it; return the folder of the new dataset.

    Args:
        src_dataset: The folder: with `video` and `ann`, or with the videos themselves. Datasets inside it
            are in its folder `datasets`.
        dst_parent: The folder of a project or a dataset, as `output` of `sample_video`.
        settings: See `sample_video`, as for `sample_info` and `context`.
        sample_info: See there.
        context: See there.
        datasets_ids_whitelist: Names or folders of the datasets that are sampled; None for all.
        items_progress_cb: Called after each video.
        video_progress: A bar of tqdm for the frames of each.

    Returns:
        The folder; None if neither this dataset nor one inside it is to be sampled.
    """
    source = Path(os.path.abspath(checked_path(src_dataset)))
    if not source.is_dir():
        raise FileNotFoundError(f"there is no dataset {printable(source)}: it must be a folder")
    wanted = None if datasets_ids_whitelist is None else [os.fspath(each) for each in datasets_ids_whitelist]
    if not _is_wanted(source, wanted, deep=True):
        return None
    dataset = ImageDataset.below(Path(dst_parent), source.name)
    info = {**(sample_info or {}), "video_dataset_name": source.name}
    for video in _videos(source) if _is_wanted(source, wanted) else ():
        sample_video(video, dataset.folder, settings, info, context, video_progress)
        if items_progress_cb is not None:
            items_progress_cb()
    for child in _folders(source / "datasets"):
        sample_video_dataset(
            child, dataset.folder, settings, sample_info, context, wanted, items_progress_cb, video_progress
        )
    return dataset.folder


def sample_video_project(
    project: Source,
    settings: Settings,
    dst_project: Source | None = None,
    datasets_ids: Names | None = None,
    context: ApiContext | None = None,
    items_progress_cb: Callable[[], object] | None = None,
    video_progress: Any = None,
) -> Path:
    """Sample all datasets of a project into a project of images, and return the folder of that.

    Args:
        project: The folder, with a folder for each dataset.
        settings: See `sample_video`.
        dst_project: The folder of the images; None for a new one beside it, `<project>(images)`.
        datasets_ids: Names or folders of the datasets that are sampled; None for all.
        context: Not needed.
        items_progress_cb: Called after each video.
        video_progress: A bar of tqdm for the frames of each.
    """
    source = Path(os.path.abspath(checked_path(project)))
    if not source.is_dir():
        raise FileNotFoundError(f"there is no project {printable(source)}: it must be a folder")
    new = source.with_name(f"{source.name}(images)")
    target = free_path(new) if dst_project is None else Path(dst_project)
    make_image_project(target)
    info = {"is_sample": True, "video_project_name": source.name}
    wanted = None if datasets_ids is None else list(datasets_ids)
    for dataset in _folders(source):
        if _videos(dataset) or _folders(dataset / "datasets"):
            sample_video_dataset(
                dataset, target, settings, info, context, wanted, items_progress_cb, video_progress
            )
    return target


def checked_path(path: Any) -> Source:
    """Return a path, or raise TypeError for an `api` or an id."""
    if isinstance(path, str | os.PathLike):
        return path
    raise TypeError(
        f"{type(path).__name__} is not a path: give that of a video, or of a folder, in place of api and id"
    )


def _frame_numbers(reader: Any, settings: Settings, notes: FrameNotes | None, name: str) -> list[int]:
    """Return the frames to take; the step counts along those that are annotated."""
    start = not_negative_integer(settings.get(SamplingSettings.START, 0), "start")
    end = settings.get(SamplingSettings.END)
    only: Iterable[int] | None = None
    if settings.get(SamplingSettings.ONLY_ANNOTATED, False):
        if notes is None:
            _log.warning("%s has no annotations: no image is made of it", printable(name))
        only = notes.figures if isinstance(notes, SuperviselyNotes) else notes.numbers() if notes else ()
    numbers = sample_indices(reader, start=start, end=None if end is None else max(0, end), only=only)
    chosen: list[int] = numbers[:: positive_integer(settings.get(SamplingSettings.STEP, 1), "step")].tolist()
    return chosen


def _size(settings: Settings, info: Any) -> tuple[int, int]:
    """Return width and height of the images."""
    resize = settings.get(SamplingSettings.RESIZE)
    if not resize:
        return info.width, info.height
    if not isinstance(resize, list | tuple) or len(resize) != 2:
        raise ValueError(f"resize={resize!r} must be a height and a width")
    height, width = (positive_integer(each, "resize") for each in resize)
    return width, height


def _source_project(path: Source) -> Path | None:
    """Return the folder of the project that a video is in: project/dataset/video/clip.mp4 -> project."""
    if is_url(os.fspath(path)):
        return None
    folder = Path(os.path.abspath(path)).parent
    return project_of(folder.parent if folder.name == "video" else folder)


def _begin(progress: Any, total: int, name: str) -> None:
    if progress is not None:
        progress.reset(total)
        progress.unit, progress.unit_scale, progress.unit_divisor, progress.miniters = "it", False, 1000, 1
        progress.desc = progress.message = f"Processing {printable(name)}"
        progress.refresh()


def _folders(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((each for each in found if each.is_dir() and each.name[0] != "."), key=_order)


def _order(path: Path) -> list[str | int]:
    return natural_key(path.name)


def _videos(dataset: Path) -> list[Path]:
    folder = dataset / "video" if (dataset / "video").is_dir() else dataset
    found = (each for each in folder.iterdir() if each.is_file() and each.name[0] != ".")
    return sorted((each for each in found if each.suffix.lower() in VIDEO_EXTENSIONS), key=_order)


def _is_wanted(dataset: Path, wanted: list[str] | None, *, deep: bool = False) -> bool:
    """Return whether a dataset is to be sampled, or with `deep` one inside it."""
    if wanted is None or any(
        dataset.name == each or str(dataset) == os.path.abspath(each) for each in wanted
    ):
        return True
    return deep and any(_is_wanted(each, wanted, deep=True) for each in _folders(dataset / "datasets"))
