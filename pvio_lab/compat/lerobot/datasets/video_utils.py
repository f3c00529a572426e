"""LeRobot's names for decoding by time, encoding, joining and facts of videos."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ....base import one_of
from ....errors import FrameTimestampError
from ....read import (
    RecentReaders,
    VideoInfo,
    VideoReader,
    channels_of,
    get_video_metadata,
    nearest_frames,
    shown,
)
from ....write import available_encoders
from ....write import concatenate_video_files as _concatenate
from ....write import encode_video_frames as _encode
from .camera_thread import _CameraEncoderThread as _CameraEncoderThread
from .recording import StreamingVideoEncoder, VideoEncodingManager
from .writer_options import CRF, GOP, HW_ENCODERS, VALID_VIDEO_CODECS, writer_options
from .writer_options import _get_codec_options as _get_codec_options

if TYPE_CHECKING:
    import torch

    from .video_frame import VideoFrame

__all__ = [
    "HW_ENCODERS",
    "VALID_VIDEO_CODECS",
    "FrameTimestampError",
    "StreamingVideoEncoder",
    "VideoDecoderCache",
    "VideoEncodingManager",
    "VideoFrame",
    "concatenate_video_files",
    "decode_video_frames",
    "decode_video_frames_torchcodec",
    "decode_video_frames_torchvision",
    "detect_available_hw_encoders",
    "encode_video_frames",
    "get_audio_info",
    "get_safe_default_codec",
    "get_video_duration_in_s",
    "get_video_info",
    "get_video_pixel_channels",
    "resolve_vcodec",
]

logger = logging.getLogger(__name__)
Source = str | PathLike[str]

_IMAGES = f"frame-{'[0-9]' * 6}.png"
_AV_LOG_WARNING = 24


def detect_available_hw_encoders() -> list[str]:
    """Return the hardware encoders of `HW_ENCODERS` that encode here.

    LeRobot only asks whether FFmpeg knows them, which it also does where the device is missing.
    """
    found = {encoder.name for encoder in available_encoders()}
    return [name for name in HW_ENCODERS if name in found]


def resolve_vcodec(vcodec: str) -> str:
    """Return the encoder: "auto" is the first hardware encoder there is, or libsvtav1.

    Raises:
        ValueError: There is no such encoder.
    """
    if vcodec not in VALID_VIDEO_CODECS:
        raise ValueError(
            f"Invalid vcodec {vcodec!r}: it must be one of {', '.join(sorted(VALID_VIDEO_CODECS))}"
        )
    chosen = vcodec
    if vcodec == "auto":
        available = detect_available_hw_encoders()
        chosen = next((name for name in HW_ENCODERS if name in available), "libsvtav1")
    logger.info("vcodec=%r: encoding with %s", vcodec, chosen)
    return chosen


def get_safe_default_codec() -> str:
    """Return the name of LeRobot's default backend: "torchcodec" if that is installed, or "pyav"."""
    if importlib.util.find_spec("torchcodec"):
        return "torchcodec"
    logger.warning("torchcodec is not installed: the default backend is 'pyav'")
    return "pyav"


class VideoDecoderCache:
    """Decoders that are kept from call to call; a file that has changed is opened anew.

    A few stay open, and are closed when idle; indexes of more, up to 96 MiB, are kept.
    """

    def __init__(self) -> None:
        self._readers = RecentReaders(_Decoder)

    def get_decoder(self, video_path: Source) -> _Decoder:
        """Return the decoder of this video, which is opened if it is not there yet."""
        return self._readers.get(str(video_path))

    def clear(self) -> None:
        """Forget all decoders, and close those that no thread is using."""
        self._readers.close()

    def size(self) -> int:
        """Return how many videos are kept."""
        return len(self._readers)


class _Decoder(VideoReader):
    """A reader that also has what LeRobot asks of torchcodec's `VideoDecoder`."""

    @property
    def metadata(self) -> SimpleNamespace:
        """The facts of the video under torchcodec's names."""
        info = self.info
        return SimpleNamespace(
            average_fps=info.fps,
            num_frames=info.num_frames,
            duration_seconds=info.duration_seconds,
            begin_stream_seconds=info.start_seconds,
            height=info.height,
            width=info.width,
            codec=info.codec,
        )

    def get_frames_at(self, indices: Sequence[int]) -> SimpleNamespace:
        """Return the frames of these numbers, their times and durations, as tensors."""
        import torch

        numbers = np.asarray(indices, np.int64)
        pts, durations = (torch.from_numpy(each[numbers]) for each in self.times)
        frames = self.read(numbers, as_torch=True)
        return SimpleNamespace(data=frames, pts_seconds=pts, duration_seconds=durations)


_default_decoder_cache = VideoDecoderCache()


def decode_video_frames(
    video_path: Path | str, timestamps: list[float], tolerance_s: float, backend: str | None = None
) -> torch.Tensor:
    """Return the nearest frame for each time, as `(n, C, H, W)` float32 between 0 and 1.

    Each backend is this library. Times are compared in 64 bits: in 32 bits, a time after half an hour is off
    by a tenth of a millisecond.

    Raises:
        FrameTimestampError: The nearest frame is not closer than `tolerance_s`.
        ValueError: There is no such backend.
    """
    backend = backend or get_safe_default_codec()
    if backend not in ("torchcodec", "pyav", "video_reader"):
        raise ValueError(
            f"Unsupported video backend: {backend!r}; there are 'torchcodec', 'pyav' and 'video_reader'"
        )
    return decode_video_frames_torchcodec(video_path, timestamps, tolerance_s)


