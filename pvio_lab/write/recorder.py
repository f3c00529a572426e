"""Many cameras become video files at once, while they deliver."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from unicodedata import normalize

from ..base import LockFile, positive_integer
from ..errors import printable
from .camera import Camera, EpisodeVideo
from .options import usual_suffix
from .writer import VideoWriter, check_writer_options

_log = logging.getLogger("pvio_lab")


class StreamingVideoEncoder:
    """Records many cameras at once: each has a queue, a thread and an encoder of its own.

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
        **writer_options: Any,
    ):
        if when_full not in ("drop", "block"):
            raise ValueError(f"when_full={when_full!r} must be 'drop' or 'block'")
        self._queue_size = positive_integer(queue_size, "queue_size")
        self._when_full = when_full
        self._suffix = usual_suffix(codec)
        self._fps = check_writer_options(self._suffix, fps, codec=codec, **writer_options)
        self._options = {"codec": codec, "overwrite": False, **writer_options}
        self._cameras: dict[str, Camera] = {}
        self._new_folders: list[Path] = []
        self._is_closed = False
        self._end = weakref.finalize(self, _cancel, self._cameras)

    def start_episode(self, keys: Iterable[str], directory: str | os.PathLike[str]) -> None:
        """Begins to record: one file for each key, named after it. The directory is made if it is not there.

        Give each episode a directory of its own.

        Raises:
            FileExistsError: There is a file, or another recorder is at work on it.
            NotADirectoryError: The directory is a file.
            RuntimeError: An episode is running.
            ValueError: A key cannot be the name of a file; two are the same, perhaps but for upper and lower
                case; or there are none.
        """
        if self._is_closed:
            raise RuntimeError("this recorder is closed; make a new one")
        if self._cameras:
            raise RuntimeError("an episode is running: call finish_episode() or cancel_episode() first")
        names = _checked(keys)
        folder = Path(directory)
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
        """Takes a frame of this camera: any picture that `VideoWriter` takes. It is copied at once.

        Raises:
            EncodeError: The encoder of this camera has failed; the others go on.
            RuntimeError: No episode is running.
            TypeError: It is no picture.
            ValueError: There is no such camera, or the frame has another size or numbers out of range.
        """
        cameras = self._running()
        if key not in cameras:
            raise ValueError(f"there is no camera {key!r} in this episode; there are {', '.join(cameras)}")
        cameras[key].feed(image, block=self._when_full == "block")

    def finish_episode(self) -> dict[str, EpisodeVideo]:
        """Completes the files. A camera that failed, or has no frames, has none; the others have theirs.

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
        """Ends the episode, if one is running, and leaves no file of it; older files stay as they were."""
        _cancel(self._cameras)
        with suppress(OSError):  # one that is not empty
            for folder in self._new_folders:
                folder.rmdir()

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

    def _running(self) -> dict[str, Camera]:
        cameras = dict(self._cameras)
        if not cameras:
            raise RuntimeError("no episode is running: call start_episode() first")
        return cameras

    def __repr__(self) -> str:
        recording = ", ".join(self._cameras) or "nothing"
        return f"StreamingVideoEncoder({float(self._fps):g} frames/s, recording {recording})"


def _cancel(cameras: dict[str, Camera]) -> None:
    """From now on there is no episode, also for those who feed it; then each camera ends."""
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
        raise ValueError(
            f"keys={names!r} must be at least one, and different also where upper and lower case are the same"
        )
    return names


def _as_file_systems_see(name: str) -> str:
    """'Front' -> 'front': some know neither case nor the ways to compose an accent."""
    return normalize("NFC", normalize("NFC", name).casefold())
