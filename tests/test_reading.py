"""Files beside videos that somebody else has written: a result, or a ValueError that says what is wrong."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from truth_frames import SAMPLES

import pvio_lab as pv
from pvio_lab.base import reading
from pvio_lab.marks import read_notes
from pvio_lab.read import recall, remember
from pvio_lab.read.info import _places
from pvio_lab.write.sample.image_manifest import Origin, known_manifest, stem_for

CLIP = SAMPLES / "gop2.mp4"
DEEP = "[" * 100_000
ENDLESS = json.dumps({"ranges": [{"start": 0, "end": 10**9, "label": "a"}]})
# As many labels as frames, on every frame.
DENSE = json.dumps({"ranges": [{"start": 0, "end": 60, "label": str(n)} for n in range(5000)]})
HOSTILE = {
    "deep.mp4.json": DEEP,
    "endless.mp4.json": ENDLESS,
    "dense.mp4.json": DENSE,
    "huge.mp4.json": json.dumps({"frames": [{"index": 10**30, "labels": []}]}),
    "nan.mp4.json": '{"frames": [{"index": NaN, "labels": []}]}',
    "twice.mp4.json": '{"frames": [], "frames": []}',
    "bytes.mp4.json": b"\xff\xfe\x00",
    "field.csv": "frame,label\n1," + "x" * 200_000,
    "nul.csv": "frame,label\n1\x00,a\n",
    "columns.csv": "frame,label,label\n1,a,b\n",
    "number.csv": f"frame\n{10**12}\n",
}

# Anything that JSON can say, most of it with the keys that mean something.
KEYS = st.sampled_from(
    "frames ranges colors index labels start end label size width height tags objects figures key objectKey "
    "classTitle geometryType geometry name value frameRange points exterior nodes loc description number "
    "is_complete video info".split()
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**9)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=2), inner, max_size=5)
    ),
    max_leaves=25,
)
FIGURE = st.fixed_dictionaries({"objectKey": st.just("k"), "geometryType": ANYTHING, "geometry": ANYTHING})


def entries(**parts):
    return st.lists(st.fixed_dictionaries(parts)) | ANYTHING


SUPERVISELY = st.fixed_dictionaries(
    {
        "size": st.just({"width": 320, "height": 240}) | ANYTHING,
        "tags": entries(name=ANYTHING, frameRange=ANYTHING),
        "objects": st.just([{"key": "k", "classTitle": "car"}]) | ANYTHING,
        "frames": st.lists(st.fixed_dictionaries({"index": ANYTHING, "figures": st.lists(FIGURE)}))
        | ANYTHING,
    }
)
MARKS = st.fixed_dictionaries(
    {
        "frames": entries(index=LEAVES, labels=ANYTHING),
        "ranges": st.lists(st.fixed_dictionaries({"start": LEAVES, "end": LEAVES, "label": LEAVES}))
        | ANYTHING,
        "colors": ANYTHING,
    }
)


@settings(deadline=None, max_examples=200)
@given(ANYTHING | SUPERVISELY | MARKS)
def test_any_json_is_notes_or_a_value_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(data), "utf-8", "surrogatepass")
    with suppress(ValueError):
        notes = read_notes(path)
        notes.check(60)
        assert len(notes.numbers()) <= 60
        assert all(isinstance(label, str) for label in notes.labels_at(3))
    with suppress(FileExistsError):
        known = known_manifest(path, Origin("gop2.mp4", 1, 60, (4, 4), (4, 4)))
        assert known is None or all(frame["number"] >= 0 for frame in known["frames"])


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_annotation_is_one_clear_error(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(HOSTILE[name] if isinstance(HOSTILE[name], bytes) else HOSTILE[name].encode())
    with pytest.raises(ValueError, match=r"is no|annotated|labels|columns") as caught:
        read_notes(path).check(60)
    assert len(str(caught.value)) < 1000


def test_no_annotation_ends_the_run_of_a_tree(tmp_path):
    tree, output = tmp_path / "tree", tmp_path / "output"
    tree.mkdir()
    for name, content in HOSTILE.items():
        shutil.copy(CLIP, tree / f"{name.split('.')[0]}.mp4")
        (tree / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    shutil.copy(CLIP, tree / "good.mp4")
    report = pv.sample_video_tree(tree, output, only_annotated=True, progress=False)
    assert [row.source.endswith("good.mp4") for row in report] == [row.ok for row in report]
    assert all(row.error.startswith("ValueError") for row in report.bad)


def test_a_figure_that_cannot_be_copied_is_a_row(tmp_path):
    shapes = {"list": [1], "points": {"points": 5}, "far": {"points": {"exterior": [[10**400, 1]]}}}
    for name, geometry in shapes.items():
        figure = {"objectKey": "k", "geometryType": "point", "geometry": geometry}
        data = {
            "size": {"width": 100, "height": 100},
            "objects": [{"key": "k", "classTitle": "car"}],
            "frames": [{"index": 0, "figures": [figure]}],
        }
        shutil.copy(CLIP, tmp_path / f"{name}.mp4")
        (tmp_path / f"{name}.mp4.json").write_text(json.dumps(data))
    report = pv.sample_video_tree(
        tmp_path, tmp_path / "output", only_annotated=True, copy_annotations=True, progress=False
    )
    assert [row.error.partition(" frame")[0] for row in report] == ["ValueError: the annotations of"] * 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_a_fifo_is_not_waited_for(tmp_path):
    clip, fifo = tmp_path / "a.mp4", tmp_path / "fifo.json"
    shutil.copy(CLIP, clip)
    os.mkfifo(fifo)
    with pytest.raises(ValueError, match="only regular files are read"):
        read_notes(fifo)
    os.mkfifo(_places(str(clip))[0])
    assert recall(str(clip)) is None
    os.mkfifo(tmp_path / "a_frames.json")
    assert stem_for(tmp_path, "a.mp4") == "a"


def test_the_size_is_bounded(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text('{"frames": []}')
    with pytest.raises(ValueError, match="more than 5 bytes"):
        reading.read_json(path, 5)
    monkeypatch.setattr(reading, "_MOST_VALUES", 1)
    with pytest.raises(ValueError, match="more than 1 values"):
        reading.read_json(path)


def test_many_labels_take_no_minutes(tmp_path):
    labels = [{"index": 1, "labels": [str(number)]} for number in range(20_000)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"frames": labels}))
    assert len(read_notes(path).labels_at(1)) == 20_000


@pytest.mark.parametrize(
    "change", [{"num_frames": 10**9}, {"width": 10**9}, {"fps": float("nan")}, {"duration_seconds": -1.0}]
)
def test_remembered_facts_that_cannot_be_are_not_believed(tmp_path, change):
    clip = shutil.copy(CLIP, tmp_path)
    info = pv.get_video_metadata(clip)
    remember(clip, type(info)(**{**vars(info), **change}))
    assert recall(clip) is None
    assert pv.get_video_metadata(clip) == info
