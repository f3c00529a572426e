"""Image files of frames: their names, their states, and the writing of several at a time."""

from __future__ import annotations

import io
import os
import stat
import struct
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, wait
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from PIL import Image

from ..base import Target, open_regular
from ..errors import VideoError
from ..read import Frames, is_url, public_name

T = TypeVar("T")

ImageWriter = Callable[[Path, Frames], object]
"""A function that writes a frame to a file; several threads call it at once."""

# PNG files of level 1 are a fifth larger than those of Pillow's own level 6, and written twice as fast.
_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"compress_level": 1},
    ".jpg": {"quality": 95},
    ".jpeg": {"quality": 95},
    ".webp": {"lossless": True, "quality": 50},
}
_LEAST_DIGITS = 6
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = 24  # up to its width and height
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def video_name(source: str | os.PathLike[str]) -> str:
    """Return the last part of a path or URL.

    >>> video_name("https://example.org/films/clip%201.mp4?key=secret")
    'clip 1.mp4'
    """
    name = os.fspath(source)
    if name.startswith("data:"):
        return "video"
    if is_url(name):
        return Path(unquote(urlsplit(public_name(name)).path)).name or "video"
    return Path(os.path.abspath(name)).name


def image_name(
    video: str, number: int, num_frames: int, suffix: str = ".png", template: str | None = None
) -> str:
    """Return the name of a frame's file; all of a video have as many digits, so names sort as numbers do.

    Projects of images (`sample/image_project`) and jobs (`scale/jobs/shards`) have names of their own.

    >>> image_name("clip", 12, 300)
    'clip_frame_000012.png'
    >>> image_name("clip", 12, 300, template="{video}-{number}")
    'clip-12.png'
    """
    if template is not None:
        return template.format(video=video, number=number) + suffix
    digits = max(_LEAST_DIGITS, len(str(num_frames - 1)))
    return f"{video}_frame_{number:0{digits}}{suffix}"


def image_beginning(video: str, template: str | None = None) -> str:
    """Return what the names of all frames of a video begin with.

    >>> image_beginning("clip"), image_beginning("clip", "{video}-{number:04}")
    ('clip_frame_', 'clip-')
    """
    if template is None:
        return f"{video}_frame_"
    two = (template.format(video=video, number=number) for number in (1, 2 * 10**18))
    return "".join(sign for sign, _ in takewhile(lambda pair: pair[0] == pair[1], zip(*two, strict=False)))


def checked_template(template: str | None) -> str | None:
    """Return a template for the names of images, which must have the number in it; None for the usual one.

    Raises:
        TypeError: It is not text.
        ValueError: All frames would get the same name, or it could not be the name of a file.
    """
    if template is None:
        return None
    if not isinstance(template, str):
        raise TypeError(f"name={template!r} must be text such as 'frame_{{number:06}}'")
    try:
        one, two = (template.format(video="video", number=number) for number in (1, 2))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"name={template!r} must have {{number}}, and may have {{video}}: {error}") from None
    if one == two or any(sign in one for sign in "/\\\0"):
        raise ValueError(f"name={template!r} must be the name of a file with the {{number}} of its frame")
    return template


def image_suffix(ext: str, *, needs_writer: bool = True) -> str:
    """Return the suffix of image files: 'png' -> '.png'.

    Args:
        ext: The suffix, with or without its dot.
        needs_writer: Whether Pillow has to be able to write such files.

    Raises:
        TypeError: It is not text.
        ValueError: It cannot be a suffix, or Pillow can write no such files.
    """
    if not isinstance(ext, str):
        raise TypeError(f"ext={ext!r} must be text such as 'png'")
    suffix = f".{ext.lstrip('.')}"
    if suffix == "." or any(sign in suffix for sign in "/\\\0"):
        raise ValueError(f"ext={ext!r} must be the end of a file's name, such as 'png'")
    Image.init()
    if needs_writer and Image.registered_extensions().get(suffix.lower()) not in Image.SAVE:
        raise ValueError(
            f"ext={ext!r} is not a kind of image that can be written, such as png, jpg, webp, bmp, tiff; "
            "image_writer= writes what you like"
        )
    return suffix


def write_image(path: Path, frame: Frames) -> None:
    """Write a frame with Pillow, as the suffix says. Pixels are kept where the format can."""
    Image.fromarray(frame).save(path, **_OPTIONS.get(path.suffix.lower(), {}))


def png_bytes(frame: Frames) -> bytes:
    """Return the contents of the PNG file of a frame."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG", **_OPTIONS[".png"])
    return file.getvalue()


def save_whole(path: Path, frame: Frames, write: ImageWriter = write_image) -> Path:
    """Write a frame under another name, and rename the file when it is complete."""
    # Writers go by the suffix.
    with Target(path, ending=f".part{path.suffix}", clear=False) as target:
        write(target.partial, frame)
        target.commit()
    return path


def is_foreign(path: Path, suffix: str) -> bool:
    """Return whether there is something that, by the suffix, should be an image, and is not."""
    if not os.path.lexists(path) or suffix.lower() not in Image.registered_extensions():
        return False
    if not path.is_file():
        return True
    try:
        with Image.open(path):
            return False
    except Image.DecompressionBombError:  # it says its size, so it is an image
        return False
    except OSError:
        return path.stat().st_size > 0


def png_state(path: Path, size: tuple[int, int]) -> Literal["whole", "half", "other"]:
    """Return whether a file is a PNG image of this width and height, half of one, or something else.

    A computer that fails leaves half an image, or zeros in its place.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        return "other"
    with open_regular(path) as file:
        head = file.read(_PNG_HEAD)
        file.seek(-min(len(_PNG_END), file.seek(0, os.SEEK_END)), os.SEEK_END)
        end = file.read()
    if not head.strip(b"\0"):
        return "half"
    if head[: len(_PNG_BEGIN)] != _PNG_BEGIN[: len(head)]:
        return "other"
    if end != _PNG_END or len(head) < _PNG_HEAD:
        return "half"
    return "whole" if struct.unpack(">II", head[16:]) == tuple(size) else "other"


def in_order(jobs: Iterable[Callable[[], T]], pool: Executor, most_waiting: int) -> Generator[T]:
    """Do jobs side by side, and yield their results in order, each as soon as it is there.

    The next job is only asked for when at most `most_waiting` are waiting or running. If a frame for it
    cannot be decoded, those before it are still done. Whether it succeeds or fails, no job is still running
    when it returns.
    """
    begun: deque[Future[T]] = deque()
    failure = None
    try:
        jobs = iter(jobs)
        while failure is None:
            try:
                begun.append(pool.submit(next(jobs)))
            except StopIteration:
                break
            except VideoError as error:  # what was decoded before is good
                failure = error
            while begun and (len(begun) >= most_waiting or begun[0].done()):
                yield _result(begun[0])
                begun.popleft()
        while begun:
            yield _result(begun[0])
            begun.popleft()
        if failure is not None:
            raise failure
    finally:
        for each in begun:
            each.cancel()
        wait(begun)


def _result(future: Future[T]) -> T:
    """Wait in short pieces, because on Windows a longer wait cannot be interrupted."""
    while not wait([future], timeout=0.2).done:
        pass
    return future.result()
