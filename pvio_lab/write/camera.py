"""One camera of a recording: a queue, a thread that empties it, and an encoder."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import LockFile, new_lock, survive_forks
from ..errors import EncodeError
from .pixels import as_picture, check_range, picture_to_rgb
from .stats import FrameStats, RunningStats
from .writer import VideoWriter

_log = logging.getLogger("pvio_lab")
# The first dropped frame is worth a warning, and from then on every tenth.
_WARN_EVERY = 10

Picture = tuple[NDArray[Any], bool]
"""An array of three dimensions, and whether channels come first."""


@dataclass(frozen=True)
class EpisodeVideo:
    """What became of one camera of an episode."""

    path: Path | None
    """The file; None if there were no frames, or if the encoder has failed. It is named after the camera,
    unless another file of that name has come meanwhile: then it has a number, as `front (2).mp4`."""
    num_frames: int
    """How many frames it has."""
    dropped_frames: int
    """How many frames came while the queue was full, and are not in it."""
    stats: FrameStats | None
    """How its colours are distributed; None if there is no file."""
    error: EncodeError | None = None
    """Why there is no file."""


class Camera:
    """One camera of an episode.

    Args:
        key: Its name.
        writer: Takes its frames.
        claim: Keeps other recorders away from the file; released in the end.
        queue_size: How many frames may wait.
    """

    def __init__(self, key: str, writer: VideoWriter, claim: LockFile, queue_size: int):
        self._key, self._writer, self._claim = key, writer, claim
        self._queue: queue.Queue[Picture | None] = queue.Queue(queue_size)
        self._stats = RunningStats()
        self._shape: tuple[int, ...] | None = None
        self._dropped = 0
        self._error: Exception | None = None
        self._feeding = new_lock()
        """Held by whoever puts something into the queue; after the end nobody does."""
        self._is_stopping, self._is_cancelled = False, threading.Event()
        # Not the thread itself is waited for: an interrupted join would take it for ended.
        self._is_done = threading.Event()
        self._owner = os.getpid()
        survive_forks(self)
        self._thread = threading.Thread(target=self._run, name=f"recording {key}", daemon=True)
        self._thread.start()

    def feed(self, image: Any, *, block: bool) -> None:
        """Puts a copy of the frame into the queue, or counts it as dropped."""
        array, channels_first = as_picture(image)
        check_range(array)
        with self._feeding:
            if self._error is not None:
                raise self._failure() from self._error
            self._check_open()
            self._check_shape(array, channels_first)
            if self._queue.full() and not block:
                self._drop()
            else:
                self._put((np.array(array), channels_first))

    def stop(self) -> None:
        """No more frames will come. May be called twice."""
        with self._feeding:
            if not (self._is_stopping or self._is_cancelled.is_set()):
                self._put(None)
                self._is_stopping = True

    def wait(self) -> None:
        """Waits until all frames are written; in short pieces, because Windows interrupts no longer wait."""
        while not self._is_done.wait(0.2):
            pass

    def result(self) -> EpisodeVideo:
        """Gives the file its name, after `wait`."""
        if self._error is None and self._stats.count:
            self._guard(partial(self._writer.close, or_beside=True))
        self._claim.release()
        if self._error is not None:
            return EpisodeVideo(None, 0, self._dropped, None, self._failure())
        stats = self._stats.result()
        return EpisodeVideo(
            self._writer.path if stats else None, self._writer.num_frames, self._dropped, stats
        )

    def cancel(self) -> None:
        """Ends without a file."""
        if threading.current_thread() is self._thread:  # by the garbage collector, which may run anywhere
            threading.Thread(target=self.cancel, daemon=True).start()
            return
        self._is_cancelled.set()
        with suppress(queue.Full):
            self._queue.put_nowait(None)  # the thread may be waiting for a frame
        self._writer.cancel()  # or for ffmpeg
        self.wait()
        self._claim.release()

    def after_fork(self) -> None:
        """The thread stays with the parent; here there is nobody to wait for."""
        words = f"process {os.getpid()} was forked from {self._owner}, which alone records it"
        self._error = RuntimeError(words)
        self._queue = queue.Queue(1)
        self._is_done, self._is_cancelled = threading.Event(), threading.Event()
        self._is_done.set()
        self._is_cancelled.set()

    def _check_open(self) -> None:
        if self._is_stopping or self._is_cancelled.is_set():
            raise RuntimeError(f"the episode of {self._key!r} has ended; this frame comes too late")

    def _check_shape(self, array: NDArray[Any], channels_first: bool) -> None:
        if self._shape is None:
            height, width = array.shape[1:] if channels_first else array.shape[:2]
            self._writer.check_size(width, height)
            self._shape = array.shape
        elif array.shape != self._shape:
            raise ValueError(
                f"a frame of {self._key!r} is {array.shape}, and those before it are {self._shape}"
            )

    def _put(self, item: Picture | None) -> None:
        """Waits for a place in short pieces; the thread makes some, unless the episode is cancelled."""
        while True:
            with suppress(queue.Full):
                return self._queue.put(item, timeout=0.2)
            self._check_open()

    def _drop(self) -> None:
        self._dropped += 1
        if self._dropped == 1 or self._dropped % _WARN_EVERY == 0:
            _log.warning("camera %r: %d dropped so far, the encoder is too slow", self._key, self._dropped)

    def _run(self) -> None:
        try:
            for picture in iter(self._queue.get, None):
                if self._is_cancelled.is_set():
                    break
                if self._error is None:  # after an error, frames are taken from the queue all the same
                    self._guard(self._write, picture)
            if self._is_cancelled.is_set():
                self._error = self._error or RuntimeError("the episode was cancelled")
            elif self._stats.count and self._error is None:
                self._guard(self._writer.complete)
        finally:
            if self._error is not None or not self._stats.count:
                self._writer.cancel()
            self._is_done.set()

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
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
