"""`ImageSequence`: a directory of images with the reading interface of `VideoReader`."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ..base import checked_size, num_cpus, open_regular
from ..errors import DecodeError, OpenError, printable
from .decode import check_size, max_pixels
from .frames import FrameReader, Frames, Numbers, scaled_size
from .info import VideoInfo
from .times import Times, frame_rate

# The rate that the ffmpeg program assumes for image files.
DEFAULT_FPS = 25.0
# Formats that Pillow recognises by their extension but cannot decode by itself.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# Pillow's decoders raise all of these for a damaged file.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, OverflowError),
    *(struct.error, zlib.error, Image.DecompressionBombError, OpenError),
)
_PIXEL_FORMATS = {"RGB": "rgb24", "RGBA": "rgba", "L": "gray", "LA": "ya8", "P": "pal8", "1": "monob"}
# Modes with transparency that Pillow does not take straight to RGB.
_VIA = {"P": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}


class ImageSequence(FrameReader):
    """Frame-exact random access to a directory of images, in natural order: `2.png` before `10.png`.

    Frames are RGB: a palette is applied, gray becomes three equal channels, 16 bits become 8, transparency
    is dropped, and an EXIF orientation is applied. All images must have one size, unless both `width` and
    `height` are given. Images have no times of their own, so they follow each other at `fps`. No file stays
    open, so there is nothing to close.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> directory = Path(mkdtemp())
    >>> for number in range(12):
    ...     Image.new("RGB", (64, 48), (number, 0, 0)).save(directory / f"{number}.png")
    >>> images = ImageSequence(directory)
    >>> images.shape
    (12, 48, 64, 3)
    >>> images[[11, 2]][:, 0, 0, 0]
    array([11,  2], dtype=uint8)

    Args:
        directory: The directory of the images.
        pattern: A pattern for the files to take, such as `"*.png"` or `"left_*"`; `"**/*.png"` looks into
            folders, too. Without one, all that Pillow can open, by their extension. Hidden files are skipped.
        fps: Frames a second; 25, as the ffmpeg program assumes for images, when left out.
        width: The width of the frames; when left out, that of the images, or the one that fits `height`.
        height: The height of the frames; when left out, that of the images, or the one that fits `width`.

    Raises:
        DecodeError: None of the images can be opened.
        FileNotFoundError: There is no such directory.
        NotADirectoryError: It is a file.
        OpenError: There are no images in it.
    """

    def __init__(
        self,
        directory: str | PathLike[str],
        *,
        pattern: str | None = None,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
    ):
        wanted = checked_size(width, "width"), checked_size(height, "height")
        self._directory = Path(directory)
        self._fps = DEFAULT_FPS if fps is None else frame_rate(fps)
        self.paths = _find_images(self._directory, pattern)
        self._first = _first_header(self.paths)
        self._is_fixed = None not in wanted
        self._size = scaled_size((self._first.width, self._first.height), *wanted)
        self._shape = len(self.paths), self._size[1], self._size[0], 3

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self._fps

    @property
    def times(self) -> Times:
        """The times at which frames appear, and for which they stay on screen."""
        return Times.steady(len(self), self.fps)

    @cached_property
    def info(self) -> VideoInfo:
        """The facts that a video file would have, as they were when first asked for."""
        size, seconds = sum(path.stat().st_size for path in self.paths), len(self) / self.fps
        return VideoInfo(
            path=str(self._directory),
            num_frames=len(self),
            height=self._first.height,
            width=self._first.width,
            fps=self.fps,
            duration_seconds=seconds,
            start_seconds=0.0,
            codec=self._first.codec,
            pixel_format=self._first.pixel_format,
            container="directory",
            rotation_degrees=0,
            is_variable_rate=False,
            bit_rate=round(size * 8 / seconds),
            size_bytes=size,
            audio=None,
        )

    def __repr__(self) -> str:
        count, height, width, _ = self.shape
        facts = f"{count} frames, {width}x{height}, {self.fps:g} frames/s"
        return f"ImageSequence({str(self._directory)!r}: {facts})"

    def __iter__(self) -> Iterator[Frames]:
        for _, frames in self.batches(num_cpus()):
            yield from frames

    def close(self) -> None:
        """Do nothing, as no file stays open; every reader has this."""

    def rest(self) -> None:
        """Do nothing, as no file stays open; every reader has this."""

    def _stream(self, numbers: Numbers, size: tuple[int, int] | None) -> Iterator[Frames]:
        return (np.array(self.load(number, size)) for number in numbers.tolist())

    def _read(self, numbers: Numbers) -> Frames:
        """Decode each image once, straight into its places in the result."""
        frames = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        places: dict[int, list[int]] = {}
        for place, number in enumerate(numbers.tolist()):
            places.setdefault(number, []).append(place)

        def load_into(number: int) -> None:
            pixels = self.load(number)
            for place in places[number]:
                frames[place] = pixels

        pool = ThreadPoolExecutor(max(1, min(len(places), num_cpus())))
        try:
            for _ in pool.map(load_into, places):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
        return frames

    def load(self, number: int, size: tuple[int, int] | None = None) -> Frames:
        """Return one image, in this size if it is given, read by the calling thread; no other is touched."""
        path = self.paths[number]
        try:
            with _opened(path) as image:
                ImageOps.exif_transpose(image, in_place=True)
                frame = _to_rgb(image)
        except FileNotFoundError:
            raise
        except _DAMAGE as error:
            raise DecodeError(f"frame {number} cannot be decoded: {printable(path)}: {error}") from error
        if frame.shape != (self._first.height, self._first.width, 3) and not (self._is_fixed or size):
            raise ValueError(
                f"frame {number}, {printable(path)}, is {frame.shape[1]}x{frame.shape[0]} and "
                f"{printable(self._first.path)} is "
                f"{self._first.width}x{self._first.height}: the images of a sequence must have one size; "
                "give both width= and height=, or choose those that fit by pattern="
            )
        size = size or self._size
        if size == frame.shape[1::-1]:
            return frame
        return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))


class _Header(NamedTuple):
    path: Path
    height: int
    width: int
    codec: str
    pixel_format: str


def _find_images(directory: Path, pattern: str | None) -> tuple[Path, ...]:
    max_pixels()  # a wrong value of the variable must not be blamed on an image
    if not directory.exists():
        raise FileNotFoundError(f"there is no directory {printable(directory)}")
    if not directory.is_dir():
        raise NotADirectoryError(
            f"{printable(directory)} is a file, not a directory of images; "
            "open it with VideoReader or open_video"
        )
    if pattern is not None and not isinstance(pattern, str):
        raise TypeError(f'pattern={pattern!r} must be a string such as "*.png"')
    endings = _endings()
    paths = {}
    for path in directory.iterdir() if pattern is None else directory.glob(pattern):
        name = path.relative_to(directory)
        is_hidden = any(part.startswith(".") for part in name.parts)
        if not is_hidden and (pattern is not None or path.suffix.lower() in endings) and path.is_file():
            paths[str(name)] = path
    if not paths:
        wanted = "no images" if pattern is None else f"no files that match pattern={pattern!r}"
        raise OpenError(f"there are {wanted} in the directory {printable(directory)}")
    return tuple(paths[name] for name in sorted(sorted(paths), key=natural_key))


def _endings() -> set[str]:
    readable = Image.registered_extensions().items()
    return {end for end, kind in readable if kind in Image.OPEN and kind not in _NOT_DECODED}


def natural_key(name: str) -> list[str | int]:
    """Return a key that sorts numbers as numbers: 'Shot2_10.PNG' -> ['shot', 2, '_', 10, '.png'].

    >>> sorted(["10.png", "9.png", "B1.png", "a1.png"], key=natural_key)
    ['9.png', '10.png', 'a1.png', 'B1.png']
    """
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.casefold())]


def _first_header(paths: tuple[Path, ...]) -> _Header:
    """Return the header of the first image that can be opened: all others must have its size."""
    reason: Exception | None = None
    for path in paths:
        try:
            return _read_header(path)
        except _DAMAGE as error:
            reason = reason or error
    raise DecodeError(
        f"frame 0 cannot be decoded, and no other either: {printable(paths[0])}: {reason}"
    ) from reason


def _read_header(path: Path) -> _Header:
    with _opened(path) as image:
        is_rotated = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        height, width = image.size if is_rotated else image.size[::-1]
        format = (
            "gray16" if image.mode.startswith("I") else _PIXEL_FORMATS.get(image.mode, image.mode.lower())
        )
        return _Header(path, height, width, (image.format or "image").lower(), format)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image, unless it is larger than a frame may be; nothing is decoded yet."""
    with open_regular(path) as file, Image.open(file) as image:
        check_size(*image.size, path)
        yield image


def _to_rgb(image: Image.Image) -> Frames:
    if image.mode.startswith("I"):  # gray from 0 to 65535, which Pillow may hold as 32-bit integers
        pixels = np.asarray(image)
        if pixels.itemsize > 2 and (
            image.format not in ("PNG", "PPM") or pixels.min() < 0 or pixels.max() > 65535
        ):
            raise ValueError(
                "its pixels are 32-bit integers, which have no agreed range; save it with 8 or 16 bits"
            )
        return np.repeat((pixels >> 8).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    if image.mode == "F":
        raise ValueError(
            "its pixels are floating-point numbers, which have no agreed range; save it with 8 bits"
        )
    if image.mode in _VIA:
        image = image.convert(_VIA[image.mode])
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