def decode_video_frames_torchvision(
    video_path: Path | str,
    timestamps: list[float],
    tolerance_s: float,
    backend: str = "pyav",
    log_loaded_timestamps: bool = False,
) -> torch.Tensor:
    """Do the same as `decode_video_frames`; torchvision is not needed."""
    one_of(backend, ("pyav", "video_reader"), "backend")
    return decode_video_frames_torchcodec(video_path, timestamps, tolerance_s, log_loaded_timestamps)


def decode_video_frames_torchcodec(
    video_path: Path | str,
    timestamps: list[float],
    tolerance_s: float,
    log_loaded_timestamps: bool = False,
    decoder_cache: VideoDecoderCache | None = None,
) -> torch.Tensor:
    """Do the same as `decode_video_frames`; torchcodec is not needed.

    Args:
        video_path: The video.
        timestamps: Times in seconds.
        tolerance_s: Each frame has to be closer than this to its time.
        log_loaded_timestamps: Log the time of each frame.
        decoder_cache: Where decoders are kept; a common one when left out.
    """
    import torch

    cache = _default_decoder_cache if decoder_cache is None else decoder_cache
    reader = cache.get_decoder(str(video_path))
    if tolerance_s <= 0:
        raise FrameTimestampError(
            f"no frame is closer than tolerance_s={tolerance_s!r}; it must be more than 0"
        )
    times = np.asarray(timestamps, np.float64).reshape(-1)
    numbers = nearest_frames(
        reader.times.pts_seconds, times, float(np.nextafter(tolerance_s, 0)), shown(video_path)
    )
    if log_loaded_timestamps:
        for seconds in reader.times.pts_seconds[numbers]:
            logger.info("frame loaded at timestamp=%.4f", seconds)
    frames = reader.read(numbers, as_torch=True)
    return frames.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def encode_video_frames(
    imgs_dir: Path | str,
    video_path: Path | str,
    fps: int,
    vcodec: str = "libsvtav1",
    pix_fmt: str = "yuv420p",
    g: int | None = GOP,
    crf: int | None = CRF,
    fast_decode: int = 0,
    log_level: int | None = _AV_LOG_WARNING,
    overwrite: bool = False,
    preset: int | None = None,
    encoder_threads: int | None = None,
) -> None:
    """Write `frame-000000.png`, `frame-000001.png` ... of a folder to a video; `log_level` has no effect.

    The file appears when it is complete. If it is there, nothing happens, unless `overwrite` says so.

    Raises:
        FileNotFoundError: There are no such images.
        ValueError: There is no such encoder, or an option has no such value.
    """
    encoder, images, place = resolve_vcodec(vcodec), Path(imgs_dir), Path(video_path)
    if _is_to_stay(place, overwrite):
        return
    options = writer_options(encoder, pix_fmt, g, crf, preset, fast_decode, encoder_threads)
    if not any(images.glob(_IMAGES)):
        raise FileNotFoundError(f"No images found in {images}: their names must be like frame-000000.png")
    _encode(images, place, fps, pattern=_IMAGES, progress=False, **options)


def concatenate_video_files(
    input_video_paths: list[Path | str], output_video_path: Path, overwrite: bool = True
) -> None:
    """Join videos without encoding them again; times and numbers of frames add up exactly.

    Raises:
        FileNotFoundError: There is nothing to join, or a video is not there.
        ValueError: They do not fit together; LeRobot writes a file in which they are wrong.
    """
    place = Path(output_video_path)
    if _is_to_stay(place, overwrite):
        return
    if len(input_video_paths) == 0:
        raise FileNotFoundError("No input video paths provided: there is nothing to join")
    _concatenate(input_video_paths, place)


def _is_to_stay(place: Path, overwrite: bool) -> bool:
    if place.exists() and not overwrite:
        logger.warning("Video file already exists: %s. It stays as it is; overwrite=True replaces it", place)
        return True
    place.parent.mkdir(parents=True, exist_ok=True)
    return False


def get_video_info(video_path: Path | str) -> dict[str, Any]:
    """Return the facts of a video under LeRobot's keys; height and width are as displayed, after rotation."""
    info = get_video_metadata(video_path, cache=False)
    facts = {
        "video.height": info.height,
        "video.width": info.width,
        "video.codec": info.codec,
        "video.pix_fmt": info.pixel_format,
        "video.is_depth_map": False,
        "video.fps": int(round(info.fps, 2)),  # 29.97 -> 29, as there
        "video.channels": get_video_pixel_channels(info.pixel_format),
    }
    return facts | _sound_facts(info)


def get_audio_info(video_path: Path | str) -> dict[str, Any]:
    """Return the facts of the sound of a video under LeRobot's keys."""
    return _sound_facts(get_video_metadata(video_path, cache=False))


def _sound_facts(info: VideoInfo) -> dict[str, Any]:
    facts = {} if info.audio is None else {f"audio.{name}": value for name, value in vars(info.audio).items()}
    return facts | {"has_audio": info.has_audio}


def get_video_pixel_channels(pix_fmt: str) -> int:
    """Return how many channels a pixel format has, with alpha.

    Every format of FFmpeg is known; in LeRobot only those whose name has "gray", "rgb" or "yuv" in it.

    Raises:
        ValueError: There is no such pixel format.
    """
    return channels_of(pix_fmt)


def get_video_duration_in_s(video_path: Path | str) -> float:
    """Return the seconds from the first frame until the last one leaves the screen."""
    return get_video_metadata(video_path, cache=False).duration_seconds


def __getattr__(name: str) -> Any:
    if name == "VideoFrame":  # it loads `datasets`
        from .video_frame import VideoFrame

        return VideoFrame
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
