from __future__ import annotations

import subprocess

import av
import numpy as np
import pytest
from av.packet import Packet
from hypothesis import given
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe
from truth_frames import SAMPLES, hard_clips, shuffled, true_frames

from pvio_lab import VideoReader
from pvio_lab.read.decode import NO_FRAME, look_for
from pvio_lab.read.decode.bitstream import NOT_A_START, PLAIN, UNKNOWN

AVCC = b"\1\x64\0\x1f\xff"  # lengths of four bytes
HVCC = b"\1" + bytes(20) + b"\xff"


def packet(data, *, is_keyframe=False):
    result = Packet(data)
    result.is_keyframe = is_keyframe
    return result


def units(*contents):
    return b"".join(len(content).to_bytes(4, "big") + content for content in contents)


def notes_of(path):
    with av.open(path) as container:
        stream = container.streams.video[0]
        look = look_for(stream.codec_context.codec.canonical_name, stream.codec_context.extradata)
        return [look(each) for each in container.demux(stream) if each.size]


@pytest.mark.parametrize("codec", ["vp9", "av1", "mjpeg", "gif", "no such codec"])
def test_codecs_that_need_no_look(codec):
    assert look_for(codec, None) is None


SLICE, KEY = b"\x41\x9a", b"\x65\x88"
RECOVER_IN_8, RECOVERED = b"\x06\x06\x02\x12\x80\x80", b"\x06\x06\x01\xc0\x80"


@pytest.mark.parametrize(
    ("contents", "note"),
    [
        ((KEY,), PLAIN),
        ((RECOVERED, SLICE), PLAIN),
        ((RECOVER_IN_8, SLICE), NOT_A_START),
        ((b"\x09\xf0", RECOVER_IN_8, SLICE), NOT_A_START),
        ((SLICE, RECOVER_IN_8), PLAIN),
        ((), PLAIN),
    ],
)
def test_h264_recovery_points(contents, note):
    stored = packet(units(*contents) or b"\0", is_keyframe=True)
    stream = packet(b"".join(b"\0\0\0\1" + content for content in contents) or b"\0", is_keyframe=True)
    assert look_for("h264", AVCC)(stored) == look_for("h264", None)(stream) == note


def test_h264_only_keyframes_are_looked_at():
    assert look_for("h264", AVCC)(packet(units(RECOVER_IN_8, SLICE))) == PLAIN


def test_other_messages_before_the_recovery_point():
    user_data = b"\x05" + b"\xff\x03" + bytes(258)
    message = b"\x06" + user_data + RECOVER_IN_8[1:]
    assert look_for("h264", AVCC)(packet(units(message, SLICE), is_keyframe=True)) == NOT_A_START


@pytest.mark.parametrize(("layer", "note"), [(0, PLAIN), (1, UNKNOWN), (4, UNKNOWN)])
def test_hevc_layers(layer, note):
    parameters, picture = b"\x40\x01\x0c", bytes([1 << 1, layer + 1, 0])
    assert look_for("hevc", HVCC)(packet(units(parameters, picture))) == note


@pytest.mark.parametrize(("first", "note"), [(0x10, PLAIN), (0x00, NO_FRAME), (0x31, PLAIN)])
def test_vp8_hidden_frames(first, note):
    assert look_for("vp8", None)(packet(bytes([first, 1, 2]))) == note


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"\0\0\1\xb6" + bytes(30), PLAIN),
        ((b"\0\0\1\xb6" + bytes(30)) * 2, UNKNOWN),
        (b"\0\0\1\xb6\0", UNKNOWN),
    ],
    ids=["one", "two", "empty"],
)
def test_mpeg4_packed_pictures(data, note):
    assert look_for("mpeg4", None)(packet(data)) == note


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("h264.mp4", PLAIN),
        ("h264_open.mkv", PLAIN),
        ("h264.ts", PLAIN),
        ("h264_refresh.mp4", NOT_A_START),
        ("vp8_hidden.webm", NO_FRAME),
        ("xvid_packed.avi", UNKNOWN),
        ("mpeg4.avi", PLAIN),
        ("hevc_open.mkv", PLAIN),
    ],
)
def test_whole_clips(name, note):
    assert set(notes_of(hard_clips()[name])) <= {PLAIN, note}
    assert note in notes_of(hard_clips()[name])


def test_samples_are_plain():
    assert set(notes_of(SAMPLES / "shapes.mp4")) == {PLAIN}


@given(st.sampled_from(["h264", "hevc", "vp8", "mpeg4"]), st.binary(min_size=1, max_size=60), st.booleans())
def test_noise_is_no_error(codec, data, is_keyframe):
    for extradata in (None, b"", AVCC, HVCC):
        assert look_for(codec, extradata)(packet(data, is_keyframe=is_keyframe)) in range(4)


@pytest.mark.parametrize(
    ("data", "is_keyframe", "note"),
    [
        (b"\x80\0\1", True, PLAIN),
        (b"\x7f\x80\1", True, PLAIN),
        (b"\x7f\x7f\1", True, NOT_A_START),
        (b"\x7f\x7f\1", False, PLAIN),
    ],
)
def test_ffv1_says_itself_what_a_keyframe_is(data, is_keyframe, note):
    assert look_for("ffv1", None)(packet(data, is_keyframe=is_keyframe)) == note


@pytest.mark.parametrize("level", ["1", "3"])
@pytest.mark.parametrize("coder", ["0", "1"])
def test_ffv1_keyframes_of_ffmpeg(tmp_path, level, coder):
    options = ["-c:v", "ffv1", "-level", level, "-coder", coder, "-g", "12", "-frames:v", "30"]
    path = tmp_path / "a.mkv"
    subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-i", SAMPLES / "gop2.mp4", *options, path], check=True, timeout=60
    )
    look = look_for("ffv1", None)
    with av.open(path) as container:
        packets = [each for each in container.demux(video=0) if each.size]
    for number, each in enumerate(packets):
        each.is_keyframe = True  # as a container may say
        assert look(each) == (NOT_A_START if number % 12 else PLAIN)
    truth, asked = true_frames(path), shuffled(30, 20)
    with VideoReader(path) as reader:
        assert reader.index.keyframes.tolist() == [0, 12, 24]
        assert np.array_equal(reader[asked], truth[asked])
