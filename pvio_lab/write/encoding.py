"""The arguments of ffmpeg for a file: encoder, size, colours and container; and which encoders work here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache

from ..errors import EncodeError
from .encoders import ENCODERS, MUXERS, Encoder, EncoderInfo
from .ffmpeg import ffmpeg_program, reason_of_end, run
from .options import Options, choose_encoder, encoder_arguments

# A device that hangs is no device.
_SECONDS = 20.0
# Such files have so many moments a second; frames that are closer would fall into one.
_HIGHEST_RATE = {"gif": 100, "matroska": 1000, "webm": 1000, "mpegts": 90_000}
# From this size on, players take colours to be BT.709 unless the file says otherwise.
_HD_WIDTH, _HD_HEIGHT = 1280, 720
# Files of these kinds cannot say which colours they hold; ffmpeg reads them as BT.601 at any size.
_WITHOUT_TAGS = {".avi"}


class Encoding:
    """The arguments of ffmpeg for a file, once the size of its frames is known.

    Args:
        options: What the user asks for.
        suffix: The end of the file's name.
        rate: Frames a second.

    Raises:
        EncodeError: The encoder does not work here.
        ValueError: An option does not exist, or not with this value.
    """

    def __init__(self, options: Options, suffix: str, rate: Fraction):
        self.encoder = choose_encoder(options, suffix, why_not)
        self._pixel_format = options.pixel_format or self.encoder.pixel_formats[0]
        self._suffix, self._rate = suffix, rate
        self._output = [*encoder_arguments(self.encoder, options), *container_arguments(suffix, rate)]
        name = self.encoder.name
        if self.encoder.is_hardware and (reason := why_not(name)):
            raise EncodeError(f"{name} does not encode on this machine: {reason}")

    def arguments(self, width: int, height: int) -> list[str]:
        """Return all arguments but the file, or raise ValueError if this size is impossible."""
        if min(width, height) < self.encoder.least_side:
            raise ValueError(
                f"{width}x{height} pixels are too few for {self.encoder.name}: "
                f"at least {self.encoder.least_side} each way, or another codec"
            )
        check_size(width, height, self._pixel_format, self.encoder.codec)
        return [
            *self.encoder.before_input.split(),
            *f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {self._rate} -i pipe:0".split(),
            *colour_arguments(self.encoder, self._pixel_format, width, height, suffix=self._suffix),
            *self._output,
        ]

    def full_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the smallest size, from this one up, that the pixel format can hold."""
        step_x, step_y = chroma_steps(self._pixel_format)
        return width + -width % step_x, height + -height % step_y


def available_encoders() -> list[EncoderInfo]:
    """Return the encoders that encode here, hardware first: each has just written a frame.

    >>> "libx264" in [encoder.name for encoder in available_encoders()]
    True

    Raises:
        EncodeError: There is no ffmpeg program.
    """
    with ThreadPoolExecutor(4) as pool:
        reasons = list(pool.map(why_not, ENCODERS))
    return [ENCODERS[name].info for name, reason in zip(ENCODERS, reasons, strict=True) if reason is None]


def why_not(name: str) -> str | None:
    """Return why an encoder does not work here, as ffmpeg says it; None if it does. Each is tried once."""
    return _try(ffmpeg_program(), name)


@cache
def _try(program: str, name: str) -> str | None:
    """Encode one frame, with the very options that a writer would use."""
    encoder = ENCODERS[name]
    arguments = [
        *encoder.before_input.split(),
        *"-f lavfi -i color=gray:size=256x256:rate=25 -frames:v 1".split(),
        *colour_arguments(encoder, encoder.pixel_formats[0], 256, 256),
        *encoder_arguments(encoder, Options()),
        *"-f null -".split(),
    ]
    code, said = run(arguments, _SECONDS)
    if code is None:
        return f"it did not encode one frame in {_SECONDS:g} seconds"
    return reason_of_end(said, code) if code else None


def container_arguments(suffix: str, rate: Fraction) -> list[str]:
    """Return the options of ffmpeg's output for such a file, or raise ValueError if the rate is too high."""
    muxer = MUXERS[suffix]
    highest = _HIGHEST_RATE.get(muxer)
    if highest and rate > highest:
        raise ValueError(f"fps={rate} is more than a {suffix} file can hold: up to {highest} frames a second")
    quick_start = ["-movflags", "+faststart"] if muxer in ("mp4", "mov") else []
    return [*quick_start, "-f", muxer]


def check_size(width: int, height: int, pixel_format: str, codec: str) -> None:
    """Raise ValueError for an odd size where the pixel format shares colours between neighbours."""
    step_x, step_y = chroma_steps(pixel_format)
    sides = (("width", width, step_x, "column"), ("height", height, step_y, "row"))
    odd = [(name, size, edge) for name, size, step, edge in sides if size % step]
    if odd:
        full = [
            name
            for encoder in ENCODERS.values()
            if encoder.codec == codec and not encoder.is_hardware
            for name in encoder.pixel_formats
            if chroma_steps(name) == (1, 1)
        ]
        other = f"or choose pixel_format={full[0]!r}" if full else "or another codec"
        raise ValueError(
            f"{' and '.join(f'the {name} {size} is odd' for name, size, _ in odd)}, which {pixel_format} "
            f"cannot hold: pad=True repeats {' and '.join(f'the last {edge}' for *_, edge in odd)}, {other}"
        )


def chroma_steps(pixel_format: str) -> tuple[int, int]:
    """Return how many pixels share a colour, across and down.

    >>> chroma_steps("yuv420p"), chroma_steps("yuv422p10le"), chroma_steps("bgr0")
    ((2, 2), (2, 1), (1, 1))
    """
    if "420" in pixel_format or pixel_format == "nv12":
        return 2, 2
    return (2, 1) if "422" in pixel_format else (1, 1)


def colour_arguments(
    encoder: Encoder, pixel_format: str, width: int, height: int, *, suffix: str = ""
) -> list[str]:
    """Return filters that convert RGB to the pixel format, and tags that say how to convert it back."""
    # Filters of the user's own replace these, and must not change the pixel format.
    own_format = [] if encoder.upload else ["-pix_fmt", pixel_format]
    if encoder.name == "gif":
        palette = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"
        return ["-filter_complex", palette, *own_format]
    if not pixel_format.startswith(("yuv", "nv", "gray")):
        return ["-vf", f"format={pixel_format}", *own_format]
    if pixel_format.startswith(("yuvj", "gray")):
        return ["-vf", f"scale=out_color_matrix=smpte170m:out_range=pc,format={pixel_format}", *own_format]
    is_hd = (width >= _HD_WIDTH or height >= _HD_HEIGHT) and suffix not in _WITHOUT_TAGS
    space = "bt709" if is_hd else "smpte170m"
    filters = [
        f"scale=out_color_matrix={space}:out_range=tv",
        f"format={pixel_format}",
        f"setparams=color_primaries={space}:color_trc={space}",
        *([encoder.upload] if encoder.upload else []),
    ]
    tags = f"-colorspace {space} -color_primaries {space} -color_trc {space} -color_range tv"
    return ["-vf", ",".join(filters), *tags.split(), *own_format]
