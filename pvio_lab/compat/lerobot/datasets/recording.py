"""LeRobot's recorder of many cameras, and its guard of a recording."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ....errors import EncodeError
from ....write import EpisodeVideo
from ....write import StreamingVideoEncoder as _Recorder
from .writer_options import CRF, GOP, writer_options

logger = logging.getLogger(__name__)

_WAIT_SECONDS, _FINISH_SECONDS = 0.1, 120.0


class StreamingVideoEncoder:
    """A recorder of many cameras at once, each with a queue, an encoder and a folder of its own.

    What is different on purpose: floats are rounded, not cut off; a picture that does not fit is an error of
    `feed_frame`, before it is queued; a file appears when it is complete.
    """

    def __init__(
        self,
        fps: int,
        vcodec: str = "libsvtav1",
        pix_fmt: str = "yuv420p",
        g: int | None = GOP,
        crf: int | None = CRF,
        preset: int | None = None,
        queue_maxsize: int = 30,
        encoder_threads: int | None = None,
    ):
        from .video_utils import resolve_vcodec  # which stands on this module

        self.fps, self.vcodec, self.pix_fmt = fps, resolve_vcodec(vcodec), pix_fmt
        self.g, self.crf, self.preset = g, crf, preset
        self.queue_maxsize, self.encoder_threads = queue_maxsize, encoder_threads
        self._threads: dict[str, _Camera] = {}
        self._dropped_frames: dict[str, int] = {}
        self._episode_active = False

    def start_episode(self, video_keys: Sequence[str], temp_dir: Path) -> None:
        """Begin to record: each camera gets a new folder in `temp_dir`.

        An episode that is running is cancelled.
        """
        self.cancel_episode()
        self._dropped_frames.clear()
        for key in video_keys:
            folder = Path(tempfile.mkdtemp(dir=temp_dir))
            try:
                self._threads[key] = _Camera(self, key, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                self.cancel_episode()
                raise
        self._episode_active = True

    def feed_frame(self, video_key: str, image: Any) -> None:
        """Record a picture. If the queue stays full for 0.1 s, it is dropped, and counted.

        Raises:
            KeyError: There is no such camera.
            RuntimeError: No episode is running, or the encoder has failed.
            TypeError, ValueError: It is not a picture, or has another size than those before.
        """
        if not self._episode_active:
            raise RuntimeError("No active episode: call start_episode() first")
        camera = self._threads[video_key]
        try:
            camera.recorder.feed_frame(camera.name, image)
        except EncodeError as error:
            raise RuntimeError(f"Encoder thread for {video_key} crashed: {error}") from error

    def finish_episode(self) -> dict[str, tuple[Path, dict[str, Any] | None]]:
        """Complete the files. For each camera return its file, and the statistics of two or more frames.

        A camera that takes more than 120 s, or has no frames, has no file under that name.

        Raises:
            RuntimeError: No episode is running, or an encoder has failed; the other files are complete.
        """
        if not self._episode_active:
            raise RuntimeError("No active episode: there is nothing to finish")
        cameras, self._threads, self._episode_active = self._threads, {}, False
        with ThreadPoolExecutor(max(len(cameras), 1)) as pool:
            ends = {key: pool.submit(camera.recorder.finish_episode) for key, camera in cameras.items()}
            try:
                videos = {key: cameras[key].result(end) for key, end in ends.items()}
            except BaseException:  # Ctrl-C: the pool would wait for the encoders, however long they take
                self._threads = cameras
                self.cancel_episode()
                raise
        self._dropped_frames = {key: video.dropped_frames for key, video in videos.items() if video}
        for key, count in self._dropped_frames.items():
            if count:
                logger.warning("Episode finished with %d dropped frame(s) for %s", count, key)
        for key, video in videos.items():
            if video is not None and video.error is not None:
                raise RuntimeError(f"Encoder thread for {key} failed: {video.error}") from video.error
        return {key: (cameras[key].path, statistics_of(video)) for key, video in videos.items()}

    def cancel_episode(self) -> None:
        """End an episode that is running, and leave nothing of it."""
        cameras, self._threads, self._episode_active = self._threads, {}, False
        for camera in cameras.values():
            camera.recorder.cancel_episode()
            shutil.rmtree(camera.path.parent, ignore_errors=True)

    def close(self) -> None:
        """Cancel an episode that is running. May be called twice."""
        self.cancel_episode()


class _Camera:
    """One camera of an episode, with a recorder of its own."""

    def __init__(self, of: StreamingVideoEncoder, key: str, folder: Path):
        self.name = f"{key.replace('/', '_')}_streaming"
        self.path, self.key = folder / f"{self.name}.mp4", key
        self.encoder_threads = of.encoder_threads
        options = writer_options(
            of.vcodec, of.pix_fmt, of.g, of.crf, of.preset, encoder_threads=of.encoder_threads
        )
        self.recorder = _Recorder(of.fps, queue_size=of.queue_maxsize, wait_seconds=_WAIT_SECONDS, **options)
        self.recorder.start_episode([self.name], folder)

    def result(self, end: Future[dict[str, EpisodeVideo]]) -> EpisodeVideo | None:
        """Wait for the file, and return None if that takes too long."""
        try:
            return end.result(_FINISH_SECONDS)[self.name]
        except FutureTimeout:
            logger.error("Encoder thread for %s did not finish in time", self.key)
            self.recorder.cancel_episode()
            return None


def statistics_of(video: EpisodeVideo | None) -> dict[str, Any] | None:
    """Return the statistics as LeRobot has them: arrays, for values from 0 to 255."""
    if video is None or video.stats is None or video.num_frames < 2:
        return None
    stats = {each.name: getattr(video.stats, each.name) for each in fields(video.stats)}
    return stats | {"count": np.array([video.num_frames])}


class VideoEncodingManager:
    """A guard of a recording: when its block ends in any way, it encodes what is left, and clears up.

    Args:
        dataset: A `LeRobotDataset`.
    """

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __enter__(self) -> VideoEncodingManager:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: object, exc_tb: object
    ) -> Literal[False]:
        streaming = getattr(self.dataset, "_streaming_encoder", None)
        if streaming is not None:
            if exc_type is not None:
                streaming.cancel_episode()
            streaming.close()
        elif self.dataset.episodes_since_last_encoding > 0:
            self._encode_the_rest(exc_type is not None)
        self.dataset.finalize()
        if exc_type is not None and streaming is None:
            self._remove_images_of_the_last_episode()
        self._remove_empty_images_folder()
        return False

    def _encode_the_rest(self, is_interrupted: bool) -> None:
        end = self.dataset.num_episodes
        start = end - self.dataset.episodes_since_last_encoding
        why = "An exception occurred" if is_interrupted else "The recording has stopped"
        logger.info("%s: encoding episodes %d to %d, which are left", why, start, end - 1)
        self.dataset._batch_save_episode_video(start, end)

    def _remove_images_of_the_last_episode(self) -> None:
        for key in self.dataset.meta.video_keys:
            image = self.dataset._get_image_file_path(
                episode_index=self.dataset.num_episodes, image_key=key, frame_index=0
            )
            with suppress(FileNotFoundError):
                shutil.rmtree(image.parent)

    def _remove_empty_images_folder(self) -> None:
        folder = self.dataset.root / "images"
        if folder.exists() and not any(folder.rglob("*.png")):
            shutil.rmtree(folder)
