"""What is known about a video: for users, and for the parts that read it."""

from __future__ import annotations

from dataclasses import dataclass

from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from .. import show


@dataclass(frozen=True)
class AudioInfo:
    """The facts of the sound of a video."""

    channels: int
    """How many channels."""
    codec: str
    """The codec, as ffmpeg calls it."""
    sample_rate: int
    """Samples a second."""
    bit_rate: int | None
    """Bits a second, if known."""
    bit_depth: int | None
    """Bits of a decoded sample."""
    channel_layout: str | None
    """Such as "stereo"."""


@dataclass(frozen=True)
class VideoInfo:
    """The facts of a video."""

    path: str
    """The file."""
    num_frames: int
    """How many frames are shown."""
    height: int
    """Pixels, as displayed: after turning."""
    width: int
    """Pixels, as displayed: after turning."""
    fps: float
    """Frames a second, on average."""
    duration_seconds: float
    """From the first frame until the last one leaves the screen."""
    start_seconds: float
    """The time of the first frame."""
    codec: str
    """The codec, as ffmpeg calls it."""
    pixel_format: str
    """The pixel format of the codec, as ffmpeg calls it."""
    container: str
    """The container, as ffmpeg calls it."""
    rotation_degrees: int
    """How far the pictures are turned counter-clockwise for display, as the file asks for."""
    is_variable_rate: bool
    """Frames stay on screen for different times."""
    bit_rate: int
    """Bits a second of the video stream, on average."""
    size_bytes: int
    """The size of the file."""
    audio: AudioInfo | None
    """The sound, if there is any."""

    def _repr_html_(self) -> str:
        return show.html("info", self)


@dataclass(frozen=True)
class Stream:
    """What container and codec say about a video stream, before anything is decoded."""

    index: int
    """Its place in the file."""
    codec: str
    """The codec, as ffmpeg calls it."""
    container: str
    """The container, as ffmpeg calls it: a list of names."""
    pixel_format: str | None
    """If it is known already."""
    extradata: bytes | None
    """The codec's own header."""
    is_intra_only: bool
    """Every frame of this codec is complete in itself."""
    has_b_frames: bool
    """Frames may be shown in another order than they are stored in."""
    promised_frames: int
    """How many frames the header promises; 0 for unknown."""
    has_duration: bool
    """The container says how long it is."""
    time_base: float
    """Seconds in a tick."""
    rates: tuple[float, ...]
    """Frames a second, as container and codec have it; the most trusted first."""
    keyframe_table: tuple[bool, ...]
    """Which packets are keyframes, as a table in the container says; may be empty."""
    num_videos: int
    """How many video streams the file has."""
    audio: AudioInfo | None
    """The sound of the file."""

    @property
    def containers(self) -> frozenset[str]:
        """The names of the container."""
        return frozenset(self.container.split(","))


def stream_facts(container: InputContainer, stream: VideoStream) -> Stream:
    """Collects what container and codec say."""
    context = stream.codec_context
    rates = (context.framerate, stream.guessed_rate, stream.average_rate)
    return Stream(
        index=stream.index,
        codec=context.codec.canonical_name,
        container=container.format.name,
        pixel_format=pixel_format(context),
        extradata=context.extradata,
        is_intra_only=bool(context.codec.intra_only),
        has_b_frames=bool(context.has_b_frames),
        promised_frames=stream.frames,
        has_duration=container.duration is not None,
        time_base=float(stream.time_base or 1),
        rates=tuple(float(rate) for rate in rates if rate),
        keyframe_table=tuple(entry.is_keyframe for entry in stream.index_entries),
        num_videos=len(container.streams.video),
        audio=_audio(container),
    )


def pixel_format(context: VideoCodecContext) -> str | None:
    """Return the pixel format, if it is known: where it is not, PyAV 17 crashes on `context.pix_fmt`."""
    return context.format.name if context.format else None


def _audio(container: InputContainer) -> AudioInfo | None:
    stream = next(iter(container.streams.audio), None)
    if stream is None or stream.codec_context is None:
        return None
    context = stream.codec_context
    return AudioInfo(
        channels=context.channels,
        codec=context.codec.canonical_name,
        sample_rate=context.sample_rate,
        bit_rate=context.bit_rate or None,
        bit_depth=context.format.bits if context.format else None,
        channel_layout=context.layout.name if context.layout else None,
    )
