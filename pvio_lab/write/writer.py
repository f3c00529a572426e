"""VideoWriter: frames become a video file; and functions that write a whole one."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterable, Sequence, Sized
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..base import Target, new_lock
from ..errors import printable
from ..read import Frames, ImageSequence
from .encoders import EncoderInfo, suffix_of
from .encoding import Encoding
from .ffmpeg import Feed
from .options import Options, exact_rate
from .pixels import rgb_pixels

_log = logging.getLogger("pvio_lab")


class VideoWriter:
    """A video file being written, which appears under its name when it is complete, or not at all.

    >>> with VideoWriter("ramp.mp4", 25) as writer:  # doctest: +SKIP
    ...     for value in range(100):
    ...         writer.append(np.full((240, 320, 3), value, np.uint8))

    Frames are what `rgb_pixels` takes: arrays `(H, W, 3)` of uint8, grey ones, floats from 0 to 1, tensors
    `(C, H, W)`, PIL images. The first one decides the size of all. Leaving the `with` block by an
    exception removes what was written, and leaves an older file as it was. Without a `with` block, `close()`
    completes the file and `cancel()` removes it.

    Args:
        path: The file. Its suffix must fit the codec.
        fps: Frames a second, as a number, or a `Fraction` such as 30000/1001, which is kept exactly.
        codec: "h264", "hevc", "av1", "vp9", "ffv1" (lossless), "mjpeg", "prores", "gif"; the name of an
            encoder, see `available_encoders()`; or "auto" for the best that works here, hardware first.
        crf: Constant quality on the codec's own scale, less is better. None for a good one: 20 for h264 (of
            0 to 51), 22 for hevc, 28 for av1 and vp9 (of 0 to 63), 3 for mjpeg (of 2 to 31).
        preset: Speed against size, as the encoder calls it; for prores the profile.
        gop: Frames from one keyframe to the next, at most. 1 makes every frame one.
        pixel_format: How colours are stored. None for yuv420p where the codec has it; ffv1 stores RGB.
        pad: Repeat the last row or column where the size is odd and the pixel format needs it even.
        overwrite: Replace a file that is there.
        fast_decode: Leave out what makes decoding slow.
        threads: How many threads encode.
        ffmpeg_params: More options for ffmpeg's output, such as `("-metadata", "title=Ramp")`.

    Raises:
        EncodeError: ffmpeg cannot do it; the message quotes it.
        FileExistsError: There is a file, and it may not be replaced.
        FileNotFoundError: There is no folder for the file.
        PermissionError: Nothing may be written there.
        ValueError: An option does not exist, or not with this value.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float | Fraction,
        *,
        codec: str = "h264",
        crf: float | None = None,
        preset: str | int | None = None,
        gop: int | None = None,
        pixel_format: str | None = None,
        pad: bool = False,
        overwrite: bool = True,
        fast_decode: bool = False,
        threads: int | None = None,
        ffmpeg_params: Sequence[str] = (),
    ):
        options = Options(codec, crf, preset, gop, pixel_format, fast_decode, threads, ffmpeg_params)
        self.path = Path(path)
        self.fps = exact_rate(fps)
        self._encoding = Encoding(options, suffix_of(self.path), self.fps)
        self._pad, self._is_open, self._lock = pad, True, new_lock()
        self._size: tuple[int, int] | None = None
        self._feed: Feed | None = None
        self.num_frames = 0
        self._target = Target(path, overwrite=overwrite)
        if codec == "auto":
            _log.info("%s: codec='auto' chose %s", printable(self.path.name), self._encoding.encoder.name)

    @property
    def encoder(self) -> EncoderInfo:
        """The encoder."""
        return self._encoding.encoder.info

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the frames, known after the first one."""
        return self._size

    def append(self, frame: Any) -> None:
        """Add a frame. Threads may take turns.

        Raises:
            EncodeError: ffmpeg has failed; the message quotes it. Nothing is left of the file.
            TypeError: It is not a picture.
            ValueError: It has another size or shape, or numbers that are out of range. It stays usable.
        """
        pixels = rgb_pixels(frame)
        height, width = pixels.shape[:2]
        with self._lock:
            if not self._is_open:
                raise ValueError(f"this writer of {printable(self.path)} is closed; open a new one")
            if self._size is None:
                self._begin(width, height)
            elif self._size != (width, height):
                raise ValueError(
                    f"frame {self.num_frames} has {width}x{height} pixels, and those before it have "
                    f"{self._size[0]}x{self._size[1]}; resize it, or write another file"
                )
            assert self._feed is not None
            try:
                self._feed.write(self._padded(pixels).data.cast("B"))
            except BaseException:  # even an interrupt, which may have left half a frame in the pipe
                self.cancel()
                raise
            self.num_frames += 1

    def check_size(self, width: int, height: int) -> None:
        """Raise ValueError if frames of this size cannot be written."""
        self._encoding.arguments(*self._padded_size(width, height))

    def close(self, *, or_beside: bool = False) -> None:
        """Complete the file and give it its name. May be called twice.

        Args:
            or_beside: If a file has come there in the meantime that may not be replaced, take a free name
                like it, `front (2).mp4`, instead of losing the frames; `path` is the name that was taken.

        Raises:
            EncodeError: ffmpeg has failed; the message quotes it.
            ValueError: There were no frames, and there is no file without frames.
        """
        if not self._is_open:
            return
        try:
            self.complete()
            try:
                self._target.commit()
            except (OSError, ValueError):
                if not or_beside:
                    raise
                self.path = self._target.commit_beside()
        finally:
            self.cancel()

    def complete(self) -> None:
        """Wait until ffmpeg has written everything; only `close` gives the file its name.

        Raises:
            EncodeError: ffmpeg has failed; the message quotes it.
            ValueError: There were no frames.
        """
        with self._lock:
            if self._feed is None:
                raise ValueError(
                    f"no frames were written to {printable(self.path)}: a video has at least one"
                )
            self._feed.finish()

    def cancel(self) -> None:
        """End without a file; an older one stays as it was."""
        self._is_open = False
        try:
            if self._feed is not None:
                self._feed.kill()
        finally:  # even after an interrupt
            self._target.discard()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.cancel()

    def __repr__(self) -> str:
        size = f"{self._size[0]}x{self._size[1]}, " if self._size else ""
        facts = f"{size}{float(self.fps):g} frames/s, {self.num_frames} frames"
        encoder = self._encoding.encoder
        return f"VideoWriter({printable(self.path.name)}: {encoder.codec} by {encoder.name}, {facts})"

    def _begin(self, width: int, height: int) -> None:
        arguments = self._encoding.arguments(*self._padded_size(width, height))
        self._feed = Feed([*arguments, "-y", f"file:{self._target.partial}"], f"write {printable(self.path)}")
        self._size = width, height
        if not self._is_open:  # another thread has cancelled in the meantime
            self.cancel()
            raise ValueError(f"the writing of {printable(self.path)} was cancelled")

    def _padded_size(self, width: int, height: int) -> tuple[int, int]:
        return self._encoding.full_size(width, height) if self._pad else (width, height)

    def _padded(self, pixels: Frames) -> Frames:
        height, width = pixels.shape[:2]
        full_width, full_height = self._padded_size(width, height)
        margins = (0, full_height - height), (0, full_width - width), (0, 0)
        return np.pad(pixels, margins, mode="edge") if np.any(margins) else pixels


def check_writer_options(suffix: str, fps: float | Fraction, **writer_options: Any) -> Fraction:
    """Return the exact rate, if `VideoWriter` takes these options; find out before anything is written.

    Raises:
        EncodeError: The encoder does not work here.
        TypeError: There is no such option.
        ValueError: An option has no such value.
    """
    known = [name for name in inspect.signature(VideoWriter).parameters if name not in ("path", "fps")]
    unknown = [name for name in writer_options if name not in known]
    if unknown:
        raise TypeError(f"there is no option {', '.join(unknown)}; VideoWriter has {', '.join(known)}")
    wishes = {each.name for each in fields(Options)} & writer_options.keys()
    rate = exact_rate(fps)
    Encoding(Options(**{name: writer_options[name] for name in wishes}), suffix, rate)
    return rate


def write_frames_to_video(
    path: str | os.PathLike[str],
    frames: Iterable[Any],
    fps: float | Fraction | None = None,
    *,
    progress: bool = True,
    **writer_options: Any,
) -> Path:
    """Write frames to a video file, one after the other, with flat memory.

    >>> import pvio_lab as pv
    >>> reader = pv.VideoReader("data_samples/gop2.mp4")
    >>> pv.write_frames_to_video("copy.mp4", reader, reader.fps, crf=30)  # doctest: +SKIP
    PosixPath('copy.mp4')

    Args:
        path: The file.
        frames: A stack of frames, a list, a generator, a reader: any iterable of frames.
        fps: Frames a second. None takes the rate of a reader.
        progress: Show a bar if it takes longer than two seconds.
        **writer_options: As for `VideoWriter`.

    Returns:
        The path of the file.

    Raises:
        EncodeError: ffmpeg has failed; the message quotes it.
        ValueError: There are no frames, they differ in size, or an option is wrong.
    """
    from tqdm.auto import tqdm

    _check_input(path, frames)
    rate = getattr(frames, "fps", None) if fps is None else fps
    if rate is None:
        raise TypeError(f"fps is needed: {type(frames).__name__} has no rate of its own")
    total = len(frames) if isinstance(frames, Sized) else None
    bar = tqdm(
        total=total, desc=printable(Path(path).name), unit="frame", disable=not progress, delay=2, leave=False
    )
    with VideoWriter(path, rate, **writer_options) as writer, bar:
        for frame in frames:
            writer.append(frame)
            bar.update()
    return writer.path


def _check_input(path: str | os.PathLike[str], frames: Any) -> None:
    """Raise ValueError for what may be a single frame, and for images of which the file is one."""
    shape = tuple(getattr(frames, "shape", ()))
    if len(shape) == 3 and shape[-1] in (1, 3, 4):
        raise ValueError(f"frames of shape {shape} are one frame; put it in a list: [frame]")
    if len(shape) == 3 and shape[0] in (3, 4):
        raise ValueError(
            f"frames of shape {shape} may be one frame or {shape[0]} grey ones: give [frame] or list(frames)"
        )
    images = frames.paths if isinstance(frames, ImageSequence) and os.path.exists(path) else ()
    if any(os.path.samefile(path, image) for image in images):  # while a video may replace itself
        raise ValueError(f"{printable(path)} is one of the images that are read; give another name")


def encode_video_frames(
    imgs_dir: str | os.PathLike[str],
    video_path: str | os.PathLike[str],
    fps: float | Fraction,
    *,
    pattern: str | None = None,
    progress: bool = True,
    **writer_options: Any,
) -> Path:
    """Write the images of a directory to a video file, in natural order: 2.png before 10.png.

    Args:
        imgs_dir: The directory.
        video_path: The file.
        fps: Frames a second.
        pattern: Which files, such as "left_*.png"; None for all images.
        progress: Show a bar if it takes longer than two seconds.
        **writer_options: As for `VideoWriter`.

    Returns:
        The path of the file.
    """
    images = ImageSequence(imgs_dir, pattern=pattern)
    return write_frames_to_video(video_path, images, fps, progress=progress, **writer_options)
