"""Functions that sample frames of a video, or of all videos in a tree, into image files."""

from __future__ import annotations

import os
import queue
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...base import clear_partials, num_cpus, waiting
from ...errors import printable
from ...read import Fetching, check_may_be_local, source_name, videos_in
from ..image_files import video_name
from .image_manifest import stem_for
from .sampler import Busy, Job, Plan, Policy, Resize, Sampler, SampleReport, SampleRow

# So many frames may wait for each thread that writes images.
_WAITING = 3


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
    policy = Policy(start, end, step, fps, num_frames, first, max_frames, only)
    plan = Plan(policy, only_annotated, resize, annotations, copy_annotations, fetching)
    directory, name = Path(output_dir), video_name(source)
    job = Job(source_name(source), name, directory, stem_for(directory, name))
    _clear([job])
    num_writers = num_cpus()
    with ThreadPoolExecutor(num_writers, "pvio_lab images") as pool:
        row, error = Sampler(plan, pool, _WAITING * num_writers, progress).sample(job)
    if error is not None:
        raise error
    return SampleReport((row,))


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
    says so, and the others are sampled. Several processes may work on the same tree at once, and share the
    videos.

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
    policy = Policy(start, end, step, fps, num_frames, first, max_frames, only)
    plan = Plan(policy, only_annotated, resize, annotations, copy_annotations, fetching)
    jobs = jobs_of_tree(Path(source_dir), Path(output_dir), fetching)
    _clear(jobs)
    rows = _sample_all(jobs, plan, progress=progress)
    return SampleReport(tuple(rows[job] for job in jobs))


def jobs_of_tree(source_dir: Path, output_dir: Path, fetching: Fetching | None = None) -> list[Job]:
    """Return a job for each video in a directory and its folders, in natural order of their names.

    Raises:
        FileNotFoundError: There are none.
        NotADirectoryError: It is a file.
        SourceError: No local path is allowed.
    """
    check_may_be_local(str(source_dir), fetching)
    if source_dir.is_file():
        raise NotADirectoryError(f"{printable(source_dir)} is a file; sample_video takes one")
    if not source_dir.is_dir():
        raise FileNotFoundError(f"there is no directory {printable(source_dir)}")
    videos = [Path(name) for name in videos_in(source_dir)]
    if not videos:
        raise FileNotFoundError(f"there are no videos in the directory {printable(source_dir)}")
    stems = Counter(map(_as_file_systems_see, videos))
    jobs = []
    for video in videos:
        folder = video.parent.relative_to(source_dir)
        directory, is_shared = output_dir / folder, stems[_as_file_systems_see(video)] > 1
        stem = stem_for(directory, video.name, is_shared=is_shared)
        jobs.append(Job(source_name(video), video.name, directory, stem, str(folder)))
    return jobs


def _as_file_systems_see(video: Path) -> tuple[Path, str]:
    """a/Clip.MP4 -> a, clip: some ignore case."""
    return video.parent, video.stem.casefold()


def _clear(jobs: Iterable[Job]) -> None:
    """Remove what killed runs have left of images and manifests, listing each folder once."""
    names: dict[Path, list[str]] = {}
    for job in jobs:
        # The beginning of both: clip_frame_000012.png, clip_frames.json
        names.setdefault(job.directory, []).append(f"{job.stem}_frame")
    for directory, beginnings in names.items():
        clear_partials(directory, tuple(beginnings), is_prefix=True)


def _sample_all(jobs: list[Job], plan: Plan, *, progress: bool) -> dict[Job, SampleRow]:
    """Sample as many videos at a time as there are processors.

    Videos that another process is at work on come last, so that processes share the work.
    """
    from tqdm.auto import tqdm

    cpus = num_cpus()
    abreast = min(cpus, len(jobs))
    rows: dict[Job, SampleRow] = {}
    with (
        ThreadPoolExecutor(cpus, "pvio_lab images") as pool,
        ThreadPoolExecutor(abreast, "pvio_lab sampling") as samplers,
        tqdm(total=len(jobs), desc="sampling", unit="video", disable=not progress) as bar,
    ):
        sampler = Sampler(plan, pool, _WAITING * cpus, progress, max(1, cpus // abreast))

        def sample(job: Job, waits: bool) -> bool:
            with suppress(Busy):
                rows[job], _ = sampler.sample(job, waits=waits)
            return job in rows

        try:
            for waits in (False, True):
                done: queue.Queue[Future[bool]] = queue.Queue()
                left = [job for job in jobs if job not in rows]
                for job in left:
                    samplers.submit(sample, job, waits).add_done_callback(done.put)
                for _ in left:
                    bar.update(waiting.take(done).result())
        except BaseException:
            sampler.stop.set()
            samplers.shutdown(wait=False, cancel_futures=True)
            raise
    return rows
