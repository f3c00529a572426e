"""Supervisely's sampling on files: its settings, its names, a project that its tools read, its streams."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from supervisely_samples import CAR, video_annotation
from truth_frames import SAMPLES, true_frames

from pvio_lab import VideoReader
from pvio_lab.compat import supervisely as sly
from pvio_lab.compat.supervisely import SamplingSettings as Settings
from pvio_lab.errors import DecodeError

CLIP = SAMPLES / "gop2.mp4"
CLASSES = [{"title": "car", "shape": "any", "color": "#FF0000"}]


def dataset(folder, *names):
    """A dataset of clips, each with the same annotation."""
    for each in ("video", "ann"):
        (folder / each).mkdir(parents=True)
    for name in names:
        shutil.copy(SAMPLES / name, folder / "video" / name)
        annotation = video_annotation()
        annotation["objects"][0]["labelerLogin"] = "bob"
        annotation["frames"][0]["figures"][0]["trackId"] = "t1"
        (folder / "ann" / f"{name}.json").write_text(json.dumps(annotation))
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("projects") / "streets"
    dataset(root / "evening", "gop2.mp4")
    dataset(root / "morning" / "datasets" / "early", "gop2.mp4")
    dataset(root / "morning")
    (root / "meta.json").write_text(json.dumps({"projectType": "videos", "classes": CLASSES, "tags": []}))
    return root


@pytest.fixture
def clip(project):
    return project / "evening" / "video" / "gop2.mp4"


def numbers(folder):
    return [int(path.stem.rpartition("_")[2]) for path in sorted((folder / "img").iterdir())]


def annotation(folder, number):
    return json.loads((folder / "ann" / f"gop2.mp4_frame_{number:02}.png.json").read_text())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, range(60)),
        ({Settings.START: 50, Settings.STEP: 4}, [50, 54, 58]),
        ({Settings.START: 3, Settings.END: 6}, [3, 4, 5]),
        ({Settings.START: 57, Settings.END: 1000}, [57, 58, 59]),
        ({Settings.START: 6, Settings.END: 3}, []),
        ({Settings.END: -1}, []),
        ({Settings.ONLY_ANNOTATED: True}, [3, 4]),  # with figures; that a tag is there does not count
        ({Settings.ONLY_ANNOTATED: True, Settings.STEP: 2}, [3]),  # every second of those
        ({Settings.ONLY_ANNOTATED: True, Settings.START: 4}, [4]),
        ({Settings.ONLY_ANNOTATED: False, "other": 7, Settings.END: 1}, [0]),
    ],
)
def test_frames(settings, expected, clip, tmp_path):
    assert numbers(sly.sample_video(clip, tmp_path, settings)) == list(expected)


def test_images_are_the_frames_of_ffmpeg(clip, tmp_path):
    folder = sly.sample_video(clip, tmp_path, {"start": 3, "end": 11})
    assert folder == tmp_path / "gop2.mp4"
    paths = [folder / "img" / f"gop2.mp4_frame_{number:02}.png" for number in range(3, 11)]
    np.testing.assert_array_equal([np.array(Image.open(path)) for path in paths], true_frames(CLIP)[3:11])


def test_digits_are_those_of_the_number_of_frames(tmp_path):
    folder = sly.sample_video(SAMPLES / "open_gop_h264.mp4", tmp_path, {"start": 9, "end": 10})
    assert [path.name for path in (folder / "img").iterdir()] == ["open_gop_h264.mp4_frame_009.png"]


def test_annotations_get_the_tags_of_figures(clip, tmp_path):
    folder = sly.sample_video(clip, tmp_path, {"end": 12, Settings.COPY_ANNOTATIONS: True})
    tracked, by_hand = annotation(folder, 3), annotation(folder, 4)
    assert [(tag["name"], tag["value"]) for tag in tracked["objects"][0]["tags"]] == [
        ("colour", "red"),
        ("object_id", 1),
        ("auto-tracked", None),
    ]
    assert tracked["objects"][0]["tags"][-1]["labelerLogin"] == "bob"
    ids = [
        (tag["value"]) for each in by_hand["objects"] for tag in each["tags"] if tag["name"] == "object_id"
    ]
    assert ids == [1, 2]
    assert [each["classTitle"] for each in by_hand["objects"]] == ["car", "person"]
    assert [tag["name"] for tag in annotation(folder, 11)["tags"]] == ["weather", "outdoors"]


def test_an_id_of_an_object_is_kept(tmp_path):
    notes = video_annotation()
    notes["objects"][0]["id"] = 4711
    (tmp_path / "a.json").write_text(json.dumps(notes))
    settings = {"annotated": True, "copy_annotations": True}
    folder = sly.sample_video(CLIP, tmp_path / "out", settings, annotations=tmp_path / "a.json")
    assert annotation(folder, 3)["objects"][0]["objectKey"] == CAR
    assert {"name": "object_id", "value": 4711} in annotation(folder, 3)["objects"][0]["tags"]


def test_annotations_are_empty_unless_copied(clip, tmp_path):
    folder = sly.sample_video(clip, tmp_path, {"annotated": True})
    size = {"height": 240, "width": 320}
    assert annotation(folder, 4) == {"description": "", "tags": [], "size": size, "objects": []}


def test_resize_is_height_and_width_and_takes_figures_along(clip, tmp_path):
    settings = {"annotated": True, "resize": (120, 80), "copy_annotations": True}
    folder = sly.sample_video(clip, tmp_path, settings)
    assert Image.open(folder / "img" / "gop2.mp4_frame_03.png").size == (80, 120)
    assert annotation(folder, 3)["size"] == {"height": 120, "width": 80}
    assert annotation(folder, 3)["objects"][0]["points"]["exterior"] == [[2, 10], [28, 60]]


def test_what_is_there_is_kept(clip, tmp_path):
    folder = sly.sample_video(clip, tmp_path, {"end": 2})
    image = folder / "img" / "gop2.mp4_frame_01.png"
    image.write_bytes(b"mine")
    sly.sample_video(clip, tmp_path, {"end": 3, "copy_annotations": True})
    assert image.read_bytes() == b"mine"
    assert numbers(folder) == [0, 1, 2]
    assert [tag["name"] for tag in annotation(folder, 1)["tags"]] == ["outdoors"]


def test_the_meta_of_a_video_without_a_project(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(video_annotation()))
    settings = {"annotated": True, "copy_annotations": True}
    sly.sample_video(CLIP, tmp_path / "out", settings, annotations=tmp_path / "a.json")
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert {each["title"]: each["shape"] for each in meta["classes"]} == {
        "car": "rectangle",
        "person": "polygon",
    }
    assert {each["name"]: each["value_type"] for each in meta["tags"]} == {
        **{"object_id": "any_number", "auto-tracked": "none", "weather": "any_string", "outdoors": "none"},
        **{"colour": "any_string", "braking": "none"},
    }
    assert meta["projectType"] == "images"


def test_marks_become_tags(tmp_path):
    marks = {2: ["jump"], 5: ["jump", "turn"]}
    settings = {"annotated": True, "copy_annotations": True}
    folder = sly.sample_video(CLIP, tmp_path, settings, annotations=marks)
    assert numbers(folder) == [2, 5]
    assert annotation(folder, 5)["tags"] == [{"name": "jump", "value": None}, {"name": "turn", "value": None}]
    names = [each["name"] for each in json.loads((tmp_path / "meta.json").read_text())["tags"]]
    assert {"jump", "turn"} < set(names)


def test_a_whole_project(project):
    calls = []
    settings = {"annotated": True, "copy_annotations": True}
    output = sly.sample_video_project(project, settings, items_progress_cb=lambda: calls.append(1))
    assert output == project.with_name("streets(images)")
    assert len(calls) == 2
    datasets = ["evening/datasets/gop2.mp4", "morning/datasets/early/datasets/gop2.mp4"]
    for folder in datasets:
        assert numbers(output / folder) == [3, 4]
        for above in (
            output / folder,
            (output / folder).parent.parent,
        ):  # else it is no dataset to their tools
            assert (above / "img").is_dir()
            assert (above / "ann").is_dir()
    meta = json.loads((output / "meta.json").read_text())
    assert {each["title"]: each["shape"] for each in meta["classes"]} == {"car": "any", "person": "polygon"}
    info = json.loads((output / datasets[0] / "meta" / "gop2.mp4_frame_04.png.json").read_text())
    assert info == {
        "is_sample": True,
        "video_project_name": "streets",
        "video_dataset_name": "evening",
        "video_name": "gop2.mp4",
        "frame_index": 4,
    }
    assert sly.sample_video_project(project, {"end": 1}).name == "streets(images) (2)"
    assert sly.sample_video_project(project, {"end": 1}, output) == output


@pytest.mark.parametrize("by_path", [False, True])
def test_some_datasets(by_path, project, tmp_path):
    listed = [project / "morning" / "datasets" / "early"] if by_path else ["early"]
    sly.sample_video_project(project, {"end": 1}, tmp_path, listed)
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["gop2.mp4_frame_00.png"]
    assert not (tmp_path / "evening").exists()
    assert sly.sample_video_dataset(project / "evening", tmp_path, {}, datasets_ids_whitelist=listed) is None


def test_a_folder_of_videos_is_a_dataset(tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("a10.mp4", "a9.mp4"):
        shutil.copy(CLIP, tmp_path / "clips" / name)
    folder = sly.sample_video_dataset(tmp_path / "clips", tmp_path / "out", {"end": 1})
    assert folder == tmp_path / "out" / "clips"
    assert sorted(path.name for path in (folder / "datasets").iterdir()) == ["a10.mp4", "a9.mp4"]


def test_a_bar_is_used_again(clip, tmp_path):
    said = []
    bar = SimpleNamespace(reset=said.append, update=said.append, refresh=lambda: None)
    sly.sample_video(clip, tmp_path, {"end": 2}, None, sly.ApiContext(), bar)
    sly.sample_video(clip, tmp_path, {"end": 3}, None, None, bar)
    assert said == [2, 0, 1, 1, 3, 2, 1]
    assert bar.desc == "Processing gop2.mp4"


def test_projects_that_do_not_go_together(clip, tmp_path):
    classes = [{"title": "car", "shape": "bitmap"}]
    (tmp_path / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
    with pytest.raises(ValueError, match="classes: 'car' is 'bitmap' in the project of images, and 'any' in"):
        sly.sample_video(clip, tmp_path, {})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"step": 0}, "step=0 must be 1 or more"),
        ({"start": -1}, "start=-1 must be 0 or more"),
        ({"resize": (0, 9)}, "resize=0 must be 1 or more"),
        ({"resize": 224}, "resize=224 must be a height and a width"),
    ],
)
def test_wrong_settings(settings, words, clip, tmp_path):
    with pytest.raises(ValueError, match=words):
        sly.sample_video(clip, tmp_path, settings)


def test_a_video_without_annotations_has_no_annotated_frames(tmp_path, caplog):
    assert numbers(sly.sample_video(CLIP, tmp_path, {"annotated": True})) == []
    assert caplog.messages == ["gop2.mp4 has no annotations: no image is made of it"]


# Streams


def stream(path, **options):
    async def collect():
        return [(number, frame) async for number, frame in sly.async_stream_video_frames(path, **options)]

    return asyncio.run(collect())


def to_dir(path, folder, *args, **options):
    return sly.stream_video_frames_to_dir(path, folder, *args, **options)


def to_dir_awaited(path, folder, *args, **options):
    return asyncio.run(sly.async_stream_video_frames_to_dir(path, folder, *args, **options))


both = pytest.mark.parametrize("write", [to_dir, to_dir_awaited])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, range(60)),
        ({"start": 3, "end": 5}, [3, 4, 5]),
        ({"start": -4, "end": 1}, [0, 1]),
        ({"start": 9, "end": 3}, [9]),
        ({"end": -1}, [0]),
        ({"start": 58, "end": 500}, [58, 59]),
    ],
)
@pytest.mark.parametrize("show", [False, True])
def test_the_end_is_included(options, expected, show):
    frames = stream(CLIP, show_decoding_progress=show, queue_maxsize=4, **options)
    assert [number for number, _ in frames] == list(expected)
    np.testing.assert_array_equal([frame for _, frame in frames], true_frames(CLIP)[list(expected)])


@both
def test_files_and_paths(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    paths = write(CLIP, "./new/frames", 8, 10, "png", seen.append)
    assert paths == [f"./new/frames/frame_{number:06d}.png" for number in (8, 9, 10)]
    assert seen == [1, 1, 1]
    frames = np.array([np.array(Image.open(path)) for path in paths])
    np.testing.assert_array_equal(frames, true_frames(CLIP)[8:11])


@both
def test_a_writer_gets_text(write, tmp_path):
    written = {}
    paths = write(CLIP, tmp_path, end=4, ext="npy", image_writer=written.__setitem__)
    assert sorted(written) == paths == [os.path.join(tmp_path, f"frame_{n:06d}.npy") for n in range(5)]
    np.testing.assert_array_equal([written[path] for path in paths], VideoReader(CLIP)[:5])
    assert list(tmp_path.iterdir()) == []


@both
def test_a_start_after_the_end(write, tmp_path):
    for call in (lambda: stream(CLIP, start=60), lambda: write(CLIP, tmp_path, start=99, end=100)):
        with pytest.raises(IndexError, match=r"start=\d\d is out of range: .*gop2.mp4 ends before it"):
            call()


@both
def test_no_damaged_frame_is_left_out(write, tmp_path):
    with pytest.raises(DecodeError, match="frame 44"):
        write(SAMPLES / "damaged.mp4", tmp_path)


def test_it_may_be_called_while_a_loop_is_running(tmp_path):
    async def cell():
        return to_dir(CLIP, tmp_path, end=0)

    assert [Path(path).name for path in asyncio.run(cell())] == ["frame_000000.png"]


@both
def test_an_api_is_an_error_in_words(write, tmp_path):
    with pytest.raises(TypeError, match="SimpleNamespace is not a path: give that of a video"):
        write(SimpleNamespace(), 123, str(tmp_path))


def test_names_and_defaults_are_theirs():
    settings = inspect.signature(sly.stream_video_frames_to_dir).parameters
    assert {name: each.default for name, each in list(settings.items())[2:-1]} == {
        **{"start": None, "end": None, "ext": "png", "progress_cb": None, "image_writer": None},
        **{"max_write_workers": 4, "queue_maxsize": 32, "show_decoding_progress": False},
    }
    keys = {name: key for name, key in vars(Settings).items() if name.isupper()}
    assert keys == {
        **{"ONLY_ANNOTATED": "annotated", "START": "start", "END": "end", "STEP": "step"},
        **{"RESIZE": "resize", "COPY_ANNOTATIONS": "copy_annotations"},
    }
