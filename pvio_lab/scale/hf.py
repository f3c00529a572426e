"""`VideoFrame`: a feature of Hugging Face `datasets`, a frame named by its video and its time."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..base import new_lock, survive_forks
from ..read import (
    ROUNDING_SECONDS,
    Fetching,
    ImageSequence,
    VideoReader,
    is_directory,
    nearest_frames,
    open_video,
    outline,
    shown,
    timeline,
)
from .arrow import pa

if TYPE_CHECKING:
    import torch

# So many videos stay open, with their indexes and a few frames each; of these, only some keep decoders.
_MOST_READERS, _CACHE_BYTES = 64, 4 * 2**20
# What a stored dataset remembers of a `Fetching`: what it must not forget, and nothing about its user.
_STORED = (
    *("timeout_seconds", "max_seconds", "max_bytes", "retries", "backoff_seconds"),
    *("allow_private", "allow_local"),
)


@dataclass
class VideoFrame:
    """A column of frames: stored as `{"path": str, "timestamp": float32}`, read as a picture.

    A value is a torch tensor, `(C, H, W)` and `uint8`, whichever format the dataset has but for numpy's.

    >>> from datasets import Dataset  # doctest: +SKIP
    >>> rows = [{"path": "data_samples/shapes.mp4", "timestamp": 1.5}]  # doctest: +SKIP
    >>> ds = Dataset.from_dict({"frame": rows}).cast_column("frame", VideoFrame())  # doctest: +SKIP
    >>> ds[0]["frame"].shape  # doctest: +SKIP
    torch.Size([3, 360, 640])

    Args:
        decode: Read frames; else a value is the path and the time.
        tolerance_seconds: How far from its time a frame may be; half of what a frame lasts, when left out.
        fetching: How a URL is fetched, and what may be opened; see `Fetching`.
        limits: What is stored of that with a dataset: what may be opened, times and sizes, but no headers.
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
        """How the column is stored."""
        return self.pa_type

    @property
    def pa_type(self) -> Any:
        """Path and time, as Arrow has them."""
        return pa.struct({"path": pa.string(), "timestamp": pa.float32()})

    def encode_example(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """What is stored for a value: its path, and its time."""
        if not isinstance(value, Mapping) or set(value) != {"path", "timestamp"}:
            raise ValueError(f"a video frame must be {{'path': ..., 'timestamp': ...}}, not {outline(value)}")
        return {"path": str(value["path"]), "timestamp": float(value["timestamp"])}

    def decode_example(
        self, value: Mapping[str, Any], token_per_repo_id: Mapping[str, Any] | None = None
    ) -> torch.Tensor:
        """The frame nearest to the time.

        Raises:
            FrameTimestampError: The nearest frame is too far from it.
        """
        if not self.decode:
            raise RuntimeError("this column is not to be decoded; use VideoFrame(decode=True)")
        import torch

        frame = _READERS.frame(value["path"], value["timestamp"], self.tolerance_seconds, self._fetching)
        return torch.from_numpy(frame).movedim(-1, 0)

    def cast_storage(self, storage: Any) -> Any:
        """A stored column of paths and times, in any number type, as this feature has it."""
        if not pa.types.is_struct(storage.type):
            raise TypeError(f"a column of video frames must have path and timestamp, not {storage.type}")
        names = [part.name for part in self.pa_type]
        parts = [storage.field(name).cast(self.pa_type.field(name).type) for name in names]
        return pa.StructArray.from_arrays(parts, names, mask=storage.is_null())

    def flatten(self) -> VideoFrame | dict[str, Any]:
        """The parts of the column, where it is not decoded."""
        from datasets import Value

        return self if self.decode else {"path": Value("string"), "timestamp": Value("float32")}


class _Readers:
    """The readers used lately, in each process its own."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self.after_fork()
        survive_forks(self)

    def after_fork(self) -> None:
        """A child opens its own."""
        self._readers: OrderedDict[tuple[str, Fetching | None], VideoReader | ImageSequence] = OrderedDict()

    def __len__(self) -> int:
        return len(self._readers)

    def frame(
        self, path: str, seconds: float, tolerance: float | None, fetching: Fetching | None = None
    ) -> Any:
        """The frame of a video nearest to a time."""
        with self._lock:
            reader = self._reader(path, fetching)
            return reader[_number_at(reader, path, seconds, tolerance)]

    def _reader(self, path: str, fetching: Fetching | None) -> VideoReader | ImageSequence:
        key = path, fetching
        if key not in self._readers:
            only_video = {"num_threads": 1, "cache_bytes": _CACHE_BYTES}
            options = {} if is_directory(path, fetching) else only_video
            self._readers[key] = open_video(path, fetching=fetching, **options)
        self._readers.move_to_end(key)
        if len(self._readers) > _MOST_READERS:
            self._readers.popitem(last=False)[1].close()
        return self._readers[key]


def _number_at(reader: Any, path: str, seconds: float, tolerance: float | None) -> int:
    """The frame nearest to a time that was stored in 32 bits: 1800.1 s is a tenth of a millisecond off."""
    pts, _ = timeline(reader)
    if tolerance is None:
        tolerance = 0.5 / reader.fps + ROUNDING_SECONDS
    rounding = float(np.spacing(np.float32(abs(seconds))))
    return int(nearest_frames(pts, np.atleast_1d(seconds), tolerance + rounding, shown(path))[0])


def _register() -> bool:
    """Makes `datasets` know the feature, if it is there."""
    try:
        from datasets.features.features import register_feature
    except ImportError:
        return False
    with warnings.catch_warnings():  # it says that registering may change
        warnings.simplefilter("ignore")
        register_feature(VideoFrame, "VideoFrame")
    return True


_READERS = _Readers()
_IS_REGISTERED = _register()
