"""VideoWriter: frames become a file, one after the other."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..base import Target, new_lock
from ..errors import printable
from ..read import Frames
from .codecs import ENCODERS, EncoderInfo
from .colour import check_size, chroma_steps, colour_arguments
from .ffmpeg import Feed
from .options import (
    Options,
    check_rate,
    choose_encoder,
    encoder_arguments,
    exact_rate,
    muxer_of,
    pixel_format_of,
    suffix_of,
)
from .pixels import rgb_pixels
from .probe import encoder_info, require, works

_log = logging.getLogger("pvio_lab")


class VideoWriter:
    """Writes frames to a video file, which appears under its name when it is complete, or not at all.

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
        EncodeError: ffmpeg cannot do it; with its own words.
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
        self._options = Options(codec, crf, preset, gop, pixel_format, fast_decode, threads, ffmpeg_params)
        self.path = Path(path)
        self.fps = exact_rate(fps)
        self._plan = Plan(self._options, suffix_of(self.path), self.fps)
        self._pad = pad
        self.num_frames = 0
        self._size: tuple[int, int] | None = None
        self._feed: Feed | None = None
        self._is_open = True
        self._lock = new_lock()
        self._target = Target(path, overwrite=overwrite)
        if codec == "auto":
            _log.info("%s: codec='auto' chose %s", printable(self.path.name), self._plan.encoder.name)

    @property
    def encoder(self) -> EncoderInfo:
        """Who encodes."""
        return encoder_info(self._plan.encoder.name)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the frames, known from the first one on."""
        return self._size

    def append(self, frame: Any) -> None:
        """Adds a frame. Threads may take turns.

        Raises:
            EncodeError: ffmpeg has failed; with its own words. Nothing is left of the file.
            TypeError: It is no picture.
            ValueError: It has another size or shape, or numbers that are out of range; the writer goes on.
        """
        pixels = rgb_pixels(frame)
        with self._lock:
            self._append(pixels)

    def _append(self, pixels: Frames) -> None:
        if not self._is_open:
            raise ValueError(f"this writer of {printable(self.path)} is closed; open a new one")
        height, width = pixels.shape[:2]
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
        except BaseException:  # also an interrupt, which may have left half a frame in the pipe
            self.cancel()
            raise
        self.num_frames += 1

    def check_size(self, width: int, height: int) -> None:
        """Raises ValueError if frames of this size cannot be written."""
        self._plan.arguments(*self._padded_size(width, height))

    def close(self, *, or_beside: bool = False) -> None:
        """Completes the file and gives it its name. May be called twice.

        Args:
            or_beside: If something has come there meanwhile that may not be replaced, take a free name like
                it, `front (2).mp4`, instead of losing the frames; `path` says which.

        Raises:
            EncodeError: ffmpeg has failed; with its own words.
            ValueError: There were no frames, and there is no file without frames.
        """
        if not self._is_open:
            return
        try:
            self.complete()
            self._commit(or_beside)
        finally:
            self.cancel()

    def _commit(self, or_beside: bool) -> None:
        try:
            self._target.commit()
        except (OSError, ValueError):
            if not or_beside:
                raise
            self.path = self._target.commit_beside()

    def complete(self) -> None:
        """Waits until ffmpeg has written everything; it takes `close` to give the file its name.

        Raises:
            EncodeError: ffmpeg has failed; with its own words.
            ValueError: There were no frames.
        """
        with self._lock:
            if self._feed is None:
                raise ValueError(
                    f"no frames were written to {printable(self.path)}: a video has at least one"
                )
            self._feed.finish()

    def cancel(self) -> None:
        """Ends without a file; an older one stays as it was."""
        self._is_open = False
        try:
            if self._feed is not None:
                self._feed.kill()
        finally:  # also after an interrupt
            self._target.discard()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.cancel()

    def __repr__(self) -> str:
        size = f"{self._size[0]}x{self._size[1]}, " if self._size else ""
        return (
            f"VideoWriter({printable(self.path.name)}: {self._plan.encoder.codec} by "
            f"{self._plan.encoder.name}, "
            f"{size}{float(self.fps):g} frames/s, {self.num_frames} frames)"
        )

    def _begin(self, width: int, height: int) -> None:
        arguments = self._plan.arguments(*self._padded_size(width, height))
        self._feed = Feed([*arguments, "-y", f"file:{self._target.partial}"], f"write {printable(self.path)}")
        self._size = width, height
        if not self._is_open:  # another thread has cancelled meanwhile
            self.cancel()
            raise ValueError(f"the writing of {printable(self.path)} was cancelled")

    def _padded_size(self, width: int, height: int) -> tuple[int, int]:
        step_x, step_y = chroma_steps(self._plan.pixel_format) if self._pad else (1, 1)
        return width + -width % step_x, height + -height % step_y

    def _padded(self, pixels: Frames) -> Frames:
        height, width = pixels.shape[:2]
        full_width, full_height = self._padded_size(width, height)
        margins = (0, full_height - height), (0, full_width - width), (0, 0)
        return np.pad(pixels, margins, mode="edge") if np.any(margins) else pixels


class Plan:
    """What ffmpeg will be told, once the size is known.

    Args:
        options: What the user asks for.
        suffix: The end of the file's name.
        rate: Frames a second.

    Raises:
        EncodeError: The encoder does not work here.
        ValueError: An option does not exist, or not with this value.
    """

    def __init__(self, options: Options, suffix: str, rate: Fraction):
        self.encoder = choose_encoder(options, suffix, works)
        self.pixel_format = pixel_format_of(self.encoder, options)
        self._suffix = suffix
        self._rate = rate
        self._output = [*encoder_arguments(self.encoder, options), *muxer_of(suffix)]
        check_rate(suffix, rate)
        require(self.encoder.name)

    def arguments(self, width: int, height: int) -> list[str]:
        """All but the file.

        Raises:
            ValueError: The pixel format cannot hold this size.
        """
        if min(width, height) < self.encoder.least_side:
            raise ValueError(
                f"{width}x{height} pixels are too few for {self.encoder.name}: "
                f"at least {self.encoder.least_side} each way, or another codec"
            )
        check_size(width, height, self.pixel_format, self.encoder.codec)
        return [
            *ENCODERS[self.encoder.name].before_input.split(),
            *f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {self._rate} -i pipe:0".split(),
            *colour_arguments(self.encoder, self.pixel_format, width, height, suffix=self._suffix),
            *self._output,
        ]


def check_writer_options(suffix: str, fps: float | Fraction, **writer_options: Any) -> Fraction:
    """Finds out before anything is written whether `VideoWriter` would take these options.

    Returns:
        The rate.

    Raises:
        EncodeError: The encoder does not work here.
        TypeError: There is no such option.
        ValueError: An option has no such value.
    """
    known = [name for name in inspect.signature(VideoWriter).parameters if name not in ("path", "fps")]
    unknown = [name for name in writer_options if name not in known]
    if unknown:
        raise TypeError(f"there is no option {', '.join(unknown)}; VideoWriter has {', '.join(known)}")
    names = {each.name for each in fields(Options)}
    rate = exact_rate(fps)
    Plan(Options(**{name: value for name, value in writer_options.items() if name in names}), suffix, rate)
    return rate
