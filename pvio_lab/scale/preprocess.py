"""Decoded frames become what a model wants: resized, cropped, converted, packed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..base import integer, positive_integer
from ..read import frame_size

Pixels: TypeAlias = NDArray[np.uint8]
Picture: TypeAlias = Image.Image
Step: TypeAlias = Callable[[Picture], Picture]

LAYOUTS = {"THWC": False, "TCHW": True}
"""The layouts of a packed array, and whether the channels come before height and width."""
# Modes of 8 bits a channel, so that frames remain `uint8`.
_MODES = ("RGB", "L", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "LA")


def preprocess_steps(preprocess: Any) -> list[Step]:
    """What to do with each picture, in the order given.

    >>> steps = preprocess_steps({"resize": {"size": (320, 180)}, "convert": "L"})
    >>> picture = Image.new("RGB", (640, 360))
    >>> for step in steps:
    ...     picture = step(picture)
    >>> picture.size, picture.mode
    ((320, 180), 'L')

    Args:
        preprocess: `{"resize": {"size": (w, h), "resample": "BILINEAR"}}`, `{"crop": {"box": (l, t, r, b)}}`,
            `{"convert": "RGB"}`, or several of them in one.

    Raises:
        ValueError: A step is not known, or what it needs is missing or out of range.
    """
    if not isinstance(preprocess, Mapping):
        raise ValueError(f"preprocess={preprocess!r} must be a dictionary of {', '.join(_STEPS)}")
    unknown = [name for name in preprocess if name not in _STEPS]
    if unknown:
        raise ValueError(f"preprocess has no step {unknown[0]!r}; there are {', '.join(_STEPS)}")
    try:
        return [_STEPS[name](arguments) for name, arguments in preprocess.items()]
    except (TypeError, ValueError) as error:
        raise ValueError(f"preprocess={dict(preprocess)!r}: {error}") from None


def _resize(arguments: Any) -> Step:
    size, resample = _values(arguments, "resize", needed=["size"], optional={"resample": "BILINEAR"})
    names = [each.name for each in Image.Resampling]
    if resample not in names:
        raise ValueError(f"resample={resample!r} must be one of {', '.join(names)}")
    width, height = (positive_integer(each, "size") for each in _several(size, 2, "size", "(width, height)"))
    return partial(_resized, size=frame_size((width, height)), resample=Image.Resampling[resample])


def _resized(picture: Picture, size: tuple[int, int], resample: Image.Resampling) -> Picture:
    return picture.resize(size, resample)


def _crop(arguments: Any) -> Step:
    (box,) = _values(arguments, "crop", needed=["box"])
    left, top, right, bottom = (
        integer(each, "box") for each in _several(box, 4, "box", "(left, top, right, bottom)")
    )
    if not (0 <= left < right and 0 <= top < bottom):
        raise ValueError(
            f"box={box!r} must be (left, top, right, bottom) with 0 <= left < right, 0 <= top < bottom"
        )
    return partial(_cropped, box=(left, top, right, bottom))


def _cropped(picture: Picture, box: tuple[int, int, int, int]) -> Picture:
    if box[2] > picture.width or box[3] > picture.height:
        raise ValueError(
            f"crop: box={box!r} reaches beyond the picture, which is {picture.width}x{picture.height}"
        )
    return picture.crop(box)


def _convert(mode: Any) -> Step:
    if mode not in _MODES:
        raise ValueError(f"convert={mode!r} must be one of {', '.join(_MODES)}")
    return partial(_converted, mode=mode)


def _converted(picture: Picture, mode: str) -> Picture:
    # Pillow goes to some modes only from RGB.
    return picture.convert("RGB").convert(mode) if picture.mode != mode else picture


_STEPS: dict[str, Callable[[Any], Step]] = {"resize": _resize, "crop": _crop, "convert": _convert}


def _values(
    arguments: Any, step: str, *, needed: list[str], optional: Mapping[str, Any] | None = None
) -> list[Any]:
    optional = optional or {}
    names = [*needed, *optional]
    if not isinstance(arguments, Mapping) or not set(needed) <= set(arguments) <= set(names):
        raise ValueError(f"{step}={arguments!r} must be a dictionary of {', '.join(names)}")
    return [arguments[name] if name in arguments else optional[name] for name in names]


def _several(value: Any, count: int, name: str, what: str) -> Sequence[Any]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        raise ValueError(f"{name}={value!r} must be {what}")
    return value


@dataclass(frozen=True)
class Form:
    """What becomes of decoded frames."""

    steps: Sequence[Step] = ()
    """What is done with each picture."""
    is_picture: bool = False
    """They become Pillow images, not arrays."""
    channels_first: bool = False
    """Arrays are `(C, H, W)`, not `(H, W, C)`."""
    is_packed: bool = False
    """All frames of a video become one array."""

    def of_frame(self, pixels: Pixels) -> Picture | Pixels:
        """One frame."""
        if not self.steps and not self.is_picture:
            return self._array(pixels)
        picture = Image.fromarray(pixels)
        for step in self.steps:
            picture = step(picture)
        return picture if self.is_picture else self._array(np.asarray(picture))

    def of_video(self, frames: list[Any]) -> Any:
        """All frames of a video, each of which went through `of_frame`."""
        return np.stack(frames) if self.is_packed and frames else frames

    def _array(self, pixels: Pixels) -> Pixels:
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        return np.array(pixels.transpose(2, 0, 1) if self.channels_first else pixels, order="C")


def size_of(frame: Picture | Pixels, *, channels_first: bool) -> list[int]:
    """Width and height of a frame."""
    if isinstance(frame, Image.Image):
        return [frame.width, frame.height]
    height, width = frame.shape[1:] if channels_first else frame.shape[:2]
    return [width, height]
