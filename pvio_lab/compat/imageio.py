"""A plugin of imageio: `plugin="pvio_lab"` reads exactly the frame asked for, and writes whole files only.

Importing this module registers it. imageio looks for no entry points, so a process needs this import once.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

try:
    from imageio.config import PluginConfig, known_plugins
    from imageio.core.request import URI_BYTES, URI_FILENAME, URI_HTTP, InitializationError, IOMode, Request
    from imageio.core.v3_plugin_api import ImageProperties, PluginV3
except ImportError as error:
    raise ImportError(f"imageio cannot be imported ({error}): pip install imageio") from error

from ..errors import OpenError, SourceError, printable
from ..read import Frames, Numbers, VideoReader, frame_numbers
from ..write import MUXERS, VideoWriter

_FPS = 24  # as in imageio's own plugin for PyAV
# Facts that have been applied to the frames.
_APPLIED = ("rotation_degrees", "rotate")


class FrameNumberError(IndexError, ValueError):
    """There is no such frame. imageio asks for ValueError, and some of its plugins raise IndexError."""


class PvioLabPlugin(PluginV3):  # type: ignore[misc]  # imageio need not be installed
    """Frames of a video, exact to the frame; and video files that appear when they are complete.

    >>> import imageio.v3 as iio
    >>> iio.imread("data_samples/shapes.mp4", index=137, plugin="pvio_lab").shape
    (360, 640, 3)

    A file appears at the end of the `with` block of `imopen`, or at `close()`. It does not if the block ends
    by an exception, or if nobody closes it.

    Args:
        request: What imageio was asked to open.
        **options: To read, those of `pvio_lab.VideoReader`; to write, those of `pvio_lab.VideoWriter`.

    Raises:
        InitializationError: It is not a video, or not a kind of file that can be written.
    """

    _reader: VideoReader | None = None
    _writer: VideoWriter | None = None
    _scratch: TemporaryDirectory[str] | None = None
    _is_open = False

    def __init__(self, request: Request, **options: Any):
        super().__init__(request)
        self._options = options
        if request.mode.io_mode == IOMode.read:
            try:
                self._source = self._readable()
                self._reader = VideoReader(self._source, **options)
            except (OpenError, SourceError) as error:
                if self._scratch is not None:
                    self._scratch.cleanup()
                raise InitializationError(str(error)) from error
        elif request.extension not in MUXERS:
            raise InitializationError(f"{request.extension} files are not written: {', '.join(MUXERS)} are")
        self._is_open = True

    def read(self, *, index: Any = ..., **options: Any) -> Frames:
        """Return a frame `(H, W, 3)`; or a batch of frames for `...`, which means all, a slice or a list.

        Args:
            index: The number of a frame, where -1 is the last one; or numbers.
            **options: Those of `pvio_lab.VideoReader`, such as `width`.

        Raises:
            FrameNumberError: There is no such frame.
        """
        with self._reading(options) as reader:
            numbers, is_one = _numbers(reader, index)
            frames = reader[numbers]
            return frames[0] if is_one else frames

    def iter(self, **options: Any) -> Iterator[Frames]:
        """Yield all frames in order, with flat memory; options are those of `read`."""
        with self._reading(options) as reader:
            yield from reader

    def properties(self, index: Any = ..., **options: Any) -> ImageProperties:
        """Return the shape and the type of what `read` returns, without decoding it."""
        with self._reading(options) as reader:
            numbers, is_one = _numbers(reader, index)
            size, count = reader.shape[1:], len(numbers)
        dtype = np.dtype(np.uint8)
        if is_one:
            return ImageProperties(size, dtype)
        return ImageProperties((count, *size), dtype, n_images=count, is_batch=True)

    def metadata(self, index: Any = ..., exclude_applied: bool = True) -> dict[str, Any]:
        """Return facts of the video, or of a frame if `index` is a number.

        Those of the video have the names of `pvio_lab.VideoInfo`, and those that imageio's other plugins use.
        """
        with self._reading({}) as reader:
            if index is ... or index is None:
                facts = _facts(reader)
                return {
                    name: fact for name, fact in facts.items() if name not in _APPLIED or not exclude_applied
                }
            (number,), _ = _numbers(reader, [index])
            return {
                "key_frame": bool(number in reader.index.keyframes),
                "frame_type": str(reader.index.frame_types[number]),
                "time": float(reader.times.pts_seconds[number]),
                "duration": float(reader.times.duration_seconds[number]),
            }

    def write(
        self,
        ndimage: Any,
        *,
        is_batch: bool = True,
        in_pixel_format: str = "rgb24",
        out_pixel_format: str | None = None,
        **options: Any,
    ) -> bytes | None:
        """Add frames to the file; return the whole file, and end it, if it is written to `"<bytes>"`.

        Args:
            ndimage: A stack, a list or a generator of frames, or a frame, as `pvio_lab.VideoWriter` has it.
            is_batch: False if it is one frame. An array `(H, W)` or `(H, W, 3)` is known to be.
            in_pixel_format: "rgb24", or "gray" for frames `(H, W)`.
            out_pixel_format: Another name for the option `pixel_format`.
            **options: `fps`, 24 when left out, and those of `pvio_lab.VideoWriter`, such as `codec` and
                `crf`; here at the first time, or in `imopen`.

        Raises:
            EncodeError: ffmpeg has failed; with its own words.
            ValueError: An option or a frame is wrong, or the options change within a file.
        """
        if in_pixel_format not in ("rgb24", "gray"):
            raise ValueError(f"in_pixel_format={in_pixel_format!r} must be 'rgb24' or 'gray'")
        if out_pixel_format is not None:
            options["pixel_format"] = out_pixel_format
        writer = self._begun(options)
        shape: tuple[int, ...] = getattr(ndimage, "shape", ())
        is_one = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
        for frame in ndimage if isinstance(ndimage, list) or (is_batch and not is_one) else [ndimage]:
            writer.append(frame)
        if self.request._uri_type != URI_BYTES:
            return None
        writer.close()
        return writer.path.read_bytes()

    def init_video_stream(
        self,
        codec: str,
        *,
        fps: float = _FPS,
        pixel_format: str | None = None,
        max_keyframe_interval: int | None = None,
        force_keyframes: bool | None = None,
    ) -> None:
        """Choose options for what is written, by the names of imageio's plugin for PyAV.

        Groups of frames are closed, whatever `force_keyframes` says.
        """
        names = {"codec": codec, "fps": fps, "pixel_format": pixel_format, "gop": max_keyframe_interval}
        self._options = self._options | names

    def write_frame(self, frame: Any, *, pixel_format: str = "rgb24") -> None:
        """Add one frame to the file."""
        self.write(frame, is_batch=False, in_pixel_format=pixel_format)

    def close(self) -> None:
        """Close the video, or complete the file and give it its name. May be called twice."""
        self._end(complete=True)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end(complete=kind is None)

    def __del__(self) -> None:
        if self._is_open and self._writer is not None:
            path = printable(self._writer.path)
            warnings.warn(f"{path} is not written: it was not closed", ResourceWarning, stacklevel=2)
        self._end(complete=False)

    def _readable(self) -> str | Path:
        """Return a URL as it is, and a file; of anything else, which has no name, a copy in a file."""
        if self.request._uri_type == URI_HTTP:
            return str(self.request.raw_uri)
        if self.request._uri_type == URI_FILENAME:
            return Path(self.request.filename)
        path = self._scratch_file()
        with path.open("wb") as copy:
            shutil.copyfileobj(self.request.get_file(), copy)
        return path

    def _reading(self, options: dict[str, Any]) -> AbstractContextManager[VideoReader]:
        if self._reader is None:
            raise ValueError(
                f"{printable(self.request.filename)} is not open for reading: use imopen(..., 'r')"
            )
        return VideoReader(self._source, **options) if options else nullcontext(self._reader)

    def _begun(self, options: dict[str, Any]) -> VideoWriter:
        """Return the writer of the file; the first time, make it."""
        wanted = {"fps": _FPS} | self._options | options
        if self._writer is None:
            is_file = self.request._uri_type == URI_FILENAME
            path = Path(self.request.filename) if is_file else self._scratch_file()
            self._writer, self._options = VideoWriter(path, **wanted), wanted
        elif wanted != self._options:
            raise ValueError(f"a file has one set of options, {self._options}; these differ: {options}")
        return self._writer

    def _end(self, *, complete: bool) -> None:
        """Free everything; complete the file, or remove what there is of it."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            if self._reader is not None:
                self._reader.close()
            if self._writer is not None and complete:
                self._writer.close()
                if self._scratch is not None:
                    self.request.get_file().write(self._writer.path.read_bytes())
        finally:
            if self._writer is not None:
                self._writer.cancel()
            if self._scratch is not None:
                self._scratch.cleanup()
            self.request.finish()

    def _scratch_file(self) -> Path:
        self._scratch = TemporaryDirectory(prefix="pvio_lab_")
        return Path(self._scratch.name, f"video{self.request.extension or ''}")


def _numbers(reader: VideoReader, index: Any) -> tuple[Numbers, bool]:
    """Return the numbers of the frames, and whether it is a single one."""
    try:
        return frame_numbers(slice(None) if index is ... or index is None else index, len(reader))
    except IndexError as error:
        raise FrameNumberError(str(error)) from error


def _facts(reader: VideoReader) -> dict[str, Any]:
    info = reader.info
    theirs = {
        "video_format": info.pixel_format,
        "duration": info.duration_seconds,
        "nframes": info.num_frames,
        "size": (info.width, info.height),
        "rotate": info.rotation_degrees,
    }
    return {**asdict(info), **theirs}


known_plugins["pvio_lab"] = PluginConfig("pvio_lab", PvioLabPlugin.__name__, __name__)
