"""Projects of images in Supervisely's form: their folders, their meta.json, files of killed runs."""

from __future__ import annotations

import json

import pytest
from supervisely_samples import video_annotation
from truth_frames import SAMPLES

from pvio_lab import VideoReader
from pvio_lab.marks import image_annotation, image_project_meta, project_of, read_project_meta
from pvio_lab.marks.supervisely import notes_of_supervisely
from pvio_lab.write import ImageDataset, make_image_project


def test_a_dataset_is_in_a_project_or_in_another_dataset(tmp_path):
    outer = ImageDataset.below(tmp_path, "a")
    inner = ImageDataset.below(ImageDataset.below(outer.folder, "b").folder, "c")
    assert inner.folder == tmp_path / "a" / "datasets" / "b" / "datasets" / "c"
    assert project_of(inner.folder) == project_of(tmp_path) == make_image_project(inner.folder) == tmp_path
    assert project_of(tmp_path / "a" / "other") is None


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b"])
def test_a_dataset_stays_in_its_project(name, tmp_path):
    with pytest.raises(ValueError, match="a dataset cannot be called"):
        ImageDataset.below(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"classes": 1}', '{"tags": []}'])
def test_another_meta_json_makes_no_project(text, tmp_path):
    (tmp_path / "meta.json").write_text(text)
    assert project_of(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"classes": [{}]}', '{"classes": [{"title": 1}]}', '{"tags": 1}']
)
def test_a_broken_meta_json_is_named(text, tmp_path):
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(ValueError, match=r"meta\.json"):
        read_project_meta(tmp_path)


def test_what_a_project_knows_stays():
    known = {"classes": [{"title": "car", "shape": "rectangle", "color": "#123456"}], "hotkeys": [1]}
    meta = image_project_meta(known, {}, notes_of_supervisely(video_annotation()))
    assert meta["hotkeys"] == [1]
    assert meta["classes"][0] == known["classes"][0]
    assert image_project_meta(meta, meta) == meta


def test_an_object_with_figures_of_two_kinds_is_of_any():
    data = video_annotation()
    data["frames"][0]["figures"][0]["geometryType"] = "polygon"
    classes = image_project_meta({}, {}, notes_of_supervisely(data))["classes"]
    assert {each["title"]: each["shape"] for each in classes} == {"car": "any", "person": "polygon"}


def test_numbers_of_objects_are_their_places():
    shown = image_annotation(notes_of_supervisely(video_annotation()), 4, (320, 240))["objects"]
    assert [tag["value"] for each in shown for tag in each["tags"] if tag["name"] == "object_id"] == [1, 2]


def test_files_of_killed_runs_are_removed(tmp_path):
    dataset = ImageDataset.below(tmp_path, "gop2.mp4")
    (dataset.folder / "img" / ".gop2.mp4_frame_07.png.0123abcd.part.png").write_bytes(b"half")
    with VideoReader(SAMPLES / "gop2.mp4") as reader:
        assert list(dataset.save(reader, [3], (320, 240), None, {})) == [0, 1]
        assert list(dataset.save(reader, [3, 4], (320, 240), None, {})) == [1, 1]
    for folder in ("img", "ann", "meta"):
        assert len(list((dataset.folder / folder).iterdir())) == 2
    assert json.loads((tmp_path / "meta.json").read_text())["projectType"] == "images"
