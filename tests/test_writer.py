"""What is written is read back: every frame, its colours, its size and its time."""

from __future__ import annotations

import io
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import Colorspace
from PIL import Image
from truth_frames import psnr, read_number
from written import FRAMES, names_in, numbers_in

from make import draw_frame  # isort: skip (found by truth_frames)
from pvio_lab import (
    ImageSequence,
    VideoReader,
    VideoWriter,
    encode_video_frames,
    get_video_metadata,
    write_frames_to_video,
)
from pvio_lab.write import MUXERS
from pvio_lab.write.encoders import CODECS, ENCODERS

pytestmark = pytest.mark.filterwarnings("error")  # nothing is warned about
NTSC = Fraction(30000, 1001)
FRAMES = FRAMES[:12]
SOFTWARE = {name: encoder for name, encoder in ENCODERS.items() if not encoder.is_hardware}
FORMATS = [(name, each) for name, encoder in SOFTWARE.items() for each in encoder.pixel_formats]
SUFFIXES = [(name, each) for name, encoder in SOFTWARE.items() for each in CODECS[encoder.codec].suffixes]
INTER = [name for name, encoder in SOFTWARE.items() if not CODECS[encoder.codec].is_intra_only]
# PSNR of the worst frame in dB, as it was measured, in the order of the encoder's pixel formats.
MEASURED_PSNR = {
    "libx264": (33.3, 34.8, 36.0, 33.9, 34.9, 36.2),
    "libx264rgb": (39.5,),
    "libx265": (32.8, 34.3, 34.8, 33.5, 34.2, 34.7, 34.3),
    "libsvtav1": (33.6, 34.1),
    "libvpx-vp9": (33.5, 35.2, 38.4, 34.2, 35.3, 38.5, 41.7),
    "ffv1": (np.inf, 34.9, 38.0, 52.2, 36.1, 37.8, np.inf, 22.8),  # less than all is lost with the colours
    "mjpeg": (33.6, 35.9, 39.9),
    "prores_ks": (37.4, 49.3),
    "gif": (49.3,),
}
PSNR_MARGIN = 1.5
CONTAINERS = {
    "stack": np.stack,
    "tensor": lambda frames: torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2),
    "tuple": tuple,
    "generator": lambda frames: (frame for frame in frames),
    "channels first": lambda frames: np.stack(frames).transpose(0, 3, 1, 2),
    "backwards twice": lambda frames: np.stack(frames)[::-1].copy()[::-1],
}
PATCHES = np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255] * 3, [0] * 3, [128] * 3])


def write(path, frames, fps=25, **options):
    with VideoWriter(path, fps, **options) as writer:
        for frame in frames:
            writer.append(frame)
    return path


def read(path):
    with VideoReader(path) as reader:
        return reader[:]


def stream_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.average_rate, stream.codec_context


def usual_suffix(name):
    return CODECS[ENCODERS[name].codec].suffixes[0]


def check_round_trip(path, name, pixel_format):
    frames = read(write(path, FRAMES, NTSC, codec=name, pixel_format=pixel_format))
    assert [read_number(frame) for frame in frames] == list(range(12))
    return frames


@pytest.mark.parametrize(("name", "pixel_format"), FORMATS)
def test_every_pixel_format(tmp_path, name, pixel_format):
    frames = check_round_trip(tmp_path / f"a{usual_suffix(name)}", name, pixel_format)
    likeness = [psnr(*pair) for pair in zip(frames, FRAMES, strict=True)]
    place = ENCODERS[name].pixel_formats.index(pixel_format)
    assert min(likeness) >= MEASURED_PSNR[name][place] - PSNR_MARGIN


