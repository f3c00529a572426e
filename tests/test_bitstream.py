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


SLICE, KEY, DELIMITER = b"\x41\x9a", b"\x65\x88", b"\x09\xf0"
RECOVER_IN_8, RECOVERED = b"\x06\x06\x02\x12\x80\x80", b"\x06\x06\x01\xc0\x80"
AFTER_USER_DATA = b"\x06\x05\xff\x03" + bytes(258) + RECOVER_IN_8[1:]


@pytest.mark.parametrize(
    ("contents", "is_keyframe", "note"),
    [
        ((KEY,), True, PLAIN),
        ((RECOVERED, SLICE), True, PLAIN),
        ((RECOVER_IN_8, SLICE), True, NOT_A_START),
        ((RECOVER_IN_8, SLICE), False, PLAIN),
        ((DELIMITER, RECOVER_IN_8, SLICE), True, NOT_A_START),
        ((AFTER_USER_DATA, SLICE), True, NOT_A_START),
        ((SLICE, RECOVER_IN_8), True, PLAIN),
        ((), True, PLAIN),
    ],
)
def test_h264_recovery_points(contents, is_keyframe, note):
    stored = packet(units(*contents) or b"\0", is_keyframe=is_keyframe)
    assert look_for("h264", AVCC)(stored) == note
    if AFTER_USER_DATA not in contents:  # its zeros would have to be escaped in a stream
        stream = b"".join(b"\0\0\0\1" + content for content in contents) or b"\0"
        assert look_for("h264", None)(packet(stream, is_keyframe=is_keyframe)) == note


PICTURE = b"\0\0\1\xb6" + bytes(30)


@pytest.mark.parametrize(
    ("codec", "extradata", "data", "is_keyframe", "note"),
    [
        *(
            ("hevc", HVCC, units(b"\x40\x01\x0c", bytes([2, layer + 1, 0])), False, note)
            for layer, note in [(0, PLAIN), (1, UNKNOWN), (4, UNKNOWN)]
        ),
        *(
            ("vp8", None, bytes([first, 1, 2]), False, note)
            for first, note in [(0x10, PLAIN), (0x00, NO_FRAME), (0x31, PLAIN)]
        ),
        *(
            ("mpeg4", None, data, False, note)
            for data, note in [(PICTURE, PLAIN), (PICTURE * 2, UNKNOWN), (PICTURE[:5], UNKNOWN)]
        ),
        ("ffv1", None, b"\x80\0\1", True, PLAIN),
        ("ffv1", None, b"\x7f\x80\1", True, PLAIN),
        ("ffv1", None, b"\x7f\x7f\1", True, NOT_A_START),
        ("ffv1", None, b"\x7f\x7f\1", False, PLAIN),
    ],
)
def test_notes_of_other_codecs(codec, extradata, data, is_keyframe, note):
    assert look_for(codec, extradata)(packet(data, is_keyframe=is_keyframe)) == note


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


@given(st.sampled_from(["h264", "hevc", "vp8", "mpeg4"]), st.binary(min_size=1, max_size=60), st.booleans())
def test_noise_is_no_error(codec, data, is_keyframe):
    for extradata in (None, b"", AVCC, HVCC):
        assert look_for(codec, extradata)(packet(data, is_keyframe=is_keyframe)) in range(4)


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
