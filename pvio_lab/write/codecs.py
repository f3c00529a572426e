"""The table of codecs and encoders: what each can do, and what its options are called.

One quality number, `crf`, serves every lossy codec, on the codec's own scale. An encoder that counts
otherwise has the ends of its own scale here, and gets the number in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial


@dataclass(frozen=True)
class Codec:
    """What is true of a codec, whoever encodes it."""

    suffixes: tuple[str, ...]
    """File names it can have; the first is the usual one."""
    crf: range | None = None
    """The scale of constant quality, the best first; None for a codec that has none."""
    default_crf: int | None = None
    """Looks like the original, most of the time."""
    is_intra_only: bool = False
    """Every frame is a keyframe, so that `gop` means nothing."""


@dataclass(frozen=True)
class Encoder:
    """One of ffmpeg's encoders, and how it is told things; `{}` stands for the value."""

    name: str
    """As ffmpeg calls it."""
    codec: str
    """A key of `CODECS`."""
    pixel_formats: tuple[str, ...]
    """The first is the default."""
    quality: str = ""
    """Options of constant quality."""
    scale: tuple[int, int] | None = None
    """The best and the worst quality as this encoder counts, where that differs from the codec's scale."""
    preset: str = ""
    """Options of speed against size."""
    presets: tuple[str, ...] = ()
    """From fast to slow."""
    default_preset: str | None = None
    """None leaves it to the encoder."""
    fast_decode: str = ""
    """Options for files that decode faster."""
    threads: str = "-threads {}"
    """Options of how many threads encode."""
    always: str = ""
    """Options it always gets."""
    params: str = ""
    """The name of the option that collects `key=value` settings for the library behind it."""
    before_input: str = ""
    """Options that stand before the input."""
    upload: str = ""
    """Filters that bring frames to the device."""
    least_side: int = 1
    """Smaller pictures end it, or worse."""
    is_hardware: bool = False
    """A device encodes, which may be missing."""


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder that works on this machine."""

    name: str
    """As ffmpeg calls it; `codec=` takes it."""
    codec: str
    """What it writes."""
    is_hardware: bool
    """A device encodes, not the processor."""
    suffixes: tuple[str, ...]
    """The kinds of files it can go into."""
    pixel_formats: tuple[str, ...]
    """The first is the default."""
    crf: range | None
    """The qualities it has, the best first; None for lossless, or fixed by the preset."""
    default_crf: int | None
    """The quality if none is asked for."""
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

_X26X_PRESETS = tuple("ultrafast superfast veryfast faster fast medium slow slower veryslow placebo".split())
_QSV_PRESETS = tuple("veryfast faster fast medium slow slower veryslow".split())
_NVENC_PRESETS = tuple(f"p{number}" for number in range(1, 8))
_EIGHT_AND_TEN = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")


_device = partial(Encoder, threads="", is_hardware=True)


def _nvenc(codec: str) -> Encoder:
    return _device(
        f"{codec}_nvenc",
        codec,
        ("yuv420p", "yuv444p") if codec != "av1" else ("yuv420p",),
        quality="-rc vbr -cq {} -b:v 0",
        scale=(1, 51),
        preset="-preset {}",
        presets=_NVENC_PRESETS,
    )


def _qsv(codec: str) -> Encoder:
    return _device(
        f"{codec}_qsv",
        codec,
        ("nv12",),
        quality="-global_quality {}",
        scale=(1, 51),
        preset="-preset {}",
        presets=_QSV_PRESETS,
    )


def _vaapi(codec: str) -> Encoder:
    return _device(
        f"{codec}_vaapi",
        codec,
        ("nv12",),
        quality="-rc_mode CQP -qp {}",
        scale=(1, 51) if codec != "av1" else (1, 255),
        before_input="-vaapi_device /dev/dri/renderD128",
        upload="hwupload",
    )


def _amf(codec: str) -> Encoder:
    return _device(
        f"{codec}_amf",
        codec,
        ("yuv420p", "nv12"),
        quality="-rc cqp -qp_i {} -qp_p {}",
        scale=(0, 51) if codec != "av1" else (1, 255),
        preset="-quality {}",
        presets=("speed", "balanced", "quality"),
    )


def _videotoolbox(codec: str) -> Encoder:
    return _device(
        f"{codec}_videotoolbox",
        codec,
        ("yuv420p", "nv12"),
        quality="-q:v {}",
        scale=(100, 1),
    )


_SOFTWARE = (
    Encoder(
        "libx264",
        "h264",
        _EIGHT_AND_TEN,
        quality="-crf {}",
        preset="-preset {}",
        presets=_X26X_PRESETS,
        fast_decode="-tune fastdecode",
    ),
    Encoder(
        "libx264rgb",
        "h264",
        ("rgb24",),
        quality="-crf {}",
        preset="-preset {}",
        presets=_X26X_PRESETS,
        fast_decode="-tune fastdecode",
    ),
    Encoder(
        "libx265",
        "hevc",
        (*_EIGHT_AND_TEN, "gbrp"),
        quality="-crf {}",
        preset="-preset {}",
        presets=_X26X_PRESETS,
        fast_decode="-tune fastdecode",
        threads="pools={}",
        always="log-level=error open-gop=0",
        params="-x265-params",
    ),
    Encoder(
        "libsvtav1",
        "av1",
        ("yuv420p", "yuv420p10le"),
        quality="crf={}",  # -crf 0 would be no wish at all
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
_HARDWARE = (
    *(_videotoolbox(codec) for codec in ("h264", "hevc")),
    *(make(codec) for codec in ("h264", "hevc", "av1") for make in (_nvenc, _qsv, _amf, _vaapi)),
)

ENCODERS = {encoder.name: encoder for encoder in (*_HARDWARE, *_SOFTWARE)}
"""Hardware first, and each kind in the order of preference."""
