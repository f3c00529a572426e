"""RGB becomes the colours a codec stores, and the file says how to get back."""

from __future__ import annotations

from .codecs import ENCODERS, Encoder

# From this size on, players take colours to be BT.709 unless told otherwise.
_HD_WIDTH, _HD_HEIGHT = 1280, 720
# Files of these kinds cannot say which colours they hold; ffmpeg reads them as BT.601, whatever the size.
_WITHOUT_TAGS = {".avi"}


def check_size(width: int, height: int, pixel_format: str, codec: str) -> None:
    """Raises ValueError for an odd size where the pixel format shares colours between neighbours."""
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
    """How many pixels share a colour, across and down.

    >>> chroma_steps("yuv420p"), chroma_steps("yuv422p10le"), chroma_steps("bgr0")
    ((2, 2), (2, 1), (1, 1))
    """
    if "420" in pixel_format or pixel_format == "nv12":
        return 2, 2
    return (2, 1) if "422" in pixel_format else (1, 1)


def colour_arguments(
    encoder: Encoder, pixel_format: str, width: int, height: int, *, suffix: str = ""
) -> list[str]:
    """Filters that convert RGB to the pixel format, and the tags that tell players how to convert it back."""
    # Filters of the user's own replace these, and must not change the pixel format.
    own_format = [] if encoder.upload else ["-pix_fmt", pixel_format]
    return [*_filters(encoder, pixel_format, width, height, suffix), *own_format]


def _filters(encoder: Encoder, pixel_format: str, width: int, height: int, suffix: str) -> list[str]:
    if encoder.name == "gif":
        return ["-filter_complex", "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"]
    if not pixel_format.startswith(("yuv", "nv", "gray")):
        return ["-vf", f"format={pixel_format}"]
    if pixel_format.startswith(("yuvj", "gray")):
        return ["-vf", f"scale=out_color_matrix=smpte170m:out_range=pc,format={pixel_format}"]
    is_hd = (width >= _HD_WIDTH or height >= _HD_HEIGHT) and suffix not in _WITHOUT_TAGS
    space = "bt709" if is_hd else "smpte170m"
    filters = [
        f"scale=out_color_matrix={space}:out_range=tv",
        f"format={pixel_format}",
        f"setparams=color_primaries={space}:color_trc={space}",
        *([encoder.upload] if encoder.upload else []),
    ]
    tags = f"-colorspace {space} -color_primaries {space} -color_trc {space} -color_range tv"
    return ["-vf", ",".join(filters), *tags.split()]
