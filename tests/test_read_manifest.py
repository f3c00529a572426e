import os

import numpy as np
import pytest
from optional import needed_above

pa = needed_above("pyarrow")
from pyarrow import csv, dataset, fs, parquet  # noqa: E402

from pvio_lab.scale.jobs.read_manifest import draw_rows, freeze_manifest  # noqa: E402

pytestmark = pytest.mark.ray


def frozen(manifest, folder, **options):
    folder.mkdir()
    options = {"path_column": "path", "reserved": ["frames"]} | options
    count = freeze_manifest(manifest, str(folder), fs.LocalFileSystem(), **options)
    table = dataset.dataset(str(folder)).to_table()
    assert table.num_rows == count
    return table.to_pydict()


def test_csv_and_parquet_say_the_same(tmp_path):
    table = pa.table({"path": ["/a.mp4", "/b.mp4"], "start_seconds": [0.5, None], "label": ["x", "y"]})
    csv.write_csv(table, tmp_path / "clips.csv")
    parquet.write_table(table, tmp_path / "clips.parquet")
    expected = {"clip": [0, 1], **table.to_pydict()}
    assert frozen(tmp_path / "clips.csv", tmp_path / "1") == expected
    assert frozen(str(tmp_path / "clips.parquet"), tmp_path / "2") == expected


def test_a_pattern_finds_files_in_natural_order(tmp_path):
    for name in ("10.mp4", "2.mp4", "b.txt"):
        (tmp_path / name).touch()
    paths = frozen(str(tmp_path / "*.mp4"), tmp_path / "frozen")["path"]
    assert paths == [str(tmp_path / "2.mp4"), str(tmp_path / "10.mp4")]


def test_relative_paths_become_absolute_and_urls_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"video": "a.mp4"}, {"video": "http://host/b.mp4"}]
    clips = frozen(rows, tmp_path / "frozen", path_column="video")
    assert clips == {"clip": [0, 1], "path": [str(tmp_path / "a.mp4"), "http://host/b.mp4"]}


def test_numbers_go_on_from_one_batch_to_the_next(tmp_path):
    clips = frozen([f"/{number}.mp4" for number in range(70_000)], tmp_path / "frozen")
    assert clips["clip"] == list(range(70_000))
    assert clips["path"][66_000] == "/66000.mp4"


@pytest.mark.parametrize(
    ("manifest", "error", "words"),
    [
        ([], ValueError, "no clips"),
        ([{"video": "a"}], ValueError, "no column 'path', only 'video'"),
        ([{"path": "a", "frames": 1}], ValueError, r"\['frames'\]"),
        ([{"path": "a", "clip": 1}], ValueError, r"\['clip'\]"),
        ([3], TypeError, "not int: 3"),
        ([{"path": 3}], ValueError, "must be text, not int: 3"),
        ([{"path": "a", "x": 1}, {"path": "b", "x": [1]}], ValueError, "the column 'x'"),
        ([{"path": "a", "x": 10**30}], ValueError, "the column 'x'"),
        ("nothing/*.mp4", FileNotFoundError, r"nothing/\*.mp4"),
        ("nothing.csv", FileNotFoundError, "nothing.csv"),
    ],
)
def test_a_wrong_manifest_is_a_clear_error(tmp_path, manifest, error, words):
    with pytest.raises(error, match=words):
        frozen(manifest, tmp_path / "frozen")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("clips.txt", b"hello"),
        *[("clips.csv", each) for each in (b"path,n\na.mp4\n", b"path\n\xff\n", b"path,path\na,b\n", b"")],
    ],
)
def test_a_damaged_table_is_a_clear_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a manifest|must be text|twice"):
        frozen(tmp_path / name, tmp_path / "frozen")


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "clips.csv")
    with pytest.raises(ValueError, match="not a regular file"):
        frozen(tmp_path / "clips.csv", tmp_path / "frozen")


def test_drawn_rows_are_a_fair_sample():
    paths = [f"{number}" for number in range(140_000)]
    drawn = np.array([int(row["path"]) for row in draw_rows(paths, 2_000)])
    assert len(np.unique(drawn)) == 2_000
    assert abs(drawn.mean() / 70_000 - 1) < 0.05
