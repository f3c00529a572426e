import numpy as np
import pytest
from truth_frames import SAMPLES, read_number, true_frames

from pvio_lab.scale import Work, process_clip

SHAPES = str(SAMPLES / "shapes.mp4")


def shown(**row):
    result = process_clip({"clip": 0, "path": SHAPES} | row, Work(sampling={"step": 30}))
    assert result["error_type"] is None, result["error_message"]
    numbers = [read_number(frame) for frame in result["frames"]]
    assert numbers == result["frame_indices"]
    return numbers


def test_frames_are_those_of_ffmpeg():
    result = process_clip({"clip": 0, "path": SHAPES}, Work(sampling={"num_frames": 8}))
    assert (result["frames"] == true_frames(SAMPLES / "shapes.mp4")[result["frame_indices"]]).all()
    assert result["frame_timestamps"] == pytest.approx(np.array(result["frame_indices"]) / 30)


def test_a_clip_is_a_part_of_its_video():
    assert shown() == list(range(0, 300, 30))
    assert shown(start_frame=200) == [200, 230, 260, 290]
    assert shown(start_frame=10, end_frame=71) == [10, 40, 70]
    assert shown(start_seconds=8.0) == [240, 270]
    assert shown(start_seconds=1.0, end_seconds=2.0) == [30]
    assert shown(start_seconds=1.02, end_seconds=2.01) == [30, 60]
    assert shown(start_seconds=None, end_frame=31) == [0, 30]


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ({"path": "missing.mp4"}, "FileNotFoundError", "missing.mp4"),
        ({"path": None}, "ValueError", "no path"),
        ({"path": __file__}, "OpenError", "test_process_clip"),
        ({"start_frame": 300}, "ValueError", "it has 300 frames"),
        ({"start_seconds": 99.0, "end_seconds": 98.0}, "ValueError", "no frame"),
        ({"start_seconds": 1.0, "end_frame": 3}, "ValueError", "give one of them"),
    ],
)
def test_what_fails_is_a_row(row, kind, words):
    result = process_clip({"clip": 7, "path": SHAPES} | row, Work())
    assert result["error_type"] == kind
    assert words in result["error_message"]
    assert "frames" not in result


def test_a_function_gets_the_frames_and_the_row():
    work = Work(function=lambda frames, row: {"n": len(frames), "twice": 2 * row["clip"]})
    result = process_clip({"clip": 21, "path": SHAPES}, work)
    assert (result["n"], result["twice"], "frames" in result) == (8, 42, False)


def test_a_function_for_info_gets_the_open_reader():
    work = Work("info", function=lambda reader, row: {"blue": int(reader[0][0, 0, 2])})
    result = process_clip({"clip": 0, "path": SHAPES}, work)
    assert result["blue"] == true_frames(SAMPLES / "shapes.mp4")[0, 0, 0, 2]
    assert result["video_num_frames"] == 300


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda *_: 1 / 0, "ZeroDivisionError"),
        (lambda *_: 3, "TypeError"),
        (lambda *_: {"clip": 1}, "ValueError"),
        (lambda *_: {"frame_indices": [1]}, "ValueError"),
        (lambda *_: {"decode_seconds": 1.0}, "ValueError"),
    ],
)
def test_a_function_that_fails_is_a_row(function, kind):
    assert process_clip({"clip": 0, "path": SHAPES}, Work(function=function))["error_type"] == kind


def test_each_phase_has_its_seconds():
    result = process_clip({"clip": 0, "path": SHAPES}, Work())
    assert min(result["transport_seconds"], result["other_seconds"]) >= 0
    assert result["decode_seconds"] > result["convert_seconds"] > 0
    assert result["open_seconds"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": "video"}, "output='video'"),
        ({"sampling": {"nmu_frames": 3}}, "nmu_frames"),
        ({"sampling": {"num_frames": 0}}, "num_frames=0"),
        ({"sampling": {"num_frames": 2, "fps": 1.0}}, "different policies"),
        ({"output": "images", "function": len}, "function="),
    ],
)
def test_wrong_work_is_refused_at_once(options, words):
    with pytest.raises(ValueError, match=words):
        Work(**options)


def test_a_directory_of_images_is_a_clip(tmp_path):
    result = process_clip({"clip": 0, "path": str(SAMPLES / "numbered")}, Work(sampling={"first": 2}))
    assert result["frames"].shape == (2, 120, 160, 3)
