import pytest
from optional import needed_above

needed_above("pyarrow")
from pvio_lab.scale.jobs.job import watched  # noqa: E402
from pvio_lab.scale.jobs.store import Store  # noqa: E402

pytestmark = pytest.mark.ray

ROWS = [{"clip": number} for number in range(5)]


class Killed(BaseException):
    """Ends a try as a dead worker does: nothing after it runs."""


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


@pytest.fixture
def store(tmp_path):
    return Store.of(tmp_path)


def test_without_deaths_there_is_one_try_and_no_note(store):
    assert tries_until_done(store, set()) == (1, [None] * 5)
    assert store.names("deaths") == []


def test_a_deadly_clip_is_left_out_after_two_more_tries(store):
    assert tries_until_done(store, {2}) == (4, [None, None, "WorkerDied", None, None])
    assert store.names("deaths") == []


def test_so_are_several(store):
    assert tries_until_done(store, {0, 4})[1] == ["WorkerDied", None, None, None, "WorkerDied"]
