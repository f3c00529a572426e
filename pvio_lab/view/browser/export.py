"""Frames that a frame browser writes to files: one as PNG, a range as a video, an animation or PNG files."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from PIL import Image

from ...base import Partial, Target, clear_partials, free_path, integer
from ...errors import printable
from ...read import Frames, frame_numbers
from ...write import MUXERS, VideoWriter, suffix_of

# So many frames are read at a time, and so many are in memory.
_BATCH = 4
_LEAST_DIGITS = 6
# The codecs of such files; others get h264.
_CODECS = {".webm": "vp9", ".avi": "mjpeg", ".gif": "gif"}


class Cancelled(Exception):
    """An export was cancelled; nothing is left of it."""


class Export:
    """Exports from one video, one at a time, in a thread: it reports `progress`, then a `note` or `fail`."""

    def __init__(
        self,
        reader: Any,
        progress: Callable[[int, int, bool], None],
        note: Callable[[str], None],
        fail: Callable[[Exception], None],
    ):
        self._reader, self._progress, self._note, self._fail = reader, progress, note, fail
        self._thread: threading.Thread | None = None
        self._is_cancelled = threading.Event()

    def start(self, start: int, stop: int, path: str) -> None:
        """Begin to write these frames; if there is something of this name, to the next one that is free."""
        if self._thread is not None and self._thread.is_alive():
            raise ValueError("an export is running: wait for its end, or cancel it")
        self._is_cancelled.clear()
        job = (start, stop, path)
        self._thread = threading.Thread(target=self._write, args=job, name="pvio_lab export", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End an export that is running; nothing is left of it."""
        self._is_cancelled.set()

    def wait(self, seconds: float) -> None:
        """Wait for the end of an export, but no longer than this."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _write(self, start: int, stop: int, path: str) -> None:
        try:
            written = export_range(
                self._reader,
                start,
                stop,
                free_target(path),
                progress=lambda done, total: self._progress(done, total, False),
                is_cancelled=self._is_cancelled.is_set,
            )
            self._note(f"saved: {printable(written)}")
        except Cancelled:
            self._note("cancelled; nothing was written")
        except Exception as error:
            self._fail(error)
        finally:
            self._progress(0, 1, True)


def save_frame(reader: Any, index: int, path: str | os.PathLike[str]) -> Path:
    """Write one frame to a new PNG file, pixel by pixel as it is read, and return its path."""
    if suffix_of(Path(path)) != ".png":
        raise ValueError(
            f"{printable(path)} must end in .png: a single frame is saved as a PNG file, without any loss"
        )
    frame = reader[integer(index, "index")]
    with Target(path, overwrite=False) as target:
        Image.fromarray(frame).save(target.partial, "PNG")
        target.commit()
    return Path(path)


def export_range(
    reader: Any,
    start: int,
    stop: int | None,
    path: str | os.PathLike[str],
    *,
    progress: Callable[[int, int], object] = lambda done, total: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Write some frames to a video, an animation, or a directory of PNG files, with flat memory.

    The extension decides: .mp4, .mkv, .webm and the others of `VideoWriter` make a video, .gif an animation,
    at the frame rate of the reader, which for a video of variable rate is the average. A name without an
    extension, or with a slash at its end, makes a directory of files such as frame_000012.png, with the
    number that the frame has in the video, and exactly the pixels that are read. The result appears under
    its name when it is complete; nothing is replaced.

    `start` and `stop` are those of a slice. The reader may be in use by other threads meanwhile. `progress`
    is called after each frame, `is_cancelled` before each, and before the file gets its name: True raises
    `Cancelled`, and nothing is left.
    """
    numbers, _ = frame_numbers(slice(start, stop), len(reader))
    if not numbers.size:
        raise ValueError(f"there is no frame from {start} to {stop}: the video has {len(reader)} frames")
    first, end, total = int(numbers[0]), int(numbers[-1]) + 1, numbers.size

    def check(done: int) -> None:
        if is_cancelled():
            raise Cancelled(
                f"the export to {printable(path)} was cancelled after {done} of "
                f"{total} frames; nothing is left"
            )

    check(0)
    batches = reader.batches(_BATCH, start=first, stop=end)
    with closing(batches), _writer(reader, first, path) as writer:
        for done, frame in enumerate((frame for _, frames in batches for frame in frames), 1):
            check(done - 1)
            writer.append(frame)
            progress(done, total)
        writer.complete()
        check(total)
    return Path(path)


def free_target(path: str) -> str:
    """Return a path at which an export replaces nothing: this one, or the next that is free.

    >>> free_target("data_samples/shapes.mp4")
    'data_samples/shapes (2).mp4'

    A slash at the end, and a directory with nothing in it, stay.
    """
    end = "/" if path.endswith(("/", os.sep)) else ""
    is_empty = os.path.isdir(path) and not os.listdir(path)
    return path if is_empty or not path else f"{free_path(path)}{end}"


def _writer(reader: Any, first: int, path: str | os.PathLike[str]) -> VideoWriter | _PngFolder:
    suffix = suffix_of(Path(path))
    if not suffix or os.fspath(path).endswith(("/", os.sep)) or Path(path).is_dir():
        return _PngFolder(path, first, max(_LEAST_DIGITS, len(str(len(reader) - 1))))
    if suffix not in MUXERS:
        raise ValueError(
            f"{printable(path)} ends in {suffix}, which is not a kind of video file; "
            f"there are {', '.join(MUXERS)}; "
            "a slash at the end makes a directory of PNG files"
        )
    return VideoWriter(path, reader.fps, overwrite=False, codec=_CODECS.get(suffix, "h264"))


class _PngFolder:
    """A writer of PNG files to a directory, like `VideoWriter`: the directory is complete, or not there."""

    def __init__(self, path: str | os.PathLike[str], first: int, digits: int):
        self._place = Path(os.path.realpath(path))  # a link stays, and leads to the new directory
        self._check()
        clear_partials(self._place.parent, self._place.name)
        self._partial = Partial(self._place, is_folder=True)
        self._number, self._digits = first, digits

    def append(self, frame: Frames) -> None:
        Image.fromarray(frame).save(self._partial.path / f"frame_{self._number:0{self._digits}}.png")
        self._number += 1

    def complete(self) -> None:
        pass

    def __enter__(self) -> _PngFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._check()
                with suppress(FileNotFoundError):
                    self._place.rmdir()
                self._partial.rename(self._place, overwrite=False)
        finally:  # even if something has appeared under the name meanwhile
            self._partial.remove()

    def _check(self) -> None:
        if not self._place.parent.is_dir():
            raise FileNotFoundError(
                f"there is no folder {printable(self._place.parent)} to write to; make it first"
            )
        if self._place.exists() and not self._place.is_dir():
            raise FileExistsError(f"{printable(self._place)} is a file; give the name of a new directory")
        if self._place.is_dir() and any(self._place.iterdir()):
            raise FileExistsError(f"{printable(self._place)} is not empty; give the name of a new directory")
