"""LeRobot's own encoder thread, for code that starts it by itself."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

from ....write import StreamingVideoEncoder as _Recorder
from .recording import statistics_of
from .writer_options import writer_options


class _CameraEncoderThread(threading.Thread):
    """A thread that records what comes through a queue, until None comes or the event is set.

    Its result is `("ok", statistics)` or `("error", reason)`.
    """

    def __init__(
        self,
        video_path: Path,
        fps: int,
        vcodec: str,
        pix_fmt: str,
        g: int | None,
        crf: int | None,
        preset: int | None,
        frame_queue: queue.Queue[Any],
        result_queue: queue.Queue[Any],
        stop_event: threading.Event,
        encoder_threads: int | None = None,
    ):
        super().__init__(daemon=True)
        self.video_path, self.fps, self.encoder_threads = Path(video_path), fps, encoder_threads
        self.frame_queue, self.result_queue, self.stop_event = frame_queue, result_queue, stop_event
        self._options = writer_options(vcodec, pix_fmt, g, crf, preset, encoder_threads=encoder_threads)

    def run(self) -> None:
        """Record; see the class."""
        try:
            self.result_queue.put(("ok", self._record()))
        except Exception as error:  # somebody waits for the result
            self.result_queue.put(("error", str(error)))

    def _record(self) -> dict[str, Any] | None:
        key = self.video_path.stem
        with _Recorder(self.fps, when_full="block", overwrite=True, **self._options) as recorder:
            recorder.start_episode([key], self.video_path.parent)
            while (frame := self._next()) is not None:
                recorder.feed_frame(key, frame)
            video = recorder.finish_episode()[key]
        if video.error is not None:
            raise video.error
        return statistics_of(video)

    def _next(self) -> Any:
        while True:
            try:
                return self.frame_queue.get(timeout=1)
            except queue.Empty:
                if self.stop_event.is_set():
                    return None
