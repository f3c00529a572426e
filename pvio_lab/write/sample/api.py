"""Functions that sample frames of a video, or of all videos in a tree, into image files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...read import Fetching, source_name
from .plan import Plan, Resize, job_of_video, jobs_of_tree
from .report import SampleReport
from .run import sample_all, sample_one


def sample_video(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    start: int = 0,
    end: int | None = None,
    step: int = 1,
    fps: float | None = None,
    num_frames: int | None = None,
    first: int | None = None,
    max_frames: int | None = None,
    only: Iterable[int] | None = None,
    resize: Resize = None,
    only_annotated: bool = False,
    copy_annotations: bool = False,
    annotations: Any = None,
    progress: bool = True,
    fetching: Fetching | None = None,
) -> SampleReport:
    """Write frames of a video to PNG files named `<video>_frame_<number>.png`, with a manifest.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> sample_video("data_samples/gop2.mp4", folder, step=15, progress=False)
    SampleReport(1 videos, 4 images, 0 bad)
    >>> sorted(os.listdir(folder))[:2]
    ['gop2_frame_000000.png', 'gop2_frame_000015.png']

    Images that are there are kept, and their frames are not decoded again; so a run that was stopped
    continues where it was, and a second run with a smaller `step` adds what is missing. The manifest,
    `<video>_frames.json`, has number, time, file, annotations and size of each image. A file that it does not
    list, or that was changed since, is never taken for an image of this video, and never replaced. A run
    waits for another one that is at work on the same images.

    Args:
        source: A video, its URL, or a directory of images.
        output_dir: The folder of the images, made if it is not there. If it has images of another video
            whose name differs only in its extension, theirs begin with the full name:
            `clip.mkv_frame_000000.png`.
        start: As for `sample_indices`, like the other options that choose frames.
        end: As for `sample_indices`.
        step: As for `sample_indices`.
        fps: As for `sample_indices`.
        num_frames: As for `sample_indices`.
        first: As for `sample_indices`.
        max_frames: As for `sample_indices`.
        only: As for `sample_indices`.
        resize: The size of the images: `(width, height)`, or the length of the shorter side, which keeps
            the shape. None keeps the size.
        only_annotated: Take only the frames that are annotated.
        copy_annotations: Write each image's share of the annotations to `<image>.json` beside it. For those
            of Supervisely, this is the image annotation, with coordinates that follow `resize`.
        annotations: A file: marks as the frame browser saves them, the JSON of a Supervisely video, or CSV
            with a column "frame". A directory with such files. An object: marks, frame numbers, or a mapping
            from them to labels. None takes `<file>.json`, `<file>.marks.json` or `<file>.csv` beside the
            video if there is one, or marks of this video in the working folder; False takes none. Marks that
            say they are of another video are an error.
        progress: Show a bar if it takes longer than two seconds.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        The report, of one row.

    Raises:
        DecodeError: A frame cannot be decoded. What was written before is kept.
        FileExistsError: There are images of another video with this name, or of another size; or a file that
            was not sampled has the name of an image, its annotations or the manifest.
        OpenError: It is not a video.
        ValueError: An option is out of range, or the annotations are wrong or missing.
    """
    policy = dict(
        start=start,
        end=end,
        step=step,
        fps=fps,
        num_frames=num_frames,
        first=first,
        max_frames=max_frames,
        only=only,
    )
    plan = Plan(policy, only_annotated, resize, annotations, copy_annotations, fetching)
    job = job_of_video(source_name(source), Path(output_dir))
    return SampleReport((sample_one(job, plan, progress=progress),))


def sample_video_tree(
    source_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    start: int = 0,
    end: int | None = None,
    step: int = 1,
    fps: float | None = None,
    num_frames: int | None = None,
    first: int | None = None,
    max_frames: int | None = None,
    only: Iterable[int] | None = None,
    resize: Resize = None,
    only_annotated: bool = False,
    copy_annotations: bool = False,
    annotations: Any = None,
    progress: bool = True,
    fetching: Fetching | None = None,
) -> SampleReport:
    """Do what `sample_video` does for every video in a directory and its folders, several at a time.

    >>> import tempfile
    >>> report = sample_video_tree("data_samples", tempfile.mkdtemp(), num_frames=1, progress=False)
    >>> report.num_images == len(report) - len(report.bad)
    True

    The images of `a/b/clip.mp4` go to `output_dir/a/b`. If the names of videos in one folder differ only in
    their extensions, those of their images begin with the full name. A video that is broken gets a row that
    says so, and the others go on. Several processes may work on the same tree at once: they share the videos.

    Args:
        source_dir: A directory with videos, recognised by their extensions; hidden ones are skipped.
        output_dir: The folder of the images, made if it is not there.
        start: See `sample_video`, as for all that follow.
        end: See there.
        step: See there.
        fps: See there.
        num_frames: See there.
        first: See there.
        max_frames: See there.
        only: See there.
        resize: See there.
        only_annotated: See there. A video without annotations gives no images.
        copy_annotations: See there.
        annotations: See there. A directory must have the same folders as `source_dir`.
        progress: Show a bar for the videos, and one for each that takes longer than two seconds.
        fetching: See there; one that allows no local paths refuses every tree.

    Returns:
        The report, of one row per video.

    Raises:
        FileNotFoundError: There are no videos.
        ValueError: An option is out of range.
    """
    policy = dict(
        start=start,
        end=end,
        step=step,
        fps=fps,
        num_frames=num_frames,
        first=first,
        max_frames=max_frames,
        only=only,
    )
    plan = Plan(policy, only_annotated, resize, annotations, copy_annotations, fetching)
    jobs = jobs_of_tree(Path(source_dir), Path(output_dir), fetching)
    return SampleReport(tuple(sample_all(jobs, plan, progress=progress)))
