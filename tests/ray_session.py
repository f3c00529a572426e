"""A small Ray for the tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from optional import needs


@pytest.fixture(scope="session")
def ray_session() -> Iterator[ModuleType]:
    """Start Ray on two processors, without a dashboard, and remove its files at the end."""
    ray = needs("ray")
    needs("ray.data")
    folder = tempfile.mkdtemp(prefix="ray_")  # short: Ray makes sockets in it, whose paths are limited
    try:
        start(ray, folder)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.use_datasource_v2 = False  # the newer way to read Parquet starts a dozen more processes
        yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def start(ray: ModuleType, folder: str, *, attempts: int = 4) -> None:
    """Start Ray, which gives itself half a minute: too little on a busy machine."""
    tests = Path(__file__).parent
    search = os.pathsep.join(filter(None, [str(tests.parent), str(tests), os.environ.get("PYTHONPATH")]))
    for attempt in range(attempts):
        try:
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=160 * 2**20,
                log_to_driver=False,
                logging_level="ERROR",
                _temp_dir=folder,
                runtime_env={"env_vars": {"PYTHONPATH": search}},
            )
            return
        except Exception as error:  # Ray has no class of its own for this
            ray.shutdown()
            if "timed out during startup" not in str(error) or attempt == attempts - 1:
                raise
