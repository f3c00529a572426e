from __future__ import annotations

import pytest
from written import wait_until

from pvio_lab.read import ReaderPool
from pvio_lab.read.pool import Awake


class Reader:
    """A reader that counts how often it was sent to rest."""

    def __init__(self, name, size=1):
        self.name, self.size, self.rests, self.is_closed = name, size, 0, False

    def rest(self):
        self.rests += 1

    def close(self):
        self.is_closed = True


def test_those_not_used_for_longest_rest():
    awake, readers = Awake(2), [Reader(name) for name in "abc"]
    for number in (0, 1, 0, 2, 2, 0):
        awake.touch(readers[number])
    assert [reader.rests for reader in readers] == [0, 1, 0]


def test_a_sleeper_is_not_kept_alive():
    awake = Awake(1)
    awake.touch(Reader("a"))
    awake.touch(kept := Reader("b"))
    assert list(awake._used) == [kept]


def test_those_that_are_idle_rest():
    awake, readers = Awake(5, idle_seconds=0.05), [Reader(name) for name in "ab"]
    for reader in readers:
        awake.touch(reader)
    wait_until(lambda: [reader.rests for reader in readers] == [1, 1])
    awake.touch(readers[0])
    wait_until(lambda: [reader.rests for reader in readers] == [2, 1])


def test_a_dropped_reader_is_opened_anew():
    pool = ReaderPool(Reader, 5)
    reader = pool.get("a")
    pool.drop("a", reader)
    assert (len(pool), pool.get("a") is reader) == (0, False)


def test_readers_used_lately_are_kept():
    opened = []
    pool = ReaderPool(lambda key: opened.append(key) or Reader(key), 2)
    kept = [pool.get(key) for key in "abacab"]
    assert "".join(opened) == "abcb"
    assert kept[0] is kept[2] is kept[4]
    assert len(pool) == 2
    assert not any(reader.is_closed for reader in kept)  # another thread may be reading


@pytest.mark.parametrize(("size", "num_kept"), [(1, 3), (4, 2), (100, 1)])
def test_a_limit_of_what_they_cost(size, num_kept):
    pool = ReaderPool(lambda key: Reader(key, size), 10, lambda reader: reader.size)
    for key in range(3):
        pool.get(key)
    assert len(pool) == num_kept


def test_closing_closes_all_and_begins_anew():
    pool = ReaderPool(Reader, 5)
    readers = [pool.get(key) for key in "ab"]
    pool.close()
    assert all(reader.is_closed for reader in readers)
    assert (len(pool), pool.get("a").is_closed) == (0, False)


def test_only_some_keep_decoders():
    pool = ReaderPool(Reader, 5, max_awake=1)
    for key in "ab":
        pool.touch(pool.get(key))
    assert [pool.get(key).rests for key in "ab"] == [1, 0]
