"""Many cameras become video files at once, while they deliver frames."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np

from ..base import LockFile, checked_seconds, new_lock, one_of, positive_integer, survive_forks, waiting
from ..errors import EncodeError, printable
from .encoders import usual_suffix
from .pixels import FrameStats, Picture, RunningStats, as_picture, picture_to_rgb
from .writer import VideoWriter, check_writer_options

_log = logging.getLogger("pvio_lab")
# The first dropped frame is worth a warning, and from then on every tenth.
_WARN_EVERY = 10
_PIECE_SECONDS = 0.2  # on Windows a longer wait cannot be interrupted
_LOOK_SECONDS = 0.002  # between looks for room


@dataclass(frozen=True)
class EpisodeVideo:
    """One camera of an episode that was recorded."""

    path: Path | None
    """The file; None if there were no frames, or if the encoder has failed. It is named after the camera,
    unless another file of that name has come in the meantime: then it has a number, as `front (2).mp4`."""
    num_frames: int
    """The number of its frames."""
    dropped_frames: int
    """The number of frames that came while the queue was full, and are not in it."""
    stats: FrameStats | None
    """The distribution of its colours; None if there is no file."""
    error: EncodeError | None = None
    """The reason why there is no file."""


class StreamingVideoEncoder:
    """A recorder of many cameras at once: each has a queue, a thread and an encoder of its own.

    >>> import tempfile
    >>> import numpy as np
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
        wait_seconds: How long `feed_frame` may wait for room before it drops; not at all when left out.
        **writer_options: More options, as for `VideoWriter`, except that a file that is there is not replaced
            unless `overwrite=True` says so: it may be an earlier episode.

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
        wait_seconds: float | None = None,
        **writer_options: Any,
    ):
        self._queue_size = positive_integer(queue_size, "queue_size")
        blocks = one_of(when_full, ("drop", "block"), "when_full") == "block"
        self._patience = None if blocks else _patience(wait_seconds)
        self._suffix = usual_suffix(codec)
        self._fps = check_writer_options(self._suffix, fps, codec=codec, **writer_options)
        self._options = {"codec": codec, "overwrite": False, **writer_options}
        self._cameras: dict[str, Camera] = {}
        self._new_folders: list[Path] = []
        self._is_closed = False
        self._end = weakref.finalize(self, _cancel, self._cameras)

    def start_episode(self, keys: Iterable[str], directory: str | os.PathLike[str]) -> None:
        """Begin to record: one file for each key, named after it. The directory is made if it is not there.

        Give each episode a directory of its own.

        Raises:
            FileExistsError: There is a file, or another recorder is at work on it.
            NotADirectoryError: The directory is a file.
            RuntimeError: An episode is running.
            ValueError: A key cannot be the name of a file; two are the same, or differ only in case; or there
                are none.
        """
        if self._is_closed:
            raise RuntimeError("this recorder is closed; make a new one")
        if self._cameras:
            raise RuntimeError("an episode is running: call finish_episode() or cancel_episode() first")
        names, folder = _checked(keys), Path(directory)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{printable(folder)} is a file; give the name of a folder")
        self._new_folders = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for key in names:
                self._cameras[key] = self._new_camera(key, folder / f"{key}{self._suffix}")
        except BaseException:
            self.cancel_episode()
            raise

    def _new_camera(self, key: str, place: Path) -> Camera:
        claim = LockFile(place)
        if not claim.acquire():
            raise FileExistsError(
                f"{printable(place)} is being recorded by {claim.holder()}; "
                "give each episode a directory of its own"
            )
        try:
            return Camera(key, VideoWriter(place, self._fps, **self._options), claim, self._queue_size)
        except FileExistsError as error:
            claim.release()
            raise FileExistsError(f"{error}; better give each episode a directory of its own") from None
        except BaseException:
            claim.release()
            raise

    def feed_frame(self, key: str, image: Any) -> None:
        """Record a frame of this camera: any picture that `VideoWriter` takes. It is copied at once.

        Raises:
            EncodeError: The encoder of this camera has failed; the others continue.
            RuntimeError: No episode is running.
            TypeError: It is not a picture.
            ValueError: There is no such camera, or the frame has another size or numbers out of range.
        """
        cameras = self._running()
        if key not in cameras:
            raise ValueError(f"there is no camera {key!r} in this episode; there are {', '.join(cameras)}")
        cameras[key].feed(image, self._patience)

    def finish_episode(self) -> dict[str, EpisodeVideo]:
        """Complete the files. A camera that failed, or has no frames, has none; the others have theirs.

        Raises:
            RuntimeError: No episode is running.
        """
        cameras = self._running()
        for camera in cameras.values():
            camera.stop()
        for camera in cameras.values():
            camera.wait()
        videos = {key: camera.result() for key, camera in cameras.items()}
        self._cameras.clear()
        self._new_folders.clear()
        for key, video in videos.items():
            if video.error is not None:
                _log.error("camera %r has no file: %s", key, video.error)
        return videos

    def cancel_episode(self) -> None:
        """End the episode, if one is running, and leave no file of it; older files stay as they were."""
        _cancel(self._cameras)
        with suppress(OSError):  # one that is not empty
            for folder in self._new_folders:
                folder.rmdir()

    def close(self) -> None:
        """Finish an episode that is running. May be called twice."""
        self._is_closed = True
        if self._cameras:
            self.finish_episode()

    def __enter__(self) -> StreamingVideoEncoder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.cancel_episode()
        self.close()

    def _running(self) -> dict[str, Camera]:
        cameras = dict(self._cameras)
        if not cameras:
            raise RuntimeError("no episode is running: call start_episode() first")
        return cameras

    def __repr__(self) -> str:
        recording = ", ".join(self._cameras) or "nothing"
        return f"StreamingVideoEncoder({float(self._fps):g} frames/s, recording {recording})"


