"""Which encoders really encode on this machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain

from ..errors import EncodeError
from .codecs import CODECS, ENCODERS, EncoderInfo
from .colour import colour_arguments
from .ffmpeg import ffmpeg_program, last_words, spoken
from .options import Options, encoder_arguments

# A device that hangs is no device.
_SECONDS = 20.0
_SIZE = (256, 256)


def available_encoders() -> list[EncoderInfo]:
    """The encoders that encode here, hardware first: each has just written a frame.

    >>> "libx264" in [encoder.name for encoder in available_encoders()]
    True

    Raises:
        EncodeError: There is no ffmpeg program.
    """
    with ThreadPoolExecutor(4) as pool:
        fails = list(pool.map(why_not, ENCODERS))
    return [encoder_info(name) for name, reason in zip(ENCODERS, fails, strict=True) if reason is None]


def encoder_info(name: str) -> EncoderInfo:
    """The facts about an encoder of the table."""
    encoder = ENCODERS[name]
    codec = CODECS[encoder.codec]
    return EncoderInfo(
        name=name,
        codec=encoder.codec,
        is_hardware=encoder.is_hardware,
        suffixes=codec.suffixes,
        pixel_formats=encoder.pixel_formats,
        crf=codec.crf if encoder.quality else None,
        default_crf=codec.default_crf if encoder.quality else None,
        presets=encoder.presets,
    )


def works(name: str) -> bool:
    """Whether an encoder works here."""
    return why_not(name) is None


def why_not(name: str) -> str | None:
    """Why an encoder does not work here, in ffmpeg's words; None if it does. Each is tried once."""
    return _try(ffmpeg_program(), name)


@cache
def _try(program: str, name: str) -> str | None:
    """Encodes one frame, with the very options that a writer would use."""
    encoder = ENCODERS[name]
    width, height = _SIZE
    arguments = chain(
        encoder.before_input.split(),
        ["-f", "lavfi", "-i", f"color=gray:size={width}x{height}:rate=25", "-frames:v", "1"],
        colour_arguments(encoder, encoder.pixel_formats[0], width, height),
        encoder_arguments(encoder, Options()),
        ["-f", "null", "-"],
    )
    code, words = spoken(list(arguments), _SECONDS)
    if code is None:
        return f"it did not encode one frame in {_SECONDS:g} seconds"
    return last_words(words, code) if code else None


def require(name: str) -> None:
    """Makes sure that a hardware encoder works.

    Raises:
        EncodeError: It does not; with ffmpeg's words.
    """
    reason = why_not(name) if ENCODERS[name].is_hardware else None
    if reason is not None:
        raise EncodeError(f"{name} does not encode on this machine: {reason}")
