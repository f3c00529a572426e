"""The options of users: the encoder that fulfils them and its arguments, or an error that says what fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any

from .encoders import CODECS, ENCODERS, MUXERS, Codec, Encoder

WhyNot = Callable[[str], str | None]
"""A function that returns why the encoder of this name does not work here, or None if it does."""


@dataclass(frozen=True)
class Options:
    """The wishes of a user; None leaves it to the codec."""

    codec: str = "h264"
    crf: float | None = None
    preset: str | int | None = None
    gop: int | None = None
    pixel_format: str | None = None
    fast_decode: bool = False
    threads: int | None = None
    ffmpeg_params: Sequence[str] = ()


def exact_rate(fps: float | Fraction) -> Fraction:
    """Return frames a second as a fraction of whole numbers.

    >>> exact_rate(30000 / 1001)
    Fraction(30000, 1001)
    >>> exact_rate(29.97)
    Fraction(2997, 100)

    Raises:
        TypeError: It is not a number.
        ValueError: It is not above 0, or endless.
    """
    if isinstance(fps, (bool, str)) or not hasattr(fps, "__float__"):
        raise TypeError(f"fps={fps!r} must be a number, such as 25 or Fraction(30000, 1001)")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps={fps!r} must be above 0 and finite")
    exact = Fraction(fps) if isinstance(fps, Rational) else Fraction(float(fps)).limit_denominator(1_001_000)
    if not exact or max(exact.numerator, exact.denominator) >= 2**31:
        raise ValueError(f"fps={fps!r} is a fraction that ffmpeg cannot hold: {exact}")
    return exact


def choose_encoder(options: Options, suffix: str, why_not: WhyNot) -> Encoder:
    """Return the encoder that fulfils the options, or raise ValueError if there is none.

    Args:
        options: The wishes of the user.
        suffix: The end of the file's name, such as ".mp4".
        why_not: Says whether an encoder works here; only called for `codec="auto"`.
    """
    if options.codec == "auto":
        return _choose_freely(options, suffix, why_not)
    if options.codec in ENCODERS:
        candidates = [ENCODERS[options.codec]]
    elif options.codec in CODECS:
        candidates = [
            each for each in ENCODERS.values() if each.codec == options.codec and not each.is_hardware
        ]
    else:
        raise ValueError(
            f"codec={options.codec!r} is unknown; there are {_list(CODECS)}, 'auto', and the encoders "
            f"{_list(ENCODERS)}"
        )
    codec = candidates[0].codec
    allowed = CODECS[codec].suffixes
    if suffix not in allowed:
        others = [name for name, each in CODECS.items() if suffix in each.suffixes]
        hint = f"; {suffix} takes {_list(others)}" if others else ""
        raise ValueError(
            f"{codec} goes into {_list(allowed)} files, and {_shown(suffix)} is none of them{hint}"
        )
    for encoder in candidates:
        if options.pixel_format in (None, *encoder.pixel_formats):
            return encoder
    formats = [name for encoder in candidates for name in encoder.pixel_formats]
    raise ValueError(f"pixel_format={options.pixel_format!r}: {options.codec} has {_list(formats)}")


def _choose_freely(options: Options, suffix: str, why_not: WhyNot) -> Encoder:
    if suffix not in MUXERS:
        raise ValueError(f"{_shown(suffix)} is not a kind of video file; there are {_list(MUXERS)}")
    fitting = [encoder for encoder in ENCODERS.values() if _fits(encoder, options, suffix)]
    for encoder in sorted(fitting, key=lambda each: _preference(each, suffix)):
        if why_not(encoder.name) is None:
            return encoder
    asked = {name: value for name, value in vars(options).items() if value not in (None, False, (), "auto")}
    wish = ", ".join(f"{name}={value!r}" for name, value in asked.items()) or "anything"
    raise ValueError(f"no encoder that works here writes {wish} to a {suffix} file")


def _fits(encoder: Encoder, options: Options, suffix: str) -> bool:
    formats = (None, *encoder.pixel_formats)
    if suffix not in CODECS[encoder.codec].suffixes or options.pixel_format not in formats:
        return False
    try:
        encoder_arguments(encoder, options)
    except ValueError:
        return False
    return True


def _preference(encoder: Encoder, suffix: str) -> tuple[bool, bool, bool, int]:
    """Prefer hardware, then small files, the codec that is usual in such files, and the order of codecs."""
    codec = CODECS[encoder.codec]
    is_unusual = codec.suffixes[0] != suffix
    return not encoder.is_hardware, codec.is_intra_only, is_unusual, list(CODECS).index(encoder.codec)


def encoder_arguments(encoder: Encoder, options: Options) -> list[str]:
    """Return the options of ffmpeg's output that make the encoder fulfil these.

    Raises:
        TypeError: `ffmpeg_params` is not a sequence of strings.
        ValueError: The encoder does not have it, or not with this value.
    """
    codec = CODECS[encoder.codec]
    chosen = [
        encoder.always,
        _quality(encoder, codec, options.crf),
        _preset(encoder, options.preset),
        _gop(encoder, codec, options.gop),
        _fast_decode(encoder) if options.fast_decode else "",
        _threads(encoder, options.threads),
    ]
    arguments = [each for text in chosen for each in text.split() if text.startswith("-")]
    settings = [each for text in chosen for each in text.split() if not text.startswith("-")]
    raw = _raw(options.ffmpeg_params)
    if settings and encoder.params in raw[:-1]:  # ffmpeg would take only the last list: the user's
        place = raw.index(encoder.params) + 1
        raw[place] = ":".join([*settings, raw[place]])
    elif settings:
        arguments += [encoder.params, ":".join(settings)]
    return ["-c:v", encoder.name, *arguments, *raw]


def _quality(encoder: Encoder, codec: Codec, crf: float | None) -> str:
    if not encoder.quality or codec.crf is None:
        if crf is None:
            return ""
        presets = _list(encoder.presets)
        instead = f"its quality is its preset: {presets}" if presets else "leave it out"
        raise ValueError(f"crf={crf!r}: {encoder.name} has no crf; {instead}")
    value: Any = codec.default_crf if crf is None else crf
    best, worst = codec.crf[0], codec.crf[-1]
    if not _is_a(Real, value) or not best <= value <= worst:
        raise ValueError(f"crf={crf!r} must be between {best}, the best, and {worst} for {encoder.codec}")
    if encoder.scale:
        own_best, own_worst = encoder.scale
        value = round(own_best + (value - best) / (worst - best) * (own_worst - own_best))
    return encoder.quality.replace("{}", f"{float(value):g}")


def _preset(encoder: Encoder, preset: str | int | None) -> str:
    if preset is None:
        return encoder.preset.replace("{}", encoder.default_preset) if encoder.default_preset else ""
    if str(preset) not in encoder.presets:
        has = f"has {_list(encoder.presets)}, from fast to slow" if encoder.presets else "has no presets"
        raise ValueError(f"preset={preset!r}: {encoder.name} {has}")
    return encoder.preset.replace("{}", str(preset))


def _gop(encoder: Encoder, codec: Codec, gop: int | None) -> str:
    if gop is None:
        return ""
    if codec.is_intra_only:
        raise ValueError(f"gop={gop!r}: every frame of {encoder.codec} is a keyframe; leave gop out")
    _check_positive("gop", gop, "frames from a keyframe to the next, at most")
    return f"-g {gop}"


def _fast_decode(encoder: Encoder) -> str:
    if not encoder.fast_decode:
        have = [name for name, each in ENCODERS.items() if each.fast_decode]
        raise ValueError(f"fast_decode=True: {encoder.name} does not have it; {_list(have)} do")
    return encoder.fast_decode


def _threads(encoder: Encoder, threads: int | None) -> str:
    if threads is None:
        return ""
    _check_positive("threads", threads, "threads that encode")
    if not encoder.threads:
        raise ValueError(f"threads={threads!r}: {encoder.name} encodes on a device and has no threads to set")
    return encoder.threads.replace("{}", str(threads))


def _check_positive(name: str, value: int, meaning: str) -> None:
    if not _is_a(Integral, value) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number from 1 on: {meaning}")


def _is_a(kind: type, value: Any) -> bool:
    """Return whether a value is such a number, Python's or numpy's; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _raw(params: Sequence[str]) -> list[str]:
    is_list = isinstance(params, Iterable) and not isinstance(params, str)
    if not is_list or not all(isinstance(each, str) for each in params):
        raise TypeError(f"ffmpeg_params={params!r} must be a sequence of strings, such as ('-tune', 'grain')")
    return list(params)


def _shown(suffix: str) -> str:
    return repr(suffix) if suffix else "a name without a suffix"


def _list(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
