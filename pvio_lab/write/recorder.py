"""Many cameras become video files at once, while they deliver."""

from __future__ import annotations

import logging
import os
import queue
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import EncodeError
from ..read.numbers import positive_integer
from .options import usual_suffix
from .pixels import as_picture, check_range, picture_to_rgb
from .stats import FrameStats, RunningStats
from .writer import VideoWriter, check_writer_options

_log = logging.getLogger("pvio_lab")
# The first dropped frame is worth a warning, and from then on every tenth.
_WARN_EVERY = 10
# An encoder that takes longer than this to give up a frame is ended.
_PATIENCE_SECONDS = 5.0

Picture = tuple[NDArray[Any], bool]
"""An array of three dimensions, and whether channels come first."""


@dataclass(frozen=True)
class EpisodeVideo:
    """What became of one camera of an episode."""

    path: Path | None
    """The file; None if there were no frames, or if the encoder has failed."""
    num_frames: int
    """How many frames it has."""
    dropped_frames: int
    """How many frames came while the queue was full, and are not in it."""
    stats: FrameStats | None
    """How its colours are distributed; None if there is no file."""
    error: EncodeError | None = None
    """Why there is no file."""


class StreamingVideoEncoder:
    """Records many cameras at once: each has a queue, a thread and an encoder of its own.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, StreamingVideoEncoder(30) as recorder:
    ...     recorder.start_episode(["front", "wrist"], folder)
    ...     for number in range(3):
    ...         recorder.feed_frame("front", np.zeros((48, 64, 3), np.uint8))
    ...     videos = recorder.finish_episode()
    >>> videos["front"].num_frames, videos["wrist"].path is None
    (3, True)

    Leaving the `with` block finishes an episode that is still running; leaving it by an exception cancels it.

    Args:
        fps: Frames a second.
        codec: As for `VideoWriter`.
        queue_size: How many frames may wait for each encoder.
        when_full: "drop" leaves out frames that come while the queue is full, and counts them; "block" waits.
        **writer_options: More options, as for `VideoWriter`.

    Raises:
        EncodeError: The encoder does not work here.
        TypeError: There is no such option.
        ValueError: An option has no such value.
    """

    def __init__(
        self,
        fps: float | Fraction,
        *,
        codec: str = "h264",
        queue_size: int = 30,
        when_full: Literal["drop", "block"] = "drop",
        **writer_options: Any,
    ):
        if when_full not in ("drop", "block"):
            raise ValueError(f"when_full={when_full!r} must be 'drop' or 'block'")
        self._queue_size = positive_integer(queue_size, "queue_size")
        self._when_full = when_full
        self._suffix = usual_suffix(codec)
        self._fps = check_writer_options(self._suffix, fps, codec=codec, **writer_options)
        self._options = {"codec": codec, **writer_options}
        self._cameras: dict[str, _Camera] = {}
        self._new_folder: Path | None = None
        self._is_closed = False
        self._end = weakref.finalize(self, _cancel, self._cameras)

    def start_episode(self, keys: Iterable[str], directory: str | os.PathLike[str]) -> None:
        """Begins to record: one file for each key, named after it. The directory is made if it is not there.

        Raises:
            FileExistsError: There is a file, and `overwrite=False`.
            RuntimeError: An episode is running.
            ValueError: A key cannot be the name of a file, or comes twice, or there are none.
        """
        if self._is_closed:
            raise RuntimeError("this recorder is closed; make a new one")
        if self._cameras:
            raise RuntimeError("an episode is running: call finish_episode() or cancel_episode() first")
        names = _checked(keys)
        folder = Path(directory)
        self._new_folder = None if folder.exists() else folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for key in names:
                writer = VideoWriter(folder / f"{key}{self._suffix}", self._fps, **self._options)
                self._cameras[key] = _Camera(key, writer, self._queue_size)
        except BaseException:
            self.cancel_episode()
            raise

    def feed_frame(self, key: str, image: Any) -> None:
        """Takes a frame of this camera: any picture that `VideoWriter` takes. It is copied at once.

        Raises:
            EncodeError: The encoder of this camera has failed; the others go on.
            RuntimeError: No episode is running.
            TypeError: It is no picture.
            ValueError: There is no such camera, or the frame has another size or numbers out of range.
        """
        if not self._cameras:
            raise RuntimeError("no episode is running: call start_episode() first")
        camera = self._cameras.get(key)
        if camera is None:
            raise ValueError(
                f"there is no camera {key!r} in this episode; there are {', '.join(self._cameras)}"
            )
        camera.feed(image, block=self._when_full == "block")

    def finish_episode(self) -> dict[str, EpisodeVideo]:
        """Completes the files. A camera that failed, or has no frames, has none; the others have theirs.

        Raises:
            RuntimeError: No episode is running.
        """
        if not self._cameras:
            raise RuntimeError("no episode is running: call start_episode() first")
        for camera in self._cameras.values():
            camera.stop()
        videos = {key: camera.result() for key, camera in self._cameras.items()}
        self._cameras.clear()
        for key, video in videos.items():
            if video.error is not None:
                _log.error("camera %r has no file: %s", key, video.error)
        return videos

    def cancel_episode(self) -> None:
        """Ends the episode, if one is running, and leaves no file of it; older files stay as they were."""
        _cancel(self._cameras)
        if self._new_folder is not None:
            with suppress(OSError):  # it is not empty
                self._new_folder.rmdir()

    def close(self) -> None:
        """Finishes an episode that is running. May be called twice."""
        self._is_closed = True
        if self._cameras:
            self.finish_episode()

    def __enter__(self) -> StreamingVideoEncoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.cancel_episode()
        self.close()

    def __repr__(self) -> str:
        recording = ", ".join(self._cameras) or "nothing"
        return f"StreamingVideoEncoder({float(self._fps):g} frames/s, recording {recording})"