@pytest.mark.parametrize(("name", "suffix"), SUFFIXES)
def test_every_suffix(tmp_path, name, suffix):
    check_round_trip(tmp_path / f"a{suffix}", name, None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pixel_format"), FORMATS)
def test_every_pixel_format_in_every_suffix(tmp_path, name, pixel_format):
    for suffix in CODECS[ENCODERS[name].codec].suffixes:
        check_round_trip(tmp_path / f"a{suffix}", name, pixel_format)


@pytest.mark.parametrize("name", [name for name in SOFTWARE if ENCODERS[name].quality])
def test_a_better_crf_is_better_and_larger(tmp_path, name):
    crf = CODECS[ENCODERS[name].codec].crf
    default = CODECS[ENCODERS[name].codec].default_crf
    paths = [
        write(tmp_path / f"{value}{usual_suffix(name)}", FRAMES[:3], codec=name, crf=value)
        for value in (crf[0], default, crf[-1])
    ]
    sizes = [path.stat().st_size for path in paths]
    likeness = [psnr(read(path), np.stack(FRAMES[:3])) for path in paths]
    assert sizes == sorted(sizes, reverse=True)
    assert likeness == sorted(likeness, reverse=True)
    assert len(set(sizes)) == 3


@pytest.mark.parametrize("rate", [NTSC, Fraction(24000, 1001), Fraction(25), Fraction(1, 2), Fraction(120)])
@pytest.mark.parametrize(
    ("codec", "suffix", "seconds"),
    [
        *[("h264", ".mp4", 1e-6), ("h264", ".mov", 1e-6), ("vp9", ".mp4", 1e-6), ("ffv1", ".avi", 1e-6)],
        *[("h264", ".mkv", 1e-3), ("vp9", ".webm", 1e-3), ("h264", ".ts", 1e-3)],
    ],
)
def test_rates_are_as_exact_as_the_file_can_be(tmp_path, rate, codec, suffix, seconds):
    path = write(tmp_path / f"a{suffix}", FRAMES, rate, codec=codec)
    found = stream_of(path)[0]
    assert found == rate if seconds < 1e-3 else float(found) == pytest.approx(float(rate), rel=1e-3)
    with VideoReader(path) as reader:
        begins = reader.index.pts_seconds - (reader.index.pts_seconds[0] if suffix == ".ts" else 0)
        assert begins == pytest.approx(np.arange(12) / float(rate), abs=seconds)


def test_a_reader_is_written_with_its_own_rate(tmp_path):
    with VideoReader(write(tmp_path / "a.mp4", FRAMES, NTSC)) as reader:
        path = write_frames_to_video(tmp_path / "b.mp4", reader, progress=False)
    assert (stream_of(path)[0], numbers_in(path)) == (NTSC, list(range(12)))
    with pytest.raises(TypeError, match="fps is needed: list has no rate of its own"):
        write_frames_to_video(tmp_path / "a.mp4", FRAMES)


COLOURS = [
    *((name, each, 96, None) for name, each in FORMATS if each != "gray"),
    *(
        (name, each, 1280, None)
        for name, each in FORMATS
        if each != "gray" and each in (ENCODERS[name].pixel_formats[0], "yuv420p10le")
    ),
    ("ffv1", "yuv420p", 1280, ".avi"),  # which has no tags
]


@pytest.mark.parametrize(("name", "pixel_format", "width", "suffix"), COLOURS)
def test_colours(tmp_path, name, pixel_format, width, suffix):
    frames = np.broadcast_to(PATCHES[:, None, None], (6, 64, width, 3))
    path = tmp_path / f"a{suffix or usual_suffix(name)}"
    found = read(write(path, frames, codec=name, pixel_format=pixel_format))
    allowed = 4 if (name, pixel_format) == ("libsvtav1", "yuv420p10le") else 3  # it clips at sudden changes
    assert np.abs(found.astype(int) - frames).max() <= allowed


@pytest.mark.parametrize(("suffix", "pixel_format"), [(".mkv", None), (".avi", None), (".mkv", "gray")])
def test_lossless_is_bit_exact(tmp_path, suffix, pixel_format):
    noise = np.random.default_rng(0).integers(0, 256, (5, 33, 57, 3), dtype=np.uint8)
    noise = noise if pixel_format is None else noise[..., :1].repeat(3, -1)
    found = read(write(tmp_path / f"a{suffix}", noise, codec="ffv1", pixel_format=pixel_format))
    assert np.array_equal(found, noise)


@pytest.mark.parametrize(
    ("size", "codec", "words"),
    [
        ((121, 160), "h264", r"height 121 is odd, .*: pad=True repeats .*pixel_format='yuv444p'"),
        ((8, 64), "av1", "too few for libsvtav1: at least 16 each way, or another codec"),  # it would crash
        ((64, 14), "av1", "too few for libsvtav1"),
    ],
)
def test_a_size_that_an_encoder_cannot_hold(tmp_path, size, codec, words):
    with pytest.raises(ValueError, match=words):
        write(tmp_path / "a.mp4", [np.zeros((*size, 3), np.uint8)], codec=codec)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_kind_of_frames_makes_the_same_file(tmp_path, container):
    path = write_frames_to_video(tmp_path / "a.mp4", container(FRAMES[:4]), 25, progress=False)
    assert path == tmp_path / "a.mp4"
    assert path.read_bytes() == write(tmp_path / "b.mp4", FRAMES[:4]).read_bytes()


def test_images_in_natural_order(tmp_path):
    for number in range(12):
        Image.fromarray(FRAMES[number]).save(tmp_path / f"{number}.png")
    path = encode_video_frames(tmp_path, tmp_path / "a.mp4", 25, progress=False)
    assert numbers_in(path) == list(range(12))
    path = encode_video_frames(tmp_path, tmp_path / "a.mp4", 25, pattern="1*.png", progress=False)
    assert numbers_in(path) == [1, 10, 11]
    path = write_frames_to_video(tmp_path / "a.mp4", ImageSequence(tmp_path, fps=5), progress=False)
    assert (stream_of(path)[0], numbers_in(path)) == (5, list(range(12)))


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        ("frame.png", TypeError, "not str"),
        (FRAMES[1].astype(float), ValueError, "numbers from 0 to 1; this one has"),
        (FRAMES[1][:60], ValueError, "frame 1 has 160x60 pixels, and those .* have 160x120"),
        (FRAMES[1].transpose(1, 0, 2), ValueError, "frame 1 has 120x160 pixels"),
    ],
)
def test_after_a_wrong_frame_the_writer_goes_on(tmp_path, frame, error, message):
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        with pytest.raises(ValueError, match="is odd"):
            writer.append(FRAMES[0][:119])
        assert writer.size is None
        writer.append(FRAMES[0])
        with pytest.raises(error, match=message):
            writer.append(frame)
        writer.append(FRAMES[1])
    assert numbers_in(tmp_path / "a.mp4") == [0, 1]


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        (FRAMES[0], ValueError, r"shape \(120, 160, 3\) are one frame; put it in a list: \[frame\]"),
        (FRAMES[0][:, :, :1], ValueError, r"\(120, 160, 1\) are one frame"),
        (torch.zeros(3, 120, 160), ValueError, r"may be one frame or 3 grey ones: give \[frame\] or"),
        (FRAMES[0][:, :, 0], ValueError, r"not \(160,\)"),
        ([], ValueError, r"no frames were written to .*a\.mp4: a video has at least one"),
        (np.zeros((0, 4, 4, 3), np.uint8), ValueError, "no frames were written"),
        *((each, TypeError, None) for each in ("clip.mp4", Path("clip.mp4"), None, 3)),
        (Image.new("RGB", (4, 4)), TypeError, None),
    ],
)
def test_what_is_not_frames(tmp_path, frames, error, message):
    with pytest.raises(error, match=message):
        write_frames_to_video(tmp_path / "a.mp4", frames, 25, progress=False)
    assert names_in(tmp_path) == []


