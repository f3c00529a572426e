import pytest
from optional import needed_above

pa = needed_above("pyarrow")
from pyarrow import parquet  # noqa: E402

from pvio_lab.scale import Store  # noqa: E402
from pvio_lab.scale.jobs.ray_runner import watched  # noqa: E402

pytestmark = pytest.mark.ray


@pytest.fixture
def store(tmp_path):
    for name in ("clips", "done"):
        (tmp_path / name).mkdir()
    return Store(tmp_path)


def put(store, name, clips, marker="", has_shard=True):
    """Write what a task leaves: its marker, pending or not, and its shard."""
    table = pa.table({"clip": pa.array(clips, pa.int64())})
    if marker is not None:
        parquet.write_table(table, store.path(f"done/{name}{marker}.parquet"))
    if has_shard:
        parquet.write_table(table, store.path(f"clips/{name}-0.parquet"))


def clips_of(store):
    return sorted(store.clips().to_table()["clip"].to_pylist()) if store.names("clips") else []


LEFT = {
    "whole shards stay": ([("a_000000", [0, 1]), ("a_000001", [2])], [0, 1, 2]),
    "a shard that was not committed goes": (
        [("a_000000", [0, 1]), ("a_000001", [2, 3], ".pending"), ("b_000000", [2, 3], None)],
        [0, 1],
    ),
    "a marker whose shard is missing goes": ([("a_000000", [0, 1], "", False)], []),
    "a shard that was written anew after its commit goes": (
        [("a_000000", [0, 1], ".pending"), ("a_000000", [0, 1])],
        [],
    ),
    "clips that two runs have committed count once": ([("a_000000", [0, 1]), ("b_000000", [1, 2])], [0, 1]),
    "a name that begins another is another": ([("a_100000", [0], ".pending"), ("a_1000000", [1])], [1]),
}


@pytest.mark.parametrize(("puts", "clips"), LEFT.values(), ids=LEFT)
def test_what_a_killed_run_has_left(store, puts, clips):
    for each in puts:
        put(store, *each)
    for _ in range(2):
        assert (store.settle(5), clips_of(store)) == (len(clips), clips)
    shards = [name.replace("-0.parquet", ".parquet") for name in store.names("clips")]
    assert store.names("done") == shards


def test_a_shard_that_was_not_committed_does_not_count(store):
    put(store, "a_000000", [0, 1])
    put(store, "a_000001", [2, 3], ".pending")
    assert clips_of(store) == [0, 1]


def test_shards_with_other_types_read_as_one(store):
    for number, values in enumerate([[None], [1], [0.5]]):
        put(store, f"a_00000{number}", [number], has_shard=False)
        table = pa.table({"clip": [number], "value": values})
        parquet.write_table(table, store.path(f"clips/a_00000{number}-0.parquet"))
    assert store.clips().to_table().sort_by("clip")["value"].to_pylist() == [None, 1.0, 0.5]


def test_a_file_is_written_whole_or_not_at_all(store):
    store.write("job.json", b'{"a": 1}')
    assert store.read_json("job.json") == {"a": 1}
    assert store.read_json("nothing.json") is None
    assert store.names("") == ["job.json"]


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


@pytest.mark.parametrize(("deadly", "count"), [([], 1), ([2], 4), ([0, 4], 6)])
def test_a_deadly_clip_is_left_out_after_two_more_tries(store, deadly, count):
    kinds = ["WorkerDied" if number in deadly else None for number in range(5)]
    assert tries_until_done(store, deadly) == (count, kinds)
    assert store.names("deaths") == []