class _Camera:
    """One camera of an episode: its queue, and the thread that empties it."""

    def __init__(self, key: str, writer: VideoWriter, queue_size: int):
        self._key, self._writer = key, writer
        self._queue: queue.Queue[Picture | None] = queue.Queue(queue_size)
        self._stats = RunningStats()
        self._shape: tuple[int, ...] | None = None
        self._dropped = 0
        self._error: Exception | None = None
        self._is_stopping, self._is_cancelled = False, threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"recording {key}", daemon=True)
        self._thread.start()

    def feed(self, image: Any, *, block: bool) -> None:
        """Puts a copy of the frame into the queue, or counts it as dropped."""
        if self._error is not None:
            raise self._failure() from self._error
        array, channels_first = as_picture(image)
        check_range(array)
        if self._shape is None:
            height, width = array.shape[1:] if channels_first else array.shape[:2]
            self._writer.check_size(width, height)
            self._shape = array.shape
        elif array.shape != self._shape:
            raise ValueError(
                f"a frame of {self._key!r} is {array.shape}, and those before it are {self._shape}"
            )
        if self._queue.full() and not block:
            self._drop()
            return
        self._put((np.array(array), channels_first))

    def stop(self) -> None:
        """No more frames will come. May be called twice."""
        if not self._is_stopping:
            self._put(None)
            self._is_stopping = True

    def result(self) -> EpisodeVideo:
        """Waits until the file is complete."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # on Windows a longer wait cannot be interrupted
        if self._error is not None:
            return EpisodeVideo(None, 0, self._dropped, None, self._failure())
        stats = self._stats.result()
        path = self._writer.path if stats else None
        return EpisodeVideo(path, self._writer.num_frames, self._dropped, stats)

    def cancel(self) -> None:
        """Ends without a file."""
        self._is_cancelled.set()
        with suppress(queue.Full):
            self._queue.put_nowait(None)  # it may be waiting
        self._thread.join(_PATIENCE_SECONDS)
        self._writer.cancel()
        self._thread.join()

    def _put(self, item: Picture | None) -> None:
        """Waits for a place in short pieces; the thread makes some, whatever happens to it."""
        while True:
            with suppress(queue.Full):
                return self._queue.put(item, timeout=0.2)

    def _drop(self) -> None:
        self._dropped += 1
        if self._dropped == 1 or self._dropped % _WARN_EVERY == 0:
            _log.warning("camera %r: %d dropped so far, the encoder is too slow", self._key, self._dropped)

    def _run(self) -> None:
        for picture in iter(self._queue.get, None):
            if self._is_cancelled.is_set():
                break
            if self._error is None:  # after an error, frames are taken from the queue all the same
                self._guard(self._write, picture)
        if self._is_cancelled.is_set() or self._error is not None or not self._writer.num_frames:
            self._writer.cancel()
        else:
            self._guard(self._writer.close)

    def _guard(self, action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except Exception as error:
            self._error = error
            self._writer.cancel()

    def _write(self, picture: Picture) -> None:
        pixels = picture_to_rgb(*picture)
        self._writer.append(pixels)
        self._stats.add(pixels)

    def _failure(self) -> EncodeError:
        return EncodeError(f"camera {self._key!r} is no longer recorded: {self._error}")


def _cancel(cameras: dict[str, _Camera]) -> None:
    while cameras:
        cameras.popitem()[1].cancel()


def _checked(keys: Iterable[str]) -> list[str]:
    if isinstance(keys, str):
        raise TypeError(f"keys={keys!r} must be a list of names, such as [{keys!r}]")
    names = list(keys)
    for name in names:
        if not isinstance(name, str) or not name or name.startswith(".") or set(name) & set("/\\:\0"):
            raise ValueError(
                f"key {name!r} cannot be the name of a file; leave out slashes, colons and a first dot"
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"keys={names!r} must be different names, at least one")
    return names