def test_an_older_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"a\.mp4 exists; overwrite=True replaces it"):
        VideoWriter(tmp_path / "a.mp4", 25, overwrite=False)
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert numbers_in(write(tmp_path / "a.mp4", FRAMES)) == list(range(12))
    write(tmp_path / "b.mp4", FRAMES, overwrite=False)
    assert names_in(tmp_path) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(("step", "progress"), [(0.0, True), (0.5, True), (0.5, False)])
def test_only_a_long_write_shows_a_bar_which_goes_away(tmp_path, monkeypatch, step, progress):
    from tqdm.std import tqdm

    screen, clock = io.StringIO(), itertools.count(1000, step)

    class Bar(tqdm):
        """A bar whose time goes on when it is looked at."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, file=screen, mininterval=0, **kwargs)

        _time = property(lambda self: lambda: next(clock), lambda self, _: None)

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    write_frames_to_video(tmp_path / "a.mp4", FRAMES, 25, progress=progress)
    drawn = screen.getvalue()
    if step and progress:
        assert "a.mp4" in drawn
        assert "/12" in drawn
        assert drawn.split("\r")[-2].strip() == ""
        assert "\n" not in drawn
    else:
        assert drawn == ""


def test_raw_options_reach_ffmpeg(tmp_path):
    path = write(tmp_path / "a.mp4", FRAMES, ffmpeg_params=("-metadata", "title=Ramp's end"))
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "Ramp's end"


@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("vp9", ".webm"), ("mjpeg", ".mov")])
def test_own_filters_do_not_change_the_pixel_format(tmp_path, codec, suffix):
    path = write(tmp_path / f"a{suffix}", FRAMES[:1], codec=codec, ffmpeg_params=["-vf", "hflip"])
    expected = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    assert get_video_metadata(path, cache=False).pixel_format == expected


TAGGED = [name for name, encoder in SOFTWARE.items() if encoder.pixel_formats[0].startswith(("yuv4", "nv"))]


@pytest.mark.parametrize("name", TAGGED)
@pytest.mark.parametrize(
    ("width", "space", "code"), [(1280, Colorspace.ITU709, 1), (160, Colorspace.ITU601, 6)]
)
def test_tags(tmp_path, name, width, space, code):
    frame = np.zeros((64, width, 3), np.uint8)
    context = stream_of(write(tmp_path / f"a{usual_suffix(name)}", [frame], codec=name))[1]
    assert context.colorspace in (code, space)
    assert (context.color_primaries, context.color_trc, context.color_range) == (code, code, 1)


@pytest.mark.parametrize("size", [(254, 256), (120, 160), (1080, 64), (1080, 1920)])
@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_sizes_are_kept(tmp_path, size, codec):
    frame = draw_frame(7, size[1], size[0])
    preset = "ultrafast" if codec == "h264" else None
    found = read(write(tmp_path / "a.mp4", [frame, frame], codec=codec, preset=preset))
    assert found.shape == (2, *size, 3)
    assert psnr(found[1], frame) > 30


@pytest.mark.parametrize(("height", "width"), [(121, 160), (120, 161), (121, 161), (120, 160)])
def test_padding_repeats_the_edge(tmp_path, height, width):
    frame = np.zeros((height, width, 3), np.uint8)
    frame[-1], frame[:, -1] = 250, 250
    found = read(write(tmp_path / "a.mp4", [frame], pad=True, crf=1))[0]
    assert found.shape == (height + height % 2, width + width % 2, 3)
    assert psnr(found, np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")) > 35


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        *[("h264", "yuv444p"), ("hevc", "yuv444p"), ("vp9", "gbrp"), ("ffv1", None)],
        *[("mjpeg", "yuvj444p"), ("gif", None)],
    ],
)
@pytest.mark.parametrize("pad", [False, True])
def test_an_odd_size_is_kept_where_every_pixel_has_its_colour(tmp_path, codec, pixel_format, pad):
    path = tmp_path / f"a{CODECS[codec].suffixes[0]}"
    write(path, [draw_frame(3, 161, 121)], codec=codec, pixel_format=pixel_format, pad=pad)
    assert read(path).shape == (1, 121, 161, 3)


@pytest.mark.parametrize("gop", [1, 10])
@pytest.mark.parametrize("name", INTER)
def test_groups_are_closed_and_no_longer_than_asked_for(tmp_path, name, gop):
    path = write(tmp_path / f"a{usual_suffix(name)}", FRAMES * 2, codec=name, gop=gop)
    with VideoReader(path) as reader:
        assert reader.index.gop_lengths.sum() == 24
        assert reader.index.gop_lengths.max() <= gop
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
    first = 0
    for packet in packets:  # in a closed group nothing is shown before its keyframe
        first = packet.pts if packet.is_keyframe else first
        assert packet.pts >= first


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov"])
def test_the_index_stands_before_the_frames(tmp_path, suffix):
    data = write(tmp_path / f"a{suffix}", FRAMES).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_reader_is_written_onto_its_own_file(tmp_path):
    path = write(tmp_path / "a.mp4", FRAMES)
    with VideoReader(path) as reader:
        write_frames_to_video(path, (255 - frame for frame in reader), 10, progress=False)
    assert [read_number(255 - frame) for frame in read(path)] == list(range(12))
    assert names_in(tmp_path) == ["a.mp4"]


def test_one_of_the_images_is_not_replaced_by_all_of_them(tmp_path):
    for number in range(3):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{number}.gif")
    before = (tmp_path / "1.gif").read_bytes()
    with pytest.raises(ValueError, match=r"1\.gif is one of the images that are read; give another name"):
        encode_video_frames(tmp_path, tmp_path / "1.gif", 25, codec="gif")
    assert (tmp_path / "1.gif").read_bytes() == before


NAMES = ["with space", "quote's \"", "100%d %03d", "line\nbreak", "-leading", "映画 ñ 🎬", "a" * 246]


@pytest.mark.skipif(os.name != "posix", reason="other systems have fewer names")
@pytest.mark.parametrize("name", [*NAMES, "x" + "é" * 122, "pipe:1", "https:", "a|b&c;$d`e*?"])
def test_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(f"{name}.mp4", FRAMES[:2])
    assert names_in(tmp_path) == [f"{name}.mp4"]
    assert len(read(tmp_path / f"{name}.mp4")) == 2


@pytest.mark.parametrize("suffix", MUXERS)
def test_capital_letters_in_a_suffix(tmp_path, suffix):
    with VideoWriter(tmp_path / f"A{suffix.upper()}", 25, codec="auto") as writer:
        writer.append(FRAMES[0])
    assert len(read(tmp_path / f"A{suffix.upper()}")) == 1


def test_closing_twice_and_writing_after_that(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", 25)
    writer.append(FRAMES[0])
    writer.close()
    writer.close()
    writer.cancel()
    with pytest.raises(ValueError, match=r"this writer of .*a\.mp4 is closed; open a new one"):
        writer.append(FRAMES[1])
    assert len(read(tmp_path / "a.mp4")) == 1


def test_a_writer_shows_its_facts(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", NTSC) as writer:
        assert repr(writer) == "VideoWriter(a.mp4: h264 by libx264, 29.97 frames/s, 0 frames)"
        writer.append(FRAMES[0])
        assert repr(writer) == "VideoWriter(a.mp4: h264 by libx264, 160x120, 29.97 frames/s, 1 frames)"
        assert (writer.size, writer.num_frames, writer.fps) == ((160, 120), 1, NTSC)
        assert writer.encoder.name == "libx264"


@pytest.mark.parametrize(
    ("name", "preset"), [(name, each) for name in SOFTWARE for each in ENCODERS[name].presets]
)
@pytest.mark.slow
def test_every_preset(tmp_path, name, preset):
    assert len(read(write(tmp_path / f"a{usual_suffix(name)}", FRAMES[:3], codec=name, preset=preset))) == 3


@pytest.mark.parametrize("name", SOFTWARE)
def test_threads_and_fast_decoding(tmp_path, name):
    options = {"threads": 1, "fast_decode": bool(ENCODERS[name].fast_decode)}
    path = write(tmp_path / f"a{usual_suffix(name)}", FRAMES, codec=name, **options)
    assert [read_number(frame) for frame in read(path)] == list(range(12))


@pytest.mark.parametrize("name", ["libsvtav1", "libx265"])
def test_the_users_settings_of_the_library(tmp_path, name):
    params = (ENCODERS[name].params, "scd=0" if name == "libsvtav1" else "bframes=0")
    path = write(tmp_path / "a.mp4", FRAMES, codec=name, crf=40, ffmpeg_params=params)
    usual = write(tmp_path / "b.mp4", FRAMES, codec=name, crf=10)
    assert path.stat().st_size < usual.stat().st_size / 2  # the crf still counts


def test_threads_may_share_a_writer(tmp_path):
    flat = [np.full((360, 640, 3), value, np.uint8) for value in range(40)]
    with VideoWriter(tmp_path / "a.mkv", 25, codec="ffv1") as writer, ThreadPoolExecutor(4) as pool:
        list(pool.map(writer.append, flat))
    frames = read(tmp_path / "a.mkv")
    assert all(frame.min() == frame.max() for frame in frames)
    assert sorted(int(frame[0, 0, 0]) for frame in frames) == list(range(40))
