from __future__ import annotations

import sys

import numpy as np
import pytest
from optional import needs
from truth_frames import SAMPLES

from pvio_lab.errors import OpenError
from pvio_lab.measure import profile_reads
from pvio_lab.measure.profile import PHASES, advise
from pvio_lab.read import VideoReader

PNG = b"\x89PNG"
SHAPES = SAMPLES / "shapes.mp4"
SOME = [200, 100, 299, 3, -1]


@pytest.mark.parametrize(
    ("source", "indices"),
    [(SHAPES, SOME), (SHAPES, range(40)), (SAMPLES / "raw.h264", 7), (SAMPLES / "numbered", slice(None))],
)
def test_the_phases_add_up(source, indices):
    for _ in range(5):  # other processes may take their time between two phases
        profile = profile_reads(source, indices)
        assert list(profile.phases) == list(PHASES)
        assert all(seconds >= 0 for seconds in profile.phases.values())
        missing = profile.total_seconds - sum(profile.phases.values())
        assert missing > -1e-6
        if missing < 0.05 * profile.total_seconds:
            return
    pytest.fail(f"{missing} of {profile.total_seconds} s are in no phase")


def test_it_decodes_what_a_reader_decodes():
    profile = profile_reads(SHAPES, SOME)
    with VideoReader(SHAPES, num_threads=1, cache_bytes=0) as reader:
        before = reader.num_decoded
        for number in SOME:
            reader[number]
        assert profile.frames_decoded == reader.num_decoded - before
    assert profile.decoded_per_frame == profile.frames_decoded / 5 > 20


def test_the_spacing_of_keyframes():
    profile = profile_reads(SHAPES, 0)
    assert (profile.keyframe_spacing_median, profile.keyframe_spacing_max) == (150, 250)


def test_frames_in_order_are_decoded_once():
    assert profile_reads(SHAPES, range(50)).decoded_per_frame == pytest.approx(1, abs=0.2)


def test_a_directory_of_images():
    profile = profile_reads(SAMPLES / "numbered", [0, 3])
    assert (profile.frames_decoded, profile.keyframe_spacing_max, profile.seek_seconds) == (2, 1, 0)
    assert "every frame is a keyframe" in repr(profile)


@pytest.mark.parametrize(
    ("source", "indices", "error", "words"),
    [
        (SHAPES, [], ValueError, "names no frame"),
        (SHAPES, 300, IndexError, "300"),
        (SHAPES, "all", TypeError, "all"),
        (SAMPLES / "nowhere.mp4", 0, FileNotFoundError, "nowhere"),
        (SAMPLES / "truth.json", 0, OpenError, "truth"),
    ],
)
def test_what_cannot_be_profiled(source, indices, error, words):
    with pytest.raises(error, match=words):
        profile_reads(source, indices)


USUAL = {"num_frames": 30, "open_share": 0.1, "pixels_share": 0.1, "decoded_per_frame": 1.5, "spacing": 2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "dense enough (GOP 2, 1.5 frames decoded"),
        ({"open_share": 0.8}, "Opening took 80% of the time for 30 frames: keep the reader open"),
        ({"open_share": 0.8, "num_frames": 1}, "for 1 frame:"),
        ({"open_share": 0.4, "order_reason": "there are no times"}, "learnt by decoding: there are no times"),
        ({"is_in_order": True}, "reader.batches(32)"),
        ({"decoded_per_frame": 118, "batch_per_frame": 4, "spacing": 250}, "in one call, which decodes 4.0"),
        (
            {"decoded_per_frame": 118, "batch_per_frame": 90, "spacing": 250},
            "returned; re-encode with gop=10",
        ),
        ({"pixels_share": 0.7}, "took 70% of the time for reading: ask for smaller frames"),
        ({"function_share": 0.7}, "Your function took 70% of the time"),
        ({"is_images": True}, "Each image is decoded on its own"),
    ],
)
def test_advice(changes, words):
    assert words in advise(**USUAL | changes)


def test_a_profile_as_text():
    lines = repr(profile_reads(SHAPES, SOME)).splitlines()
    assert lines[0].startswith(f"ReadProfile('{SHAPES}': 5 frames in ")
    assert [line.split()[0] for line in lines[2:8]] == [*PHASES, "total"]
    assert lines[8].endswith("for each one returned; keyframes are 150 apart, at most 250")
    assert lines[9].startswith("GOP 250:")


def test_a_profile_as_dicts():
    [row] = profile_reads(SHAPES, np.array(SOME)).to_dicts()
    assert row["num_frames"] == 5
    assert row["decoded_per_frame"] == row["frames_decoded"] / 5


def test_a_profile_as_html_and_as_a_picture():
    profile = profile_reads(SHAPES, SOME)
    assert profile.advice in profile._repr_html_()
    figure = profile.plot()
    assert figure.axes[0].get_xlabel() == "time (seconds)"
    assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([*profile.phases.values()])
    assert figure._repr_png_().startswith(PNG)


def brightness(frame):
    grey = frame.mean(axis=-1)
    return grey.max()


@pytest.mark.parametrize("source", [SHAPES, SAMPLES / "numbered"])
def test_a_function_is_a_phase(source):
    seen = []
    profile = profile_reads(source, [2, 0], function=lambda frame: seen.append(frame.shape))
    assert len(seen) == 2
    assert list(profile.phases) == [*PHASES, "function"]
    assert profile.function_seconds > 0
    assert profile.lines is None
    assert profile.plot().axes[0].patches[-1].get_width() == pytest.approx(profile.function_seconds)


def test_the_lines_of_a_function():
    needs("line_profiler")
    profile = profile_reads(SHAPES, [0, 1, 2], function=brightness, profile=True)
    assert [(row.function, row.hits) for row in profile.lines] == [("brightness", 3)] * 2
    assert [row.code.strip() for row in profile.lines] == ["grey = frame.mean(axis=-1)", "return grey.max()"]
    assert 0 < profile.lines.total_seconds <= profile.function_seconds
    assert "LineProfile(brightness: " in repr(profile)
    assert ">    grey = frame" in profile._repr_html_()
    assert "lines" not in profile.to_dicts()[0]


def test_without_line_profiler_its_pip_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "line_profiler", None)
    with pytest.raises(ImportError, match=r'pip install "pvio_lab\[profile\]"'):
        profile_reads(SHAPES, 0, function=brightness, profile=True)


@pytest.mark.parametrize(("function", "words"), [(None, "pass function=, too"), (len, "no lines of Python")])
def test_what_has_no_lines(function, words):
    needs("line_profiler")
    with pytest.raises(ValueError, match=words):
        profile_reads(SHAPES, 0, function=function, profile=True)
