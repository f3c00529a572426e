"""The recipe of a `VideoProcessor`: which frames of a source, in which form, fetched within which limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..base import integer, one_of, positive_integer
from ..read import Fetching, Numbers, frame_rate, frame_size, sample_indices

Pixels: TypeAlias = NDArray[np.uint8]
Picture: TypeAlias = Image.Image
Step: TypeAlias = Callable[[Picture], Picture]
CacheMode = Literal["auto", "disk", "memory"]

LAYOUTS = {"THWC": False, "TCHW": True}
"""The layouts of a packed array, and whether the channels come before height and width."""
# Modes of 8 bits a channel, so that frames remain `uint8`.
_MODES = ("RGB", "L", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "LA")
# The keys of `sampling=`, and what `sample_indices` calls them.
_POLICIES = {"fps": "fps", "num_frames": "first", "uniform": "num_frames"}


@dataclass(frozen=True)
class Policy:
    """A choice of the frames of a video."""

    name: str
    """"fps": on a timeline; "first": the first n; "num_frames": n spread evenly."""
    value: float | int
    """The number of frames, or of frames a second."""
    max_frames: int | None = None
    """At most this many, from the beginning."""

    @classmethod
    def of(cls, sampling: Any, max_frames: int | None = None) -> Policy:
        """Return the policy that a user asked for.

        >>> Policy.of({"uniform": 8})
        Policy(name='num_frames', value=8, max_frames=None)
        """
        if not isinstance(sampling, Mapping) or len(sampling) != 1 or not set(sampling) <= set(_POLICIES):
            allowed = '{"fps": frames a second}, {"num_frames": the first n}, {"uniform": n spread evenly}'
            raise ValueError(f"sampling={sampling!r} must be one of {allowed}")
        ((key, value),) = sampling.items()
        try:
            checked = frame_rate(value) if key == "fps" else positive_integer(value, key)
        except (TypeError, ValueError) as error:
            raise ValueError(f"sampling={sampling!r}: {error}") from None
        return cls(_POLICIES[key], checked, max_frames)

    def numbers(self, reader: Any) -> Numbers:
        """Return the numbers of the frames to take, in order; of slow videos some come twice."""
        chosen: dict[str, Any] = {self.name: self.value}
        return sample_indices(reader, **chosen, max_frames=self.max_frames)

    @property
    def num_first(self) -> int | None:
        """The number of frames from the beginning, where these are all that is needed; else None."""
        return min(int(self.value), self.max_frames or int(self.value)) if self.name == "first" else None

    @property
    def last_seconds(self) -> float | None:
        """The time after the first frame of the last one that may be taken; None where that is unknown."""
        if self.name != "fps" or self.max_frames is None:
            return None
        return (self.max_frames - 1) / self.value

    @property
    def needs_beginning_only(self) -> bool:
        """True where the frames that come first are all that can be asked for."""
        return self.num_first is not None or self.last_seconds is not None


def preprocess_steps(preprocess: Any) -> list[Step]:
    """Return what to do with each picture: the steps of a dictionary in their own order, or those of a list.

    >>> steps = preprocess_steps({"resize": {"size": (320, 180)}, "convert": "L"})
    >>> picture = Image.new("RGB", (640, 360))
    >>> for step in steps:
    ...     picture = step(picture)
    >>> picture.size, picture.mode
    ((320, 180), 'L')
    """
    named = _in_order(preprocess)
    unknown = [name for name, _ in named if name not in _STEPS]
    if unknown:
        raise ValueError(f"preprocess has no step {unknown[0]!r}; there are {', '.join(_STEPS)}")
    try:
        return [_STEPS[name](arguments) for name, arguments in named]
    except (TypeError, ValueError) as error:
        raise ValueError(f"preprocess={preprocess!r}: {error}") from None


def _in_order(preprocess: Any) -> list[tuple[Any, Any]]:
    """Return the names and arguments of steps in the order in which they are applied."""
    if isinstance(preprocess, Mapping):
        order = list(_STEPS)
        return sorted(preprocess.items(), key=lambda step: order.index(step[0]) if step[0] in order else -1)
    listed = [] if isinstance(preprocess, str | bytes) or not isinstance(preprocess, Sequence) else preprocess
    steps = [pair for step in listed if isinstance(step, Mapping) for pair in step.items()]
    if listed is not preprocess or not len(steps) == len(listed) == sum(map(len, listed)):
        raise ValueError(
            f"preprocess={preprocess!r} must be a dictionary of {', '.join(_STEPS)}, or for another order a "
            'list of dictionaries of one step each: [{"crop": ...}, {"resize": ...}]'
        )
    return steps


def out_of_order(preprocess: Any) -> str | None:
    """Return a warning if the steps in a dictionary are applied in another order than they are written in.

    >>> print(out_of_order({"crop": {}, "resize": {}}))
    preprocess: a dictionary's steps are applied as resize, crop; for crop, resize give a list of steps
    """
    if not isinstance(preprocess, Mapping):
        return None
    given, applied = list(preprocess), [name for name, _ in _in_order(preprocess)]
    if given == applied:
        return None
    return (
        f"preprocess: a dictionary's steps are applied as {', '.join(applied)}; "
        f"for {', '.join(given)} give a list of steps"
    )


def _resize(arguments: Any) -> Step:
    given = _options(arguments, "resize", "size", resample="BILINEAR")
    width, height = _integers(given["size"], "size", "(width, height)")
    return methodcaller("resize", frame_size((width, height)), _resampling(given["resample"]))


def _resampling(resample: Any) -> Image.Resampling:
    """Return Pillow's filter of this name or number."""
    for each in Image.Resampling:
        if resample == each.name or (resample == each.value and not isinstance(resample, bool)):
            return each
    names = ", ".join(f"{each.name!r} ({each.value})" for each in Image.Resampling)
    raise ValueError(f"resample={resample!r} must be one of {names}")


