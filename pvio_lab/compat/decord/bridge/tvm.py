"""There is no bridge to tvm."""

from typing import NoReturn

from .utils import no_bridge


def try_import_tvm() -> NoReturn:
    """Raise an ImportError that says what to do."""
    no_bridge("tvm")
