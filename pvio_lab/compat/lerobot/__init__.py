"""The interface of LeRobot's video tools, `lerobot.datasets.video_utils`, on top of this library.

All names are here, too. What is different on purpose is said in the docstrings, and in `lerobot.md`.
"""

from typing import TYPE_CHECKING, Any

from .datasets import video_utils

if TYPE_CHECKING:
    from .datasets.video_utils import *  # noqa: F403

__all__ = video_utils.__all__


def __getattr__(name: str) -> Any:
    return getattr(video_utils, name)
