"""The claims of this project in one table; the README has the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from . import loading as load
from . import reading as read
from . import writing as write
from .contenders import Benchmark

BENCHMARKS = (*read.BENCHMARKS, *write.BENCHMARKS, *load.BENCHMARKS)


@dataclass(frozen=True)
class Claim:
    """A claim that a number, or the ratio of two, is at least or at most this much."""

    name: str
    direction: Literal["at least", "at most"]
    bound: float
    benchmark: Benchmark
    ours: str
    """The contender whose figure it is; of several variants, the best."""
    theirs: str = ""
    """The contender it is compared with; of several variants, the best. Without one the figure stands by
    itself, and of several variants the worst counts."""
    unit: str = "frames/s"

    @property
    def is_relative(self) -> bool:
        """True for what holds on other machines: ratios do, memory and counts nearly, times do not."""
        return bool(self.theirs) or not self.unit.startswith(("s", "ms"))

    @property
    def names(self) -> list[str]:
        """The contenders whose figures it needs."""
        return [name for name in (self.ours, self.theirs) if name]


_TC = "torchcodec"
_CODEC_LOADER = "torchcodec in a DataLoader"
_MANY = "with remembered facts"
CLAIMS = (
    Claim("read.random.320x240", "at least", 2.18, read.RANDOM["320x240"], "pvio_lab", _TC),
    Claim("read.random.640x360", "at least", 2.10, read.RANDOM["640x360"], "pvio_lab", _TC),
    Claim("read.random.1280x720", "at least", 1.85, read.RANDOM["1280x720"], "pvio_lab", _TC),
    Claim("read.random.gop2", "at least", 2.10, read.RANDOM["640x480 GOP 2"], "pvio_lab", _TC),
    Claim("read.order.320x240", "at least", 0.94, read.IN_ORDER["320x240"], "pvio_lab", _TC),
    Claim("read.order.640x360", "at least", 0.97, read.IN_ORDER["640x360"], "pvio_lab", _TC),
    Claim("read.order.1280x720", "at least", 1.39, read.IN_ORDER["1280x720"], "pvio_lab", _TC),
    Claim("read.order.ffmpeg", "at least", 0.94, read.IN_ORDER["1280x720"], "pvio_lab", "ffmpeg"),
    Claim("read.cold.640x360", "at most", 0.98, read.COLD["640x360"], "pvio_lab", _TC, "ms"),
    Claim("read.cold.gop2", "at most", 1.83, read.COLD["640x480 GOP 2"], "pvio_lab", _TC, "ms"),
    Claim("read.open.320x240", "at most", 2.35, read.OPEN["320x240"], "pvio_lab", "decord", "ms"),
    Claim("read.step.640x360", "at most", 2.48, read.STEP["640x360"], "pvio_lab", _TC, "ms"),
    Claim("read.facts.remembered", "at most", 80, read.FACTS, "remembered", unit="ms"),
    Claim("read.memory.idle", "at most", 8, read.GROWTH, "idle", unit="MB more"),
    Claim("read.memory.files", "at most", 50, read.GROWTH, "many files", unit="MB more"),
    Claim("read.memory.batches", "at most", 50, read.GROWTH, "sparse batches", unit="MB more"),
    Claim("write.medium.ffmpeg", "at least", 1.01, write.SPEED["medium"], "pvio_lab", "ffmpeg fed by hand"),
    Claim("write.medium.imageio", "at least", 1.03, write.SPEED["medium"], "pvio_lab", "imageio"),
    Claim("write.medium.pyav", "at least", 1.46, write.SPEED["medium"], "pvio_lab", "PyAV"),
    Claim("write.fast.ffmpeg", "at least", 0.99, write.SPEED["ultrafast"], "pvio_lab", "ffmpeg fed by hand"),
    Claim("write.fast.imageio", "at least", 1.08, write.SPEED["ultrafast"], "pvio_lab", "imageio"),
    Claim("write.fast.pyav", "at least", 1.23, write.SPEED["ultrafast"], "pvio_lab", "PyAV"),
    Claim("write.joining", "at most", 1.6, write.JOINING[100, False], "pvio_lab", "ffmpeg", "ms"),
    Claim("write.memory", "at most", 23, write.MEMORY, "pvio_lab", unit="MB more"),
    Claim("write.recording.dropped", "at most", 0, write.RECORDING, "ultrafast", unit="frames dropped"),
    Claim("write.recording.median", "at most", 0.2, write.RECORDING, "ultrafast", unit="ms"),
    Claim("write.recording.late", "at most", 1.5, write.RECORDING, "ultrafast", unit="ms, 99%"),
    Claim("load.collection.uint8", "at least", 6.5, load.COLLECTION, "pvio_lab uint8", "parallel-video-io"),
    Claim("load.collection.float", "at least", 4.2, load.COLLECTION, "pvio_lab float32", "parallel-video-io"),
    Claim("load.collection.codec", "at least", 1.9, load.COLLECTION, "pvio_lab uint8", _CODEC_LOADER),
    Claim("load.collection.ffmpeg", "at least", 0.74, load.COLLECTION, "pvio_lab uint8", "ffmpeg"),
    Claim("load.collection.memory", "at most", 500, load.COLLECTION, "pvio_lab uint8", unit="MB"),
    Claim(
        "load.collection.threads",
        "at least",
        1.55,
        load.COLLECTION,
        "pvio_lab uint8, 2 workers",
        "pvio_lab uint8, 1 worker",
    ),
    Claim(
        "load.collection.bare",
        "at least",
        0.9,
        load.COLLECTION,
        "pvio_lab uint8, 0 workers",
        "VideoReader.batches",
    ),
    Claim("load.drawings.uint8", "at least", 9, load.DRAWINGS, "pvio_lab uint8", "parallel-video-io"),
    Claim("load.drawings.float", "at least", 4.5, load.DRAWINGS, "pvio_lab float32", "parallel-video-io"),
    Claim("load.drawings.codec", "at least", 2.1, load.DRAWINGS, "pvio_lab uint8", _CODEC_LOADER),
    Claim("load.many.memory", "at most", 25, load.MANY, _MANY, unit="MB more in the second pass"),
    Claim("load.many.files", "at most", 0, load.MANY, _MANY, unit="open files more at the end"),
    Claim("load.clips.0", "at least", 1.5, load.CLIPS[0], "pvio_lab", _TC, "clips/s"),
    Claim("load.clips.2", "at least", 1.1, load.CLIPS[2], "pvio_lab", _TC, "clips/s"),
)


def is_variant(name: str, contender: str) -> bool:
    """Return True if this is the name of a contender, with or without a variant behind a comma.

    >>> [is_variant(name, "pvio_lab") for name in ("pvio_lab", "pvio_lab, 2 workers", "pvio_lab float32")]
    [True, True, False]
    """
    return name == contender or name.startswith(f"{contender},")


def chosen(claims: Sequence[Claim], names: Sequence[str]) -> list[Claim]:
    """Return those with one of these names, or whose names begin with one: "load" is all of "load.*".

    Raises:
        ValueError: There is none of that name.
    """
    found = {name: [claim for claim in claims if f"{claim.name}.".startswith(f"{name}.")] for name in names}
    for name, fitting in found.items():
        if not fitting:
            all_names = ", ".join(dict.fromkeys(claim.name.rpartition(".")[0] for claim in claims))
            raise ValueError(
                f"there is no benchmark {name!r}; choose from {all_names}, or what they begin with"
            )
    return [claim for claim in claims if not names or any(claim in fitting for fitting in found.values())]
