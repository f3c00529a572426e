import os
from pathlib import Path

import pytest

from pvio_lab.read import Fetching
from pvio_lab.scale.policies import Policy
from pvio_lab.scale.preprocess import Form
from pvio_lab.scale.spool import Spool
from pvio_lab.scale.take import Wishes, spool_for

PIECES = [b"abc", b"defg", b"h"]


@pytest.mark.parametrize("memory_bytes", [0, 3, 4, 8, 100, float("inf")])
def test_what_is_written_can_be_read_by_path(memory_bytes, tmp_path):
    with Spool(tmp_path / "new", memory_bytes=memory_bytes) as spool:
        for piece in PIECES:
            spool.write(piece)
        assert Path(spool.path).read_bytes() == b"abcdefgh"
        assert spool.num_bytes == 8
    assert not any((tmp_path / "new").glob("*"))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there are no files in memory here")
def test_little_stays_in_memory(tmp_path):
    with Spool(tmp_path, memory_bytes=4) as spool:
        spool.write(b"abcd")
        assert "memfd" in os.readlink(spool.path)
        spool.write(b"e")
        assert str(tmp_path) in os.readlink(spool.path)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there are no files in memory here")
def test_where_downloads_go(tmp_path):
    for cache_mode, place in (("auto", "memfd"), ("memory", "memfd"), ("disk", str(tmp_path))):
        wishes = Wishes(Policy.of({"uniform": 1}), Form(), Fetching(cache_dir=tmp_path), cache_mode)
        with spool_for(wishes) as spool:
            spool.write(bytes(1_000_000))
            assert place in os.readlink(spool.path)
