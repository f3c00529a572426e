import os
import pickle

import pytest
from optional import needed_above

pa = needed_above("pyarrow")
from pyarrow import parquet  # noqa: E402

from pvio_lab.scale import Store  # noqa: E402
from pvio_lab.scale.jobs.job import watched  # noqa: E402

pytestmark = pytest.mark.ray


@pytest.fixture
def store(tmp_path):
    for name in ("clips", "done"):
        (tmp_path / name).mkdir()
    return Store(tmp_path)


def put(store, name, clips, marker="", shard=True):
    """Write what a task leaves: its marker, pending or not, and its shard."""
    table = pa.table({"clip": pa.array(clips, pa.int64())})
    if marker is not None:
        parquet.write_table(table, store.path(f"done/{name}{marker}.parquet"))
    if shard:
        parquet.write_table(table, store.path(f"clips/{name}-0.parquet"))


def left(store):
    return sorted(store.clips().to_table()["clip"].to_pylist()) if store.names("clips") else []


def test_what_is_whole_stays(store):
    put(store, "a_000000", [0, 1])
    put(store, "a_000001", [2])
    assert store.settle(5) == 3
    assert left(store) == [0, 1, 2]


def test_a_shard_that_was_not_committed_does_not_count_and_goes(store):
    put(store, "a_000000", [0, 1])
    put(store, "a_000001", [2, 3], marker=".pending")
    put(store, "b_000000", [2, 3], marker=None)
    assert left(store) == [0, 1]
    assert store.settle(5) == 2
    assert store.names("clips") == ["a_000000-0.parquet"]
    assert store.names("done") == ["a_000000.parquet"]


def test_a_marker_whose_shard_is_missing_goes(store):
    put(store, "a_000000", [0, 1], shard=False)
    assert store.settle(5) == 0
    assert store.names("done") == []


def test_a_shard_that_was_written_anew_after_its_commit_goes(store):
    put(store, "a_000000", [0, 1], marker=".pending")
    put(store, "a_000000", [0, 1])
    assert store.settle(5) == 0
    assert store.names("done") == store.names("clips") == []


def test_clips_that_two_runs_have_committed_count_once(store):
    put(store, "a_000000", [0, 1])
    put(store, "b_000000", [1, 2])
    assert store.settle(5) == 2
    assert left(store) == [0, 1]
    assert store.settle(5) == 2


def test_a_name_that_begins_another_is_another(store):
    put(store, "a_100000", [0], marker=".pending")
    put(store, "a_1000000", [1])
    assert store.settle(5) == 1
    assert left(store) == [1]


def test_shards_with_other_types_read_as_one(store):
    for number, values in enumerate([[None], [1], [0.5]]):
        put(store, f"a_00000{number}", [number], shard=False)
        table = pa.table({"clip": [number], "value": values})
        parquet.write_table(table, store.path(f"clips/a_00000{number}-0.parquet"))
    assert store.clips().to_table().sort_by("clip")["value"].to_pylist() == [None, 1.0, 0.5]


def test_a_file_is_written_whole_or_not_at_all(store):
    store.write("job.json", b'{"a": 1}')
    assert store.read_json("job.json") == {"a": 1}
    assert store.read_json("nothing.json") is None
    assert store.names("") == ["job.json"]


def test_it_travels(store):
    assert pickle.loads(pickle.dumps(store)).root == store.root


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[1]", b"\xff", b"{"])
def test_a_damaged_note_is_a_clear_error(store, content):
    store.write("job.json", content)
    with pytest.raises(ValueError, match=r"job\.json is damaged"):
        store.read_json("job.json")


def test_half_files_of_killed_runs_are_removed(store, tmp_path):
    half, whole = tmp_path / ".job.json.0123abcd.part", tmp_path / "job.json"
    half.write_bytes(b"half")
    store.write("job.json", b"{}")
    store.settle(0)
    assert (half.exists(), whole.read_bytes()) == (False, b"{}")


@pytest.mark.skipif(os.name != "posix", reason="needs permissions as POSIX has them")
def test_a_file_that_is_replaced_passes_on_its_permissions(store, tmp_path):
    (tmp_path / "job.json").write_bytes(b"old")
    (tmp_path / "job.json").chmod(0o600)
    store.write("job.json", b"{}")
    assert (tmp_path / "job.json").stat().st_mode & 0o777 == 0o600


ROWS = [{"clip": number} for number in range(5)]


class Killed(BaseException):
    """The end of a try, as by a dead worker: nothing after it runs."""


def tries_until_done(store, deadly):
    def process(row):
        if row["clip"] in deadly:
            raise Killed
        return {"error_type": None}

    for count in range(1, 30):
        try:
            return count, [result["error_type"] for result in watched(ROWS, store, process)]
        except Killed:
            continue
    raise AssertionError("it never ends")


def test_without_deaths_there_is_one_try_and_no_note(store):
    assert tries_until_done(store, set()) == (1, [None] * 5)
    assert store.names("deaths") == []


def test_a_deadly_clip_is_left_out_after_two_more_tries(store):
    assert tries_until_done(store, {2}) == (4, [None, None, "WorkerDied", None, None])
    assert store.names("deaths") == []


def test_so_are_several(store):
    assert tries_until_done(store, {0, 4})[1] == ["WorkerDied", None, None, None, "WorkerDied"]
