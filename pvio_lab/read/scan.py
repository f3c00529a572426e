"""Scanning: a table of many files; each is decoded as a whole, in a child process that may crash or hang."""

from __future__ import annotations

import base64
import faulthandler
import os
import pickle
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..base import Child, ChildError, Report, checked_seconds, new_lock, num_cpus, positive_integer, waiting
from ..errors import VideoError, printable
from .images import natural_key
from .reader import VideoReader
from .shortcuts import is_directory
from .sources.fetching import Fetching
from .sources.urls import is_url, outline, public_name, shown, source_name

# The files that a directory is searched for.
VIDEO_EXTENSIONS = frozenset(
    ".3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .h264 .h265 .hevc .ivf .m1v .m2ts .m2v .m4v .mjpeg .mjpg "
    ".mkv .mov .mp4 .mpeg .mpg .mts .mxf .nut .obu .ogm .ogv .rm .rmvb .ts .vob .webm .wmv .y4m".split()
)
# A process that nobody watches any more ends itself this long after the limit.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class ScanRow:
    """The findings about one file."""

    path: str
    """The file, as it was given or found."""
    ok: bool
    """Every promised frame can be decoded and is intact."""
    frames_promised: int | None = None
    """The number of frames that the file promises; None where it cannot be opened."""
    frames_decoded: int = 0
    """The number of frames that can be decoded."""
    damaged_frames: tuple[int, ...] = ()
    """The frames that cannot be decoded, or that the decoder calls corrupt."""
    is_variable_rate: bool | None = None
    """Frames stay on screen for different times; None where it cannot be opened."""
    engine: str | None = None
    """The engine of random access for this file: "decord" or "pyav"."""
    reason: str | None = None
    """The reason for that engine, and why it is exact."""
    error: str | None = None
    """The reason why the file cannot be opened or decoded to its end."""
    seconds: float = 0.0
    """The time it took."""


@dataclass(frozen=True)
class ScanReport(Report[ScanRow]):
    """The rows of a scan, in the order of the input; a table in a notebook."""

    rows: tuple[ScanRow, ...]
    """One row per file."""

    drawn_as = "scan"

    @property
    def bad(self) -> tuple[ScanRow, ...]:
        """The files that are not in order."""
        return tuple(row for row in self.rows if not row.ok)

    def __repr__(self) -> str:
        lines = [f"ScanReport({len(self)} files, {len(self.bad)} bad)", *map(_in_words, self.bad[:10])]
        return "\n  ".join(lines if len(self.bad) <= 10 else [*lines, "..."])


def scan_videos(
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    num_workers: int | None = None,
    timeout_seconds: float = 60,
    progress: bool = True,
    fetching: Fetching | None = None,
) -> ScanReport:
    """Decode every frame of many files and report which are in order; no file can stop the scan.

    Args:
        paths: A file, a directory (searched with all its folders for videos, recognized by extension; hidden
            ones are skipped), or many of these. A file that is named twice is scanned once.
        num_workers: How many files are decoded at the same time; one per processor when left out.
        timeout_seconds: How long one file may take. Then its decoder is ended, and its row says so.
        progress: Show a progress bar.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.

    Returns:
        One row per file, even for missing ones, in the order of the input.

    Raises:
        RuntimeError: No worker process can be started.
        TypeError: An argument is of the wrong type.
        ValueError: `num_workers` or `timeout_seconds` is out of range.
    """
    files = _find_videos([paths] if isinstance(paths, str | PathLike) else paths, fetching)
    cpus = num_cpus() if num_workers is None else positive_integer(num_workers, "num_workers")
    limit = checked_seconds(timeout_seconds, "timeout_seconds")
    from tqdm.auto import tqdm

    with closing(_scan_all(files, min(cpus, len(files)), limit, fetching)) as results:
        bar = tqdm(results, desc="scanning", total=len(files), unit="file", disable=not progress)
        rows = dict(bar)
    return ScanReport(tuple(rows[number] for number in range(len(files))))


def _in_words(row: ScanRow) -> str:
    promised = "" if row.frames_promised is None else f" of {row.frames_promised}"
    return f"{shown(row.path)}: {row.error or 'damaged'} ({row.frames_decoded}{promised} frames decoded)"


def _find_videos(paths: Iterable[str | PathLike[str]], fetching: Fetching | None) -> list[str]:
    """Return each file once, directories searched; one without videos stays in the list, to get its row."""
    found: dict[str, str] = {}
    for path in paths:
        if not isinstance(path, str | PathLike):
            raise TypeError(f"scan_videos takes paths, not {type(path).__name__}: {outline(path)}")
        name = source_name(path)
        inside = videos_in(Path(name)) if is_directory(name, fetching) else []
        for file in inside or [name]:
            found.setdefault(file if is_url(file) else os.path.abspath(file), file)
    return list(found.values())


