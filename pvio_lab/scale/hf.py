"""`VideoFrame`: a feature of Hugging Face `datasets`, for frames named by their video and their time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..read import (
    ROUNDING_SECONDS,
    Fetching,
    FrameReader,
    ImageSequence,
    ReaderPool,
    VideoReader,
    nearest_frames,
    open_video,
    outline,
    shown,
)
from .arrow import pa

if TYPE_CHECKING:
    import torch

# This many videos stay open, with their indexes and a few frames each; of these, only some keep decoders.
_MOST_READERS, _CACHE_BYTES = 64, 4 * 2**20
# The parts of a `Fetching` that are stored with a dataset: those it must keep, and nothing about its user.
_STORED = (
    *("timeout_seconds", "max_seconds", "max_bytes", "retries", "backoff_seconds"),
    *("allow_private", "allow_local"),
)


@dataclass
class VideoFrame:
    """A column of frames: stored as `{"path": str, "timestamp": float32}`, read as a picture.

    A value is a torch tensor, `(C, H, W)` and `uint8`, in every format of the dataset except numpy's.

    >>> from datasets import Dataset  # doctest: +SKIP
    >>> rows = [{"path": "data_samples/shapes.mp4", "timestamp": 1.5}]  # doctest: +SKIP
    >>> ds = Dataset.from_dict({"frame": rows}).cast_column("frame", VideoFrame())  # doctest: +SKIP
    >>> ds[0]["frame"].shape  # doctest: +SKIP
    torch.Size([3, 360, 640])

    Args:
        decode: Read frames; otherwise a value is the path and the time.
        tolerance_seconds: How far from its time a frame may be; half of what a frame lasts when left out.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.
        limits: The parts of it that are stored with a dataset: what may be opened, times and sizes, but no
            headers.
    """

    decode: bool = True
    tolerance_seconds: float | None = None
    id: str | None = field(default=None, repr=False)
    fetching: InitVar[Fetching | None] = field(default=None, kw_only=True)
    limits: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)
    dtype: ClassVar[str] = "torch.Tensor"
    _type: str = field(default="VideoFrame", init=False, repr=False)

    def __post_init__(self, fetching: Fetching | None) -> None:
        if not _IS_REGISTERED:
            raise ImportError('VideoFrame is a feature of datasets: pip install "pvio_lab[hf]"')
        if fetching is not None:
            self.limits = {name: getattr(fetching, name) for name in _STORED}
        elif self.limits is not None:
            fetching = Fetching(**{name: self.limits[name] for name in _STORED if name in self.limits})
        self._fetching = fetching

    def __call__(self) -> Any:
        """Return the type in which the column is stored."""
        return self.pa_type

    @property
    def pa_type(self) -> Any:
        """Path and time as an Arrow type."""
        return pa.struct({"path": pa.string(), "timestamp": pa.float32()})

    def encode_example(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored for a value: its path and its time."""
        if not isinstance(value, Mapping) or set(value) != {"path", "timestamp"}:
            raise ValueError(f"a video frame must be {{'path': ..., 'timestamp': ...}}, not {outline(value)}")
        return {"path": str(value["path"]), "timestamp": float(value["timestamp"])}

    def decode_example(
        self, value: Mapping[str, Any], token_per_repo_id: Mapping[str, Any] | None = None
    ) -> torch.Tensor:
        """Return the frame nearest to the time.

        Raises:
            FrameTimestampError: The nearest frame is too far from it.
        """
        if not self.decode:
            raise RuntimeError("this column is not to be decoded; use VideoFrame(decode=True)")
        import torch

        reader = _READERS.get((value["path"], self._fetching))
        frame = reader[_number_at(reader, value["path"], value["timestamp"], self.tolerance_seconds)]
        return torch.from_numpy(frame).movedim(-1, 0)

    def cast_storage(self, storage: Any) -> Any:
        """Return a stored column of paths and times, in any number type, as this feature stores it."""
        if not pa.types.is_struct(storage.type):
            raise TypeError(f"a column of video frames must have path and timestamp, not {storage.type}")
        names = [part.name for part in self.pa_type]
        parts = [storage.field(name).cast(self.pa_type.field(name).type) for name in names]
        return pa.StructArray.from_arrays(parts, names, mask=storage.is_null())

    def flatten(self) -> VideoFrame | dict[str, Any]:
        """Return the parts of the column, where it is not decoded."""
        from datasets import Value

        return self if self.decode else {"path": Value("string"), "timestamp": Value("float32")}


def _open(key: tuple[str, Fetching | None]) -> VideoReader | ImageSequence:
    path, fetching = key
    return open_video(path, fetching=fetching, num_threads=1, cache_bytes=_CACHE_BYTES)


def _number_at(reader: FrameReader, path: str, seconds: float, tolerance: float | None) -> int:
    """Find the frame nearest to a time that was stored in 32 bits: 1800.1 s is off by a tenth of 1 ms."""
    pts, _ = reader.times
    if tolerance is None:
        tolerance = 0.5 / reader.fps + ROUNDING_SECONDS
    rounding = float(np.spacing(np.float32(abs(seconds))))
    return int(nearest_frames(pts, np.atleast_1d(seconds), tolerance + rounding, shown(path))[0])


def _register() -> bool:
    """Register the feature with `datasets`, and return False where that is not installed."""
    try:
        from datasets.features.features import register_feature
    except ImportError:
        return False
    with warnings.catch_warnings():  # registering may change, it says
        warnings.simplefilter("ignore")
        register_feature(VideoFrame, "VideoFrame")
    return True


_READERS = ReaderPool(_open, _MOST_READERS)
_IS_REGISTERED = _register()
