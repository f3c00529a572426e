"""The table of codecs and encoders: their abilities, and the names of their options.

One quality number, `crf`, serves every lossy codec, on the codec's own scale. An encoder that counts
otherwise has the ends of its own scale here, and gets the number in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePath


@dataclass(frozen=True)
class Codec:
    """The properties of a codec, the same for all of its encoders."""

    suffixes: tuple[str, ...]  # of files that can hold it; the first is the usual one
    crf: range | None = None  # the scale of constant quality, the best first, if it has one
    default_crf: int | None = None  # looks like the original, most of the time
    is_intra_only: bool = False  # every frame is a keyframe, so `gop` means nothing


@dataclass(frozen=True)
class Encoder:
    """One of ffmpeg's encoders and its options; `{}` stands for a value."""

    name: str  # in ffmpeg
    codec: str  # a key of `CODECS`
    pixel_formats: tuple[str, ...]  # the first is the default
    quality: str = ""  # options for constant quality
    scale: tuple[int, int] | None = None  # the best and the worst, where its scale is not the codec's
    preset: str = ""  # options for speed against size
    presets: tuple[str, ...] = ()  # from fast to slow
    default_preset: str | None = None  # None leaves it to the encoder
    fast_decode: str = ""  # options for files that decode faster
    threads: str = "-threads {}"  # options for the number of threads that encode
    always: str = ""  # options it always gets
    params: str = ""  # the option that collects `key=value` settings for the library behind it
    before_input: str = ""  # options that stand before the input
    upload: str = ""  # filters that bring frames to the device
    least_side: int = 1  # smaller pictures end it, or worse
    is_hardware: bool = False  # a device encodes, which may be missing

    @property
    def info(self) -> EncoderInfo:
        """The facts for users."""
        codec = CODECS[self.codec]
        return EncoderInfo(
            name=self.name,
            codec=self.codec,
            is_hardware=self.is_hardware,
            suffixes=codec.suffixes,
            pixel_formats=self.pixel_formats,
            crf=codec.crf if self.quality else None,
            default_crf=codec.default_crf if self.quality else None,
            presets=self.presets,
        )


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder that works on this machine."""

    name: str
    """Its name in ffmpeg; `codec=` takes it."""
    codec: str
    """The codec it writes."""
    is_hardware: bool
    """A device encodes, not the processor."""
    suffixes: tuple[str, ...]
    """The kinds of files it can go into."""
    pixel_formats: tuple[str, ...]
    """The first is the default."""
    crf: range | None
    """The qualities it has, the best first; None if it is lossless, or the preset fixes the quality."""
    default_crf: int | None
    """The quality if none is given."""
    presets: tuple[str, ...] = field(repr=False)
    """From fast to slow."""


MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".avi": "avi",
    ".gif": "gif",
}

CODECS = {
    "h264": Codec((".mp4", ".mov", ".mkv", ".m4v", ".ts"), range(0, 52), 20),
    "hevc": Codec((".mp4", ".mov", ".mkv", ".m4v", ".ts"), range(0, 52), 22),
    "av1": Codec((".mp4", ".webm", ".mkv"), range(0, 64), 28),
    "vp9": Codec((".webm", ".mp4", ".mkv"), range(0, 64), 28),
    "ffv1": Codec((".mkv", ".avi"), is_intra_only=True),
    "mjpeg": Codec((".mov", ".avi", ".mkv", ".mp4"), range(2, 32), 3, is_intra_only=True),
    "prores": Codec((".mov", ".mkv"), is_intra_only=True),
    "gif": Codec((".gif",), is_intra_only=True),
}

_EIGHT_AND_TEN = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")


_X264 = Encoder(
    "libx264",
    "h264",
    _EIGHT_AND_TEN,
    quality="-crf {}",
    preset="-preset {}",
    presets=tuple("ultrafast superfast veryfast faster fast medium slow slower veryslow placebo".split()),
    fast_decode="-tune fastdecode",
)
_SOFTWARE = (
    _X264,
    replace(_X264, name="libx264rgb", pixel_formats=("rgb24",)),
    replace(
        _X264,
        name="libx265",
        codec="hevc",
        pixel_formats=(*_EIGHT_AND_TEN, "gbrp"),
        threads="pools={}",
        always="log-level=error open-gop=0",
        params="-x265-params",
    ),
    Encoder(
        "libsvtav1",
        "av1",
        ("yuv420p", "yuv420p10le"),
        quality="crf={}",  # -crf 0 would mean the default
        preset="-preset {}",
        presets=tuple(str(number) for number in range(13, -1, -1)),
        default_preset="8",
        fast_decode="fast-decode=1",
        threads="lp={}",
        params="-svtav1-params",
        least_side=16,
    ),
    Encoder(
        "libvpx-vp9",
        "vp9",
        (*_EIGHT_AND_TEN, "gbrp"),
        quality="-crf {} -b:v 0",
        preset="-cpu-used {}",
        presets=tuple(str(number) for number in range(8, -1, -1)),
        default_preset="4",
        always="-deadline good -row-mt 1",
    ),
    Encoder("ffv1", "ffv1", ("bgr0", *_EIGHT_AND_TEN, "gray"), always="-level 3 -slicecrc 1 -g 1"),
    Encoder("mjpeg", "mjpeg", ("yuvj420p", "yuvj422p", "yuvj444p"), quality="-q:v {}"),
    Encoder(
        "prores_ks",
        "prores",
        ("yuv422p10le", "yuv444p10le"),
        preset="-profile:v {}",
        presets=("proxy", "lt", "standard", "hq", "4444", "4444xq"),
    ),
    Encoder("gif", "gif", ("pal8",)),
)
_device = partial(Encoder, threads="", is_hardware=True)


def _devices(codec: str) -> list[Encoder]:
    """Return the encoders of this codec that devices have, in the order of preference."""
    is_av1 = codec == "av1"
    return [
        _device(
            f"{codec}_nvenc",
            codec,
            ("yuv420p",) if is_av1 else ("yuv420p", "yuv444p"),
            quality="-rc vbr -cq {} -b:v 0",
            scale=(1, 51),
            preset="-preset {}",
            presets=tuple(f"p{number}" for number in range(1, 8)),
        ),
        _device(
            f"{codec}_qsv",
            codec,
            ("nv12",),
            quality="-global_quality {}",
            scale=(1, 51),
            preset="-preset {}",
            presets=tuple("veryfast faster fast medium slow slower veryslow".split()),
        ),
        _device(
            f"{codec}_amf",
            codec,
            ("yuv420p", "nv12"),
            quality="-rc cqp -qp_i {} -qp_p {}",
            scale=(1, 255) if is_av1 else (0, 51),
            preset="-quality {}",
            presets=("speed", "balanced", "quality"),
        ),
        _device(
            f"{codec}_vaapi",
            codec,
            ("nv12",),
            quality="-rc_mode CQP -qp {}",
            scale=(1, 255) if is_av1 else (1, 51),
            before_input="-vaapi_device /dev/dri/renderD128",
            upload="hwupload",
        ),
    ]


_HARDWARE = (
    *(
        _device(f"{codec}_videotoolbox", codec, ("yuv420p", "nv12"), quality="-q:v {}", scale=(100, 1))
        for codec in ("h264", "hevc")
    ),
    *(encoder for codec in ("h264", "hevc", "av1") for encoder in _devices(codec)),
)

ENCODERS = {encoder.name: encoder for encoder in (*_HARDWARE, *_SOFTWARE)}
"""Hardware first, and each kind in the order of preference."""


def usual_suffix(codec: str) -> str:
    """Return the usual suffix for a codec or an encoder; ".mp4" if it is unknown."""
    if codec in ENCODERS:
        codec = ENCODERS[codec].codec
    return CODECS[codec].suffixes[0] if codec in CODECS else ".mp4"


def suffix_of(path: PurePath) -> str:
    """Return the suffix of a file's name, in lower case."""
    return path.suffix.lower()
