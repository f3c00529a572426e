"""LeRobot's encoders and options in the words of this library's writers."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger(__name__)

HW_ENCODERS = [
    "h264_videotoolbox",
    "hevc_videotoolbox",
    "h264_nvenc",
    "hevc_nvenc",
    "h264_vaapi",
    "h264_qsv",
]
# The defaults of all that writes: every second frame is a keyframe, so that reading at random is quick.
GOP, CRF = 2, 30
VALID_VIDEO_CODECS = {"h264", "hevc", "libsvtav1", "auto"} | set(HW_ENCODERS)

# The quality that each encoder has if nothing is said: x264's, x265's and SVT-AV1's own.
_OWN_CRF = {"h264": 23, "hevc": 28, "libsvtav1": 35}
_PRESET = 12
_QUALITY_ON_DEVICES = {
    "videotoolbox": lambda crf: {"q:v": str(max(1, min(100, int(100 - 2 * crf))))},
    "nvenc": lambda crf: {"rc": "constqp", "qp": str(crf)},
    "vaapi": lambda crf: {"qp": str(crf)},
    "qsv": lambda crf: {"global_quality": str(crf)},
}


def _get_codec_options(
    vcodec: str, g: int | None = GOP, crf: int | None = CRF, preset: int | None = None
) -> dict[str, str]:
    """Return the options of an encoder as FFmpeg spells them."""
    device = vcodec.partition("_")[2] if vcodec in HW_ENCODERS else ""
    options = {"g": str(g)} if g is not None and device in ("", "videotoolbox") else {}
    if crf is not None and device:
        options |= _QUALITY_ON_DEVICES[device](crf)
    elif crf is not None and vcodec in _OWN_CRF:
        options["crf"] = str(crf)
    if vcodec == "libsvtav1":
        options["preset"] = str(_PRESET if preset is None else preset)
    return options


def writer_options(
    vcodec: str,
    pix_fmt: str,
    g: int | None,
    crf: int | None,
    preset: int | None,
    fast_decode: int = 0,
    encoder_threads: int | None = None,
) -> dict[str, Any]:
    """Return the options of `VideoWriter`. As in LeRobot, only SVT-AV1 gets a preset.

    Devices have no threads to set and no fast decoding, and store 4:2:0 in a form of their own.
    """
    if vcodec in HW_ENCODERS:
        pairs = _get_codec_options(vcodec, g, crf).items()
        return {
            "codec": vcodec,
            "pixel_format": None if pix_fmt == "yuv420p" else pix_fmt,
            "ffmpeg_params": [part for name, value in pairs for part in (f"-{name}", value)],
        }
    if pix_fmt == "yuv444p" and vcodec in ("libsvtav1", "hevc"):
        logger.warning("pix_fmt='yuv444p' does not go with %s: it is 'yuv420p' instead", vcodec)
        pix_fmt = "yuv420p"
    options: dict[str, Any] = {
        "codec": vcodec,
        "pixel_format": pix_fmt,
        "gop": g,
        "crf": _OWN_CRF[vcodec] if crf is None else crf,
        "threads": encoder_threads,
    }
    if vcodec == "libsvtav1":
        fast = ["-svtav1-params", f"fast-decode={fast_decode}"] if fast_decode else []
        return options | {"preset": _PRESET if preset is None else preset, "ffmpeg_params": fast}
    return options | {"fast_decode": bool(fast_decode)}