class Camera:
    """One camera of an episode: a queue, a thread that empties it, and an encoder.

    Args:
        key: Its name.
        writer: Writes its frames.
        claim: Keeps other recorders away from the file; released in the end.
        queue_size: How many frames may wait.
    """

    def __init__(self, key: str, writer: VideoWriter, claim: LockFile, queue_size: int):
        self._key, self._writer, self._claim = key, writer, claim
        self._queue: queue.Queue[Picture | None] = queue.Queue(queue_size)  # None at the end
        self._feeding = new_lock()  # held while something is put into the queue
        self._stats = RunningStats()
        self._shape: tuple[int, ...] | None = None
        self._dropped = 0
        self._error: Exception | None = None
        self._is_stopping = self._is_cancelled = False
        # An interrupted join would take the thread for ended; so this is waited for.
        self._is_done = threading.Event()
        self._owner = os.getpid()
        survive_forks(self)
        self._thread = threading.Thread(target=self._run, name=f"recording {key}", daemon=True)
        waiting.start([self._thread])

    def feed(self, image: Any, patience: float | None) -> None:
        """Put a copy of the frame into the queue, or count it as dropped after so many seconds."""
        array, channels_first = as_picture(image)
        with self._feeding:
            if self._error is not None:
                raise self._failure() from self._error
            self._check_open()
            if self._shape is None:
                height, width = array.shape[1:] if channels_first else array.shape[:2]
                self._writer.check_size(width, height)
                self._shape = array.shape
            elif array.shape != self._shape:
                raise ValueError(
                    f"a frame of {self._key!r} is {array.shape}, and those before it are {self._shape}"
                )
            if patience is None or self._wait_for_room(patience):
                self._put((np.array(array), channels_first))
                return
            self._dropped += 1
            if self._dropped == 1 or self._dropped % _WARN_EVERY == 0:
                message = "camera %r: %d dropped so far, the encoder is too slow"
                _log.warning(message, self._key, self._dropped)

    def stop(self) -> None:
        """End the queue. May be called twice."""
        with self._feeding:
            if not (self._is_stopping or self._is_cancelled):
                self._put(None)
                self._is_stopping = True

    def wait(self) -> None:
        """Wait until all frames are written."""
        while not self._is_done.wait(_PIECE_SECONDS):
            pass

    def result(self) -> EpisodeVideo:
        """Give the file its name, after `wait`, and return what became of it."""
        if self._error is None and self._stats.count:
            self._guard(partial(self._writer.close, or_beside=True))
        self._claim.release()
        if self._error is not None:
            return EpisodeVideo(None, 0, self._dropped, None, self._failure())
        stats, path = self._stats.result(), self._writer.path
        return EpisodeVideo(path if stats else None, self._stats.count, self._dropped, stats)

    def cancel(self) -> None:
        """End without a file."""
        if threading.current_thread() is self._thread:  # by the garbage collector, which may run anywhere
            threading.Thread(target=self.cancel, daemon=True).start()
            return
        self._is_cancelled = True
        with suppress(queue.Full):
            self._queue.put_nowait(None)  # the thread may be waiting for a frame
        self._writer.cancel()  # or for ffmpeg
        self.wait()
        self._claim.release()

    def after_fork(self) -> None:
        """Leave the thread to the parent: there is nothing to wait for here."""
        message = f"process {os.getpid()} was forked from {self._owner}, which alone records it"
        self._error = RuntimeError(message)
        self._queue = queue.Queue(1)
        self._is_done, self._is_cancelled = threading.Event(), True
        self._is_done.set()

    def _check_open(self) -> None:
        if self._is_stopping or self._is_cancelled:
            raise RuntimeError(f"the episode of {self._key!r} has ended; this frame comes too late")

    def _wait_for_room(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self._queue.full() and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        return not self._queue.full()

    def _put(self, item: Picture | None) -> None:
        """Wait for room, which the thread makes, unless the episode is cancelled."""
        while True:
            with suppress(queue.Full):
                return self._queue.put(item, timeout=_PIECE_SECONDS)
            self._check_open()

    def _run(self) -> None:
        try:
            for picture in iter(self._queue.get, None):
                if self._is_cancelled:
                    break
                if self._error is None:  # after an error, frames are still taken from the queue
                    self._guard(partial(self._write, picture))
            if self._is_cancelled:
                self._error = self._error or RuntimeError("the episode was cancelled")
            elif self._stats.count and self._error is None:
                self._guard(self._writer.complete)
        finally:
            if self._error is not None or not self._stats.count:
                self._writer.cancel()
            self._is_done.set()

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._error = error
            self._writer.cancel()

    def _write(self, picture: Picture) -> None:
        pixels = picture_to_rgb(picture)
        self._writer.append(pixels)
        self._stats.add(pixels)

    def _failure(self) -> EncodeError:
        return EncodeError(f"camera {self._key!r} is no longer recorded: {self._error}")


def _patience(wait_seconds: float | None) -> float:
    return 0.0 if wait_seconds is None else checked_seconds(wait_seconds, "wait_seconds")


def _cancel(cameras: dict[str, Camera]) -> None:
    """End the episode at once, even for threads that feed it; then end each camera."""
    taken = list(cameras.values())
    cameras.clear()
    for camera in taken:
        camera.cancel()


def _checked(keys: Iterable[str]) -> list[str]:
    if isinstance(keys, str):
        raise TypeError(f"keys={keys!r} must be a list of names, such as [{keys!r}]")
    names = list(keys)
    for name in names:
        if not isinstance(name, str) or not name or name.startswith(".") or set(name) & set("/\\:\0"):
            raise ValueError(
                f"key {name!r} cannot be the name of a file; leave out slashes, colons and a first dot"
            )
    if not names or len({_as_file_systems_see(name) for name in names}) < len(names):
        raise ValueError(f"keys={names!r} must be at least one, and different even where case is ignored")
    return names


def _as_file_systems_see(name: str) -> str:
    """'Front' -> 'front': some ignore case, and the ways to compose an accent."""
    return normalize("NFC", normalize("NFC", name).casefold())
