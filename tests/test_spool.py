import os
from pathlib import Path

import pytest

from pvio_lab.scale.spool import Spool

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