def _crop(arguments: Any) -> Step:
    box, form = _options(arguments, "crop", "box")["box"], "(left, top, right, bottom)"
    left, top, right, bottom = _integers(box, "box", form)
    if not (0 <= left < right and 0 <= top < bottom):
        raise ValueError(f"box={box!r} must be {form} with 0 <= left < right, 0 <= top < bottom")
    return partial(_cropped, box=(left, top, right, bottom))


def _cropped(picture: Picture, box: tuple[int, int, int, int]) -> Picture:
    if box[2] > picture.width or box[3] > picture.height:
        size = f"{picture.width}x{picture.height}"
        raise ValueError(f"crop: box={box!r} reaches beyond the picture, which is {size}")
    return picture.crop(box)


def _convert(mode: Any) -> Step:
    return partial(_converted, mode=one_of(mode, _MODES, "convert"))


def _converted(picture: Picture, mode: str) -> Picture:
    # Pillow converts to some modes from RGB only.
    return picture.convert("RGB").convert(mode) if picture.mode != mode else picture


_STEPS: dict[str, Callable[[Any], Step]] = {"resize": _resize, "crop": _crop, "convert": _convert}


def _options(given: Any, step: str, needed: str, **optional: Any) -> dict[str, Any]:
    names = [needed, *optional]
    if not isinstance(given, Mapping) or not {needed} <= set(given) <= set(names):
        raise ValueError(f"{step}={given!r} must be a dictionary of {', '.join(names)}")
    return optional | dict(given)


def _integers(value: Any, name: str, form: str) -> list[int]:
    """Return as many integers as the form has names."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != form.count(",") + 1:
        raise ValueError(f"{name}={value!r} must be {form}")
    return [integer(each, name) for each in value]


@dataclass(frozen=True)
class Form:
    """The form in which decoded frames are returned."""

    steps: Sequence[Step] = ()
    """The steps through which each picture goes."""
    is_picture: bool = False
    """They become Pillow images, not arrays."""
    channels_first: bool = False
    """Arrays are `(C, H, W)`, not `(H, W, C)`."""
    is_packed: bool = False
    """All frames of a video become one array."""

    def of_frame(self, pixels: Pixels) -> Picture | Pixels:
        """Return a frame in this form, which shares no memory with the decoder."""
        if not self.steps and not self.is_picture:
            return self._array(pixels)
        picture = Image.fromarray(pixels)
        for step in self.steps:
            picture = step(picture)
        return picture if self.is_picture else self._array(np.asarray(picture))

    def of_video(self, frames: list[Any]) -> Any:
        """Return all frames of a video, each of which went through `of_frame`."""
        return np.stack(frames) if self.is_packed and frames else frames

    def size_of(self, frame: Picture | Pixels) -> list[int]:
        """Return width and height of a frame in this form."""
        if isinstance(frame, Image.Image):
            return [frame.width, frame.height]
        height, width = frame.shape[1:] if self.channels_first else frame.shape[:2]
        return [width, height]

    def _array(self, pixels: Pixels) -> Pixels:
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        return np.array(pixels.transpose(2, 0, 1) if self.channels_first else pixels, order="C")


@dataclass(frozen=True)
class Recipe:
    """The frames that are wanted from each source, and the ways in which it may be fetched."""

    policy: Policy
    """The choice of frames."""
    form: Form
    """The form of the frames."""
    fetching: Fetching
    """Time limits and tries."""
    cache_mode: CacheMode = "auto"
    """The place of a download."""
    keep_downloaded: bool = False
    """A download stays in the cache."""
