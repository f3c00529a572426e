"""The Python interface of decord, as of version 3.4, with frames that are always the right ones.

>>> from pvio_lab.compat import decord
>>> vr = decord.VideoReader("data_samples/shapes.mp4", ctx=decord.cpu(0))
>>> vr.get_batch([7, 3, 3, -1]).asnumpy().shape
(4, 360, 640, 3)

Different on purpose: `seek` is as exact as `seek_accurate`. A frame that cannot be decoded is a
`DECORDError`, where decord returns a neighbour of it, so `fault_tol` has nothing to count. There is no
decoding on a GPU, no registry of C++ functions, and no `decord.data`, the data sets for mxnet.
"""

from . import base, bridge, logging, ndarray
from . import ndarray as nd
from .audio_reader import AudioReader
from .av_reader import AVReader
from .base import ALL, DECORDError, DECORDLimitReachedError
from .ndarray import cpu, gpu
from .video_loader import VideoLoader
from .video_reader import VideoReader

__version__ = "3.4.0"

__all__ = [
    "ALL",
    "AVReader",
    "AudioReader",
    "DECORDError",
    "DECORDLimitReachedError",
    "VideoLoader",
    "VideoReader",
    "base",
    "bridge",
    "cpu",
    "gpu",
    "logging",
    "nd",
    "ndarray",
]
