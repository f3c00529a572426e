"""Optional dependencies in tests: absent, they skip a test here and fail it in CI."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def needs(module: str) -> ModuleType:
    """Import an optional module inside a test or fixture marked `peers` or `slow`.

    Some modules fail with other errors than ImportError: torchcodec does without FFmpeg's libraries.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{module} cannot be imported here: {error}")


def needed_above(module: str) -> ModuleType:
    """Import an optional module at the top of a file of tests marked `ray`, or skip them all.

    If it is missing in CI, the tests that call `needs` fail.
    """
    return pytest.importorskip(module)
