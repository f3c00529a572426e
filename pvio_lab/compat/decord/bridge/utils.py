"""The error of bridges that are missing."""

from typing import NoReturn


def no_bridge(name: str) -> NoReturn:
    """Raise the ImportError of a bridge that decord has, and that is missing here."""
    raise ImportError(
        f"there is no bridge to {name} here; choose 'torch', 'numpy' or 'native', and give {name}'s own "
        "from_dlpack what you get"
    )