def videos_in(directory: Path) -> list[str]:
    """Return the videos of a directory and all its folders, found by extension, in natural order."""
    names = []
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [os.path.join(folder, name) for name in files if _is_video(name)]
    # A folder may be called `data:`, and what is found in it still is a file.
    names = [source_name(Path(name)) if is_url(name) else name for name in names]
    return sorted(sorted(names), key=natural_key)


def _is_video(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_EXTENSIONS


def _scan_all(
    files: list[str], num_workers: int, limit: float, fetching: Fetching | None
) -> Generator[tuple[int, ScanRow]]:
    """Yield pairs of place in `files` and row, as they come; however it ends, no process is left."""
    jobs: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    results: queue.Queue[tuple[int, ScanRow] | Exception] = queue.Queue()
    for job in enumerate(files):
        jobs.put(job)
    num_threads = max(1, num_cpus() // max(1, num_workers))
    scanners = [_Scanner(limit, num_threads, fetching) for _ in range(num_workers)]
    threads = [threading.Thread(target=_feed, args=(each, jobs, results), daemon=True) for each in scanners]
    try:
        waiting.start(threads)
        for _ in files:
            result = waiting.take(results)
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        for scanner in scanners:
            scanner.close()
        waiting.join(threads)


def _feed(scanner: _Scanner, jobs: queue.SimpleQueue[tuple[int, str]], results: queue.Queue[Any]) -> None:
    """Scan files until there are none left; this thread only waits for the process."""
    try:
        while True:
            number, path = jobs.get_nowait()
            results.put((number, scanner.scan(path)))
    except queue.Empty:
        pass
    except Exception as error:
        results.put(error)


class _Scanner:
    """A child process that scans one file after another; when it dies, the next file gets a new one."""

    def __init__(self, limit: float, num_threads: int, fetching: Fetching | None):
        # Secrets go through a pipe: arguments and the environment of a process are there for all to see.
        self._job = limit, num_threads, base64.b64encode(pickle.dumps(fetching)).decode()
        self._child: Child | None = None
        self._is_closed, self._lock = False, new_lock()

    def scan(self, path: str) -> ScanRow:
        child, begin = self._started(), time.perf_counter()
        try:
            found = child.ask([path, *self._job], seconds=self._job[0])
        except ChildError as error:
            found = {"ok": False, "error": str(error)}
        damaged = tuple(found.pop("damaged_frames", ()))
        seconds = time.perf_counter() - begin
        return ScanRow(public_name(path), damaged_frames=damaged, seconds=seconds, **found)

    def close(self) -> None:
        """End the process, even in the middle of a file that another thread waits for."""
        with self._lock:
            self._is_closed = True
        if self._child is not None:
            self._child.close()

    def _started(self) -> Child:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the scan was stopped")
            if self._child is None or not self._child.is_alive:
                if self._child is not None:
                    self._child.close()
                self._child = Child(f"{__name__}:_answers", name="the decoder")
        try:
            self._child.greeting()
        except ChildError as error:
            raise RuntimeError(
                f"no process can be started to decode in; {sys.executable} says: {error}"
            ) from None
        return self._child


# --- in the child ---


def _answers() -> tuple[None, Callable[[list[Any]], dict[str, Any]]]:
    return None, lambda job: _scan(*job)


def _scan(path: str, limit: float, num_threads: int, fetching: str) -> dict[str, Any]:
    """Return what is known of one file; this process ends itself where even the threads of Python hang."""
    faulthandler.dump_traceback_later(min(limit + _GRACE_SECONDS, 1e6), exit=True)
    try:
        return _decode(path, num_threads, pickle.loads(base64.b64decode(fetching)))
    except Exception as error:  # anything wrong with a file belongs in its row
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}
    finally:
        faulthandler.cancel_dump_traceback_later()


def _decode(path: str, num_threads: int, fetching: Fetching | None) -> dict[str, Any]:
    if is_directory(path, fetching):
        raise FileNotFoundError(f"there are no videos in the directory {printable(path)}")
    intact, decoded, error = set(), 0, None
    with VideoReader(path, num_threads=num_threads, fetching=fetching) as reader:
        try:
            for number, is_corrupt in reader.decode_all():
                decoded += 1
                if not is_corrupt:
                    intact.add(number)
        except VideoError as failure:
            error = f"{type(failure).__name__}: {failure}"
        promise = reader.check_header()
        promised, error = max(promise.num_frames, len(reader)), error or promise.trouble
        damaged = sorted(set(range(promised)) - intact)
        return {
            "ok": not damaged and error is None,
            "frames_promised": promised,
            "frames_decoded": decoded,
            "damaged_frames": damaged,
            "is_variable_rate": reader.info.is_variable_rate,
            "engine": reader.index.engine,
            "reason": reader.index.reason,
            "error": error,
        }
