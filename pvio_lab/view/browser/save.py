"""Saving from a frame browser: marks, the frame that is shown, and a range of frames."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from ...base import Partial, Target, clear_partials, free_path, integer
from ...errors import printable
from ...marks import AutoSave, Marks, marked_video
from ...read import Frames, frame_numbers
from ...write import MUXERS, VideoWriter, suffix_of
from .source import Track

# So many frames are read at a time, and so many are in memory.
_BATCH = 4
_LEAST_DIGITS = 6
# The codecs of such files; others get h264.
_CODECS = {".webm": "vp9", ".avi": "mjpeg", ".gif": "gif"}


class TellProgress(Protocol):
    """A function that shows the progress of an export."""

    def __call__(self, done: int, total: int, *, is_over: bool) -> None:
        """Show that so many frames are written."""


class SaveActions:
    """Files of one video: marks beside it, pictures and clips in the working folder of the notebook.

    One export runs at a time, in a thread of its own.

    Args:
        track: The video.
        marks: Its marks.
        tell_saved: Called with the state of the marks, as `AutoSave` has it.
        tell_progress: Called with the progress of an export.
        note: Called with a sentence about what was saved.
        fail: Called with an exception in an export.
    """

    def __init__(
        self,
        track: Track,
        marks: Marks,
        tell_saved: Callable[[dict[str, Any]], None],
        tell_progress: TellProgress,
        note: Callable[[str], None],
        fail: Callable[[Exception], None],
    ):
        self._track, self._marks = track, marks
        self._tell_progress, self._note, self._fail = tell_progress, note, fail
        self._export: threading.Thread | None = None
        self._is_cancelled = threading.Event()
        self.keeper = AutoSave(marks, marked_video(track.reader), tell_saved)
        """Reads and saves the marks."""

    @property
    def answers(self) -> dict[str, Callable[..., object]]:
        """The actions that the page can ask for, by name."""
        marks = self._marks
        return {
            "mark": marks.add_frame,
            "mark_range": marks.add_range,
            "unmark": marks.remove_frame,
            "unmark_range": marks.remove_range,
            "rename": marks.rename,
            "recolour": marks.recolour,
            "undo": marks.undo,
            "redo": marks.redo,
            "save_marks": partial(self.keeper.save, always=True),
            "load_marks": self.keeper.load,
            "answer": self.keeper.answer,
            "save_frame": self.save_frame,
            "export": self.export,
            "cancel": self._is_cancelled.set,
        }

    def save_frame(self, index: int) -> None:
        """Write this frame as PNG, under a name that is free."""
        path = free_path(f"{Path(self._track.name).stem}_{index:06}.png")
        self._note(f"saved: {printable(save_frame(self._track.reader, index, path))}")

    def export(self, start: int, stop: int, path: str) -> None:
        """Begin to write these frames; if there is something of this name, to the next one that is free.

        Raises:
            ValueError: Another export is running.
        """
        if self._export is not None and self._export.is_alive():
            raise ValueError("an export is running: wait for its end, or cancel it")
        self._is_cancelled.clear()
        self._export = threading.Thread(
            target=self._write, args=(start, stop, path), name="pvio_lab export", daemon=True
        )
        self._export.start()

    def wait(self, seconds: float) -> None:
        """Wait for the end of an export, but no longer than this."""
        if self._export is not None and self._export is not threading.current_thread():
            self._export.join(seconds)

    def close(self) -> None:
        """Save the marks, and cancel an export."""
        self.keeper.close()
        self._is_cancelled.set()
        self.wait(10)

    def _write(self, start: int, stop: int, path: str) -> None:
        try:
            written = export_range(
                self._track.reader,
                start,
                stop,
                free_target(path),
                progress=partial(self._tell_progress, is_over=False),
                is_cancelled=self._is_cancelled.is_set,
            )
            self._note(f"saved: {printable(written)}")
        except Cancelled:
            self._note("cancelled; nothing was written")
        except Exception as error:
            self._fail(error)
        finally:
            self._tell_progress(0, 1, is_over=True)


class Cancelled(Exception):
    """An export was cancelled; nothing is left of it."""


def save_frame(reader: Any, index: int, path: str | os.PathLike[str]) -> Path:
    """Write one frame to a new PNG file, pixel by pixel as it is read, and return its path.

    Args:
        reader: A `VideoReader` or an `ImageSequence`.
        index: The number of the frame; negative counts from the end.
        path: The file, which ends in .png.

    Raises:
        DecodeError: The frame cannot be decoded.
        FileExistsError: There is such a file.
        FileNotFoundError: There is no folder for the file.
        IndexError: There is no such frame.
        ValueError: The name does not end in .png.
    """
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
    its name when it is complete.

    Args:
        reader: A `VideoReader` or an `ImageSequence`; it may be in use by other threads meanwhile.
        start: The first frame; negative counts from the end, as in a slice.
        stop: One past the last frame, or None for all; as in a slice.
        path: The file, or the directory, which must not be there yet or be empty.
        progress: Called as `progress(done, total)` after each frame.
        is_cancelled: Called before each frame, and before the file gets its name; True ends the export.

    Returns:
        The path of the file or directory.

    Raises:
        Cancelled: `is_cancelled` has returned True. Nothing is left.
        DecodeError: A frame cannot be decoded.
        EncodeError: ffmpeg has failed; with its own words.
        FileExistsError: There is something of this name.
        FileNotFoundError: There is no folder to write to.
        ValueError: There are no such frames, or they cannot be written to such a file.
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


def _writer(reader: Any, first: int, path: str | os.PathLike[str]) -> VideoWriter | _Pictures:
    suffix = suffix_of(Path(path))
    if not suffix or os.fspath(path).endswith(("/", os.sep)) or Path(path).is_dir():
        return _Pictures(path, first, max(_LEAST_DIGITS, len(str(len(reader) - 1))))
    if suffix not in MUXERS:
        raise ValueError(
            f"{printable(path)} ends in {suffix}, which is not a kind of video file; "
            f"there are {', '.join(MUXERS)}; "
            "a slash at the end makes a directory of PNG files"
        )
    return VideoWriter(path, reader.fps, overwrite=False, codec=_CODECS.get(suffix, "h264"))


class _Pictures:
    """A writer of PNG files to a directory, like `VideoWriter`: the directory is complete, or not there."""

    def __init__(self, path: str | os.PathLike[str], first: int, digits: int):
        self._place = Path(os.path.realpath(path))  # a link stays, and leads to the new directory
        self._check()
        clear_partials(self._place.parent, self._place.name)
        self._partial = Partial(self._place, is_folder=True)
        self._number, self._digits = first, digits

    def append(self, frame: Frames) -> None:
        """Write the next frame."""
        Image.fromarray(frame).save(self._partial.path / f"frame_{self._number:0{self._digits}}.png")
        self._number += 1

    def complete(self) -> None:
        """Do nothing: all frames are written."""

    def __enter__(self) -> _Pictures:
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
