"""The encoders that really encode here, the choice among them, and their arguments."""

from __future__ import annotations

import logging
import os
import stat
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvio_lab import EncodeError
from pvio_lab.write import VideoWriter, encoding
from pvio_lab.write.encoders import CODECS, ENCODERS
from pvio_lab.write.encoding import check_size, chroma_steps, colour_arguments

SOFTWARE = [name for name, encoder in ENCODERS.items() if not encoder.is_hardware]


@pytest.fixture(scope="module")
def available():
    return {encoder.name: encoder for encoder in encoding.available_encoders()}


def missing_device(available):
    """A hardware encoder that does not work here: no machine has them all."""
    return next(name for name in ENCODERS if name not in available)


def test_what_works_here(available):
    assert set(SOFTWARE) <= set(available)
    flags = [encoder.is_hardware for encoder in available.values()]
    assert flags == sorted(flags, reverse=True)
    x264 = available["libx264"]
    assert (x264.codec, x264.crf, x264.default_crf) == ("h264", range(0, 52), 20)
    assert x264.suffixes == CODECS["h264"].suffixes
    assert x264.pixel_formats[0] == "yuv420p"
    assert "medium" in x264.presets
    assert (available["ffv1"].crf, available["prores_ks"].crf) == (None, None)


def test_each_is_tried_once(available, monkeypatch):
    monkeypatch.setattr(encoding, "run", None)
    assert encoding.available_encoders() == list(available.values())


def test_a_device_that_is_not_there(available, tmp_path):
    name = missing_device(available)
    path = tmp_path / f"a{CODECS[ENCODERS[name].codec].suffixes[0]}"
    with pytest.raises(EncodeError, match=f"{name} does not encode on this machine: .{{10,}}") as caught:
        VideoWriter(path, 25, codec=name)
    assert encoding.why_not(name) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("codec", "devices", "name"),
    [
        ("auto", ["hevc_nvenc"], "hevc_nvenc"),
        ("auto", [], "libx264"),
        ("h264", ["h264_nvenc"], "libx264"),  # a named codec is never taken by a device
    ],
)
def test_the_choice_of_an_encoder_is_told(tmp_path, monkeypatch, caplog, codec, devices, name):
    monkeypatch.setattr(encoding, "why_not", lambda each: None if each in [*SOFTWARE, *devices] else "no")
    with caplog.at_level(logging.INFO, "pvio_lab"):
        writer = VideoWriter(tmp_path / "a.mp4", 25, codec=codec)
    writer.cancel()
    assert writer.encoder.name == name
    assert (f"a.mp4: codec='auto' chose {name}" in caplog.text) == (codec == "auto")


def test_auto_without_anything_that_works(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "why_not", lambda name: "no device")
    with pytest.raises(ValueError, match=r"no encoder that works here writes gop=5 to a \.mp4 file"):
        VideoWriter(tmp_path / "a.mp4", 25, codec="auto", gop=5)


def use_program(monkeypatch, path):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))


def test_a_program_that_is_missing_or_may_not_be_run(tmp_path, monkeypatch):
    (tmp_path / "ffmpeg").write_text("no program")
    for path in ("/nonexistent", tmp_path / "ffmpeg"):
        use_program(monkeypatch, path)
        with pytest.raises(EncodeError, match=rf"program does not start: .*{path}.* IMAGEIO_FFMPEG_EXE"):
            encoding.available_encoders()


@pytest.mark.skipif(os.name != "posix", reason="needs a script that can be run")
def test_a_device_that_hangs_is_no_device(tmp_path, monkeypatch):
    script = tmp_path / "ffmpeg"
    script.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    use_program(monkeypatch, script)
    monkeypatch.setattr(encoding, "_SECONDS", 0.5)
    assert encoding.why_not("h264_nvenc") == "it did not encode one frame in 0.5 seconds"


# Sizes and colours


@pytest.mark.parametrize("name", SOFTWARE)
@settings(deadline=None)
@given(width=st.integers(1, 40), height=st.integers(1, 40))
def test_sizes_fit_or_both_remedies_are_named(name, width, height):
    for pixel_format in ENCODERS[name].pixel_formats:
        across, down = chroma_steps(pixel_format)
        if not (width % across or height % down):
            check_size(width, height, pixel_format, ENCODERS[name].codec)
            continue
        with pytest.raises(
            ValueError, match=r"is odd, which .* cannot hold: pad=True repeats the last .*, or "
        ):
            check_size(width, height, pixel_format, ENCODERS[name].codec)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((5, 4), "the width 5 is odd, .* repeats the last column, or choose pixel_format='yuv444p'"),
        ((4, 5), "the height 5 is odd, .* repeats the last row, or choose"),
        ((5, 5), "the width 5 is odd and the height 5 is odd, which yuv420p cannot hold"),
    ],
)
def test_odd_sizes(size, message):
    with pytest.raises(ValueError, match=message):
        check_size(*size, "yuv420p", "h264")


@pytest.mark.parametrize(
    ("size", "suffix", "space"),
    [
        ((320, 240), ".mkv", "smpte170m"),
        ((1278, 718), ".mkv", "smpte170m"),
        ((1280, 720), ".mkv", "bt709"),
        ((720, 1280), ".mkv", "bt709"),
        ((1920, 1080), ".avi", "smpte170m"),
    ],
)
def test_the_colours_of_a_size(size, suffix, space):
    line = colour_arguments(ENCODERS["ffv1"], "yuv420p", *size, suffix=suffix)
    assert line[line.index("-colorspace") + 1] == space
    assert f"out_color_matrix={space}:" in line[1]
