"""Annotations from all kinds of files become labels of frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from supervisely_samples import CAR, video_annotation

from pvio_lab.marks import FrameNotes, Marks, RangeMark, find_notes, read_notes
from pvio_lab.marks.annotations import notes_of_numbers, notes_of_table
from pvio_lab.marks.supervisely import notes_of_supervisely, scaled_geometry

NOTES = FrameNotes({12: ("jump",), 4: ()}, (RangeMark(3, 6, "run"), RangeMark(5, 7, "up")))
OWN = {"frames": [{"index": 12, "labels": ["jump"]}], "ranges": [{"start": 0, "end": 3, "label": "run"}]}


def written(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_numbers_come_once_with_labels_of_frames_and_ranges():
    assert NOTES.numbers() == [3, 4, 5, 6, 12]
    assert [NOTES.labels_at(number) for number in (5, 12, 100)] == [("run", "up"), ("jump",), ()]


def test_what_is_beyond_the_video():
    NOTES.check(13)
    with pytest.raises(ValueError, match="frame 12 is annotated, and the video has 12 frames"):
        NOTES.check(12)


def test_marks_as_the_frame_browser_has_them(tmp_path):
    marks = Marks(60)
    marks.add_frame(12, "jump")
    marks.add_range(3, 6, "run")
    for notes in (read_notes(marks.save(tmp_path / "clip.marks.json")), notes_of_numbers(marks)):
        assert notes.numbers() == [3, 4, 5, 12]
        assert [notes.labels_at(number) for number in (3, 12, 13)] == [("run",), ("jump",), ()]


@pytest.mark.parametrize("kind", [list, np.array])
def test_mere_numbers(kind):
    assert notes_of_numbers(kind([7, 0, 99, 7])).numbers() == [0, 7, 99]


@pytest.mark.parametrize(
    ("annotations", "error", "words"),
    [
        (5, TypeError, "annotations=5 must be a path, marks"),
        ([-1], ValueError, "index=-1 must be 0 or more"),
        ([1.5], TypeError, r"index=1\.5 must be an integer"),
        ({3: " "}, ValueError, "label=' ' is empty"),
    ],
)
def test_objects_that_are_no_annotations(annotations, error, words):
    with pytest.raises(error, match=words):
        notes_of_numbers(annotations)


# CSV


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("frame,label\n3,a\n3,b\n3,a\n5,\n", {3: ("a", "b"), 5: ()}),
        ("\ufeffFrame;labels\r\n3;a|b\r\n", {3: ("a", "b")}),
        ('frame_index\tlabel\n7\t"x;y"\n', {7: ("x", "y")}),
        (
            "index, weather ,speed\n3,rain,\n4, dry ,9\n",
            {3: ("weather: rain",), 4: ("weather: dry", "speed: 9")},
        ),
        ("frame\n1\n2\n", {1: (), 2: ()}),
    ],
)
def test_tables(text, frames):
    assert notes_of_table(text.removeprefix("\ufeff")).frames == frames


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,label\n1,a\n", "no column with the frame, .*; its columns are 'time', 'label'"),
        ("", "its columns are none"),
        ("frame,index\n1,2\n", "two columns with the frame"),
        ("frame,label\n1,a\n-1,b\n", "line 3: the frame '-1' must be a whole number"),
        ("label,frame\na\n", "line 2: the frame None must be"),
        ("frame,label\n99999999999,a\n", "line 2: index=.* must be at most"),
    ],
)
def test_wrong_tables(text, words, tmp_path):
    with pytest.raises(ValueError, match=rf"table\.csv is not a table of annotations: .*{words}"):
        read_notes(written(tmp_path / "table.csv", text))


# Supervisely


def test_frames_with_figures_and_ranges_of_tags_are_annotated():
    notes = notes_of_supervisely(video_annotation())
    assert notes.numbers() == [3, 4, 10, 11, 12]
    labels = {4: ("car", "person", "outdoors"), 12: ("weather: rain", "outdoors"), 13: ("outdoors",)}
    assert {number: notes.labels_at(number) for number in labels} == labels


def test_the_share_of_an_image():
    share = notes_of_supervisely(video_annotation()).share(3, (320, 240))
    assert share == {
        "description": "a street",
        "tags": [{"name": "outdoors", "value": None}],
        "size": {"height": 240, "width": 320},
        "objects": [
            {
                "key": "f1",
                "objectKey": CAR,
                "classTitle": "car",
                "description": "",
                "geometryType": "rectangle",
                "points": {"exterior": [[10, 20], [110, 120]], "interior": []},
                "tags": [{"name": "colour", "value": "red"}],
                "labelerLogin": "ann",
            }
        ],
    }


def test_tags_hold_on_their_frames_the_last_included():
    notes = notes_of_supervisely(video_annotation())
    names = [[tag["name"] for tag in notes.share(n, (320, 240))["tags"]] for n in (9, 10, 12, 13)]
    assert names == [["outdoors"], ["weather", "outdoors"], ["weather", "outdoors"], ["outdoors"]]
    car, _ = notes.share(4, (320, 240))["objects"]
    assert [tag["name"] for tag in car["tags"]] == ["colour", "braking"]


def test_coordinates_follow_the_size_of_the_image_and_the_annotation_stays():
    data = video_annotation()
    notes = notes_of_supervisely(data)
    share = notes.share(4, (160, 60))
    assert data == video_annotation()
    assert share["size"] == {"height": 60, "width": 160}
    car, man = share["objects"]
    assert car["points"]["exterior"] == [[6, 5], [56, 30]]
    assert man["points"] == {
        "exterior": [[0, 0], [20, 0], [20, 5.125]],
        "interior": [[[2, 1], [4, 1], [4, 2]]],
    }
    assert notes.share(4, (320, 240))["objects"][0]["points"]["exterior"] == [[12, 20], [112, 120]]


def test_keypoints_follow_too_and_masks_are_refused():
    nodes = {"nodes": {"a": {"loc": [10, 20], "disabled": False}}}
    assert scaled_geometry(nodes, (2, 0.5)) == {"nodes": {"a": {"loc": [20, 10], "disabled": False}}}
    mask = {"bitmap": {"data": "eJw=", "origin": [4, 5]}}
    assert scaled_geometry(mask, (1, 1)) == mask
    with pytest.raises(ValueError, match="figures of bitmap cannot be resized with their image"):
        scaled_geometry(mask, (0.5, 0.5))


def broken(change):
    data = video_annotation()
    change(data)
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (broken(lambda d: d["objects"].pop()), "frame 4: a figure is of object 'dddd.*', which is not there"),
        (broken(lambda d: d["frames"][0].pop("index")), r"frames\[0\] must be an object with index, figures"),
        (broken(lambda d: d["frames"][0].update(index=-3)), "index=-3 must be 0 or more"),
        (broken(lambda d: d["tags"][0].update(frameRange=[5])), "frameRange of tag 'weather' must be a list"),
        (broken(lambda d: d["tags"][0].update(frameRange=[5, 4])), "ends before it begins"),
        (broken(lambda d: d["size"].pop("width")), '"size" must be an object with height and width'),
        (broken(lambda d: d["size"].update(width=0)), '"size" must be more than 0'),
        (broken(lambda d: d.update(objects={})), "a figure is of object"),
        (broken(lambda d: d.update(frames={"0": 1})), '"frames" must be a list'),
    ],
)
def test_wrong_video_annotations(data, words, tmp_path):
    with pytest.raises(
        ValueError, match=rf"clip\.mp4\.json is not a video annotation of Supervisely: .*{words}"
    ):
        read_notes(written(tmp_path / "clip.mp4.json", data))


# Finding them


@pytest.mark.parametrize("name", ["clip.mp4.json", "clip.marks.json", "clip.mp4.marks.json"])
def test_marks_beside_the_video(name, tmp_path):
    written(tmp_path / name, OWN)
    assert find_notes(None, tmp_path / "clip.mp4").numbers() == [0, 1, 2, 12]
    assert find_notes(None, tmp_path / "other.mp4") is None
    assert find_notes(False, tmp_path / "clip.mp4") is None


def test_annotations_of_other_tools_beside_the_video(tmp_path):
    written(tmp_path / "clip.csv", "frame\n5\n")
    assert find_notes(None, tmp_path / "clip.mp4").numbers() == [5]
    written(tmp_path / "ann" / "clip.mp4.json", video_annotation())
    assert find_notes(None, tmp_path / "video" / "clip.mp4").numbers() == [3, 4, 10, 11, 12]
    assert find_notes(None, "https://example.org/clip.mp4") is None


def test_two_files_for_one_video(tmp_path):
    written(tmp_path / "clip.marks.json", OWN)
    written(tmp_path / "clip.csv", "frame\n5\n")
    with pytest.raises(ValueError, match=r"two files of annotations .*clip\.marks\.json and .*clip\.csv"):
        find_notes(None, tmp_path / "clip.mp4")


def test_a_directory_of_files(tmp_path):
    written(tmp_path / "marks" / "a" / "clip.mp4.json", OWN)
    found = find_notes(tmp_path / "marks", Path("videos/a/clip.mp4"), folder="a")
    assert found.numbers() == [0, 1, 2, 12]
    assert find_notes(tmp_path / "marks", Path("videos/clip.mp4")) is None
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        find_notes("nowhere.json", "clip.mp4")


@pytest.mark.parametrize("text", ["{", "[]", '{"title": "a holiday"}', '{"frames": [{"index": 1}]}', "\xff"])
def test_other_files_are_no_annotations(text, tmp_path):
    path = tmp_path / "clip.mp4.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"clip\.mp4\.json is not a file of"):
        find_notes(None, tmp_path / "clip.mp4")
