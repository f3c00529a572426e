"""A small Ray of its own for the tests of a module."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from optional import needs


@pytest.fixture(scope="module")
def ray_session() -> Iterator[object]:
    """Ray on two processors of this machine, without a dashboard; its files go when it ends."""
    ray = needs("ray")
    needs("ray.data")
    folder = tempfile.mkdtemp(prefix="ray_")  # short: Ray makes sockets in it, whose paths are limited
    search = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
    search = os.pathsep.join(filter(None, [search, os.environ.get("PYTHONPATH")]))
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=512 * 2**20,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=folder,
        runtime_env={"env_vars": {"PYTHONPATH": search}},
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
