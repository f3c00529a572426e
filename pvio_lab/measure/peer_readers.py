"""Other readers behind one small interface, each used as its own documentation does; for comparison only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


class Peer(ABC):
    """One open file."""

    @abstractmethod
    def sequential(self) -> Iterator[Frame]:
        """Yield the frames in order, from the first one."""

    @abstractmethod
    def random(self, number: int) -> Frame:
        """Return one frame."""

    def batch(self, numbers: Sequence[int]) -> Frame:
        """Return frames in this order, in one array `(n, H, W, 3)`."""
        return np.stack([self.random(number) for number in numbers])

    def close(self) -> None:  # noqa: B027  most have nothing to close
        """Close the file, and end anything that works in the background."""


class _PvioLab(Peer):
    """The reader of this library, without its memory of recent frames, so that each one has to be decoded."""

    def __init__(self, path: str, threads: int):
        from ..read import VideoReader

        self._reader = VideoReader(path, num_threads=threads, cache_bytes=0)

    def sequential(self) -> Iterator[Frame]:
        return iter(self._reader)

    def random(self, number: int) -> Frame:
        return self._reader[number]

    def batch(self, numbers: Sequence[int]) -> Frame:
        return self._reader[numbers]

    def close(self) -> None:
        self._reader.close()


class _Decord(Peer):
    """decord: `next()` in order, `reader[i]` and `get_batch` at random."""

    def __init__(self, path: str, threads: int):
        self._reader = import_module("decord").VideoReader(path, num_threads=threads)

    def sequential(self) -> Iterator[Frame]:
        self._reader.seek(0)
        return (self._reader.next().asnumpy() for _ in range(len(self._reader)))

    def random(self, number: int) -> Frame:
        return np.asarray(self._reader[number].asnumpy())

    def batch(self, numbers: Sequence[int]) -> Frame:
        return np.asarray(self._reader.get_batch(numbers).asnumpy())

    def close(self) -> None:
        self._reader.seek(0)  # else it goes on decoding, at the cost of the next reader
        self._reader = None


class _TorchCodec(Peer):
    """torchcodec's VideoDecoder."""

    def __init__(self, path: str, threads: int):
        make = import_module("torchcodec.decoders").VideoDecoder
        self._decoder = make(path, num_ffmpeg_threads=threads, dimension_order="NHWC")

    def sequential(self) -> Iterator[Frame]:
        return (frame.numpy() for frame in self._decoder)

    def random(self, number: int) -> Frame:
        return np.asarray(self._decoder[number].numpy())

    def batch(self, numbers: Sequence[int]) -> Frame:
        return np.asarray(self._decoder.get_frames_at(list(numbers)).data.numpy())

    def close(self) -> None:
        self._decoder = None


class _PyAV(Peer):
    """PyAV as most code uses it: seek to the time of a frame, decode up to it, `to_ndarray`."""

    def __init__(self, path: str, threads: int):
        self._path, self._threads = path, threads
        self._container = self._open()

    def sequential(self) -> Iterator[Frame]:
        with self._open() as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")

    def random(self, number: int) -> Frame:
        stream = self._container.streams.video[0]
        seconds = Fraction(number) / stream.average_rate
        target = round(seconds / stream.time_base) + (stream.start_time or 0)
        self._container.seek(target, stream=stream)
        for frame in self._container.decode(stream):
            if frame.pts is not None and frame.pts >= target:
                return np.asarray(frame.to_ndarray(format="rgb24"))
        raise IndexError(f"no frame comes at or after the time of frame {number}")

    def close(self) -> None:
        self._container.close()

    def _open(self) -> Any:
        container = import_module("av").open(self._path)
        container.streams.video[0].thread_type = "AUTO" if self._threads > 1 else "SLICE"
        container.streams.video[0].thread_count = self._threads
        return container


class _OpenCV(Peer):
    """OpenCV's VideoCapture; its frames are BGR, and are turned to RGB."""

    def __init__(self, path: str, threads: int):
        self._cv2 = cv2 = import_module("cv2")
        cv2.setNumThreads(threads)
        self._capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        if not self._capture.isOpened():
            raise OSError(f"OpenCV cannot open {path}")

    def sequential(self) -> Iterator[Frame]:
        self._capture.set(self._cv2.CAP_PROP_POS_FRAMES, 0)
        while (frame := self._read()) is not None:
            yield frame

    def random(self, number: int) -> Frame:
        self._capture.set(self._cv2.CAP_PROP_POS_FRAMES, number)
        frame = self._read()
        if frame is None:
            raise IndexError(f"OpenCV returns nothing for frame {number}")
        return frame

    def close(self) -> None:
        self._capture.release()

    def _read(self) -> Frame | None:
        is_there, frame = self._capture.read()
        return self._cv2.cvtColor(frame, self._cv2.COLOR_BGR2RGB) if is_there else None


class _ImageIO(Peer):
    """imageio over its PyAV plugin."""

    def __init__(self, path: str, threads: int):
        self._imageio, self._path = import_module("imageio.v3"), path
        kind = "FRAME" if threads > 1 else "SLICE"
        self._options = {"thread_type": kind, "thread_count": threads}
        self._file = self._imageio.imopen(path, "r", plugin="pyav")

    def sequential(self) -> Iterator[Frame]:
        frames: Iterator[Frame] = self._imageio.imiter(self._path, plugin="pyav", **self._options)
        return frames

    def random(self, number: int) -> Frame:
        return np.asarray(self._file.read(index=number, **self._options))

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class PeerKind:
    """A reader: the module to import, and the function that opens a file."""

    module: str
    """The module that has to import."""
    distributions: tuple[str, ...]
    """The packages it may come with."""
    open: Callable[[str, int], Peer]
    """Opens a file, to be decoded by this many threads."""


PEERS = {
    "pvio_lab": PeerKind("pvio_lab", ("pvio_lab",), _PvioLab),
    "decord": PeerKind("decord", ("decord2", "decord"), _Decord),
    "torchcodec": PeerKind("torchcodec.decoders", ("torchcodec",), _TorchCodec),
    "pyav": PeerKind("av", ("av",), _PyAV),
    "opencv": PeerKind("cv2", ("opencv-python-headless", "opencv-python"), _OpenCV),
    "imageio": PeerKind("imageio.v3", ("imageio",), _ImageIO),
}


def missing_peers() -> dict[str, str]:
    """Return the readers that are not installed, and how to install them. Nothing is imported."""
    return {
        name: f'pip install "{kind.distributions[0]}"'
        for name, kind in PEERS.items()
        if find_spec(kind.module.partition(".")[0]) is None
    }


def load_peer(name: str) -> str:
    """Import a reader and return its version.

    Raises:
        Exception: Anything that its import raises; with ImportError it is not installed, or does not load.
    """
    kind = PEERS[name]
    module = import_module(kind.module)
    for distribution in kind.distributions:
        try:
            return f"{distribution} {metadata.version(distribution)}"
        except metadata.PackageNotFoundError:
            continue
    return f"{name} {getattr(module, '__version__', '')}".strip()
