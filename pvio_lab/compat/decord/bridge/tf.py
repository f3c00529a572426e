"""There is no bridge to tensorflow."""

from typing import NoReturn

from .utils import no_bridge


def try_import_tfdl() -> NoReturn:
    """Raise an ImportError that says what to do."""
    no_bridge("tensorflow")
