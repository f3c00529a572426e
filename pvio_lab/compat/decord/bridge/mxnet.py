"""There is no bridge to mxnet."""

from typing import NoReturn

from .utils import no_bridge


def try_import_mxnet() -> NoReturn:
    """Raise an ImportError that says what to do."""
    no_bridge("mxnet")
