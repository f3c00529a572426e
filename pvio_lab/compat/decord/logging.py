"""decord's levels of logging. They go to the logger "pvio_lab.compat.decord" of Python's `logging`.

It has a message, of level INFO, for each file of which decord itself would return other frames.
"""

from .base import log

QUIET, PANIC, FATAL, ERROR, WARNING = -8, 0, 8, 16, 24
INFO, VERBOSE, DEBUG, TRACE = 32, 40, 48, 56
CRITICAL = FATAL

# The most that each level lets through, and Python's name for it.
_LEVELS = {FATAL: "CRITICAL", ERROR: "ERROR", WARNING: "WARNING", INFO: "INFO"}


def set_level(lvl: int = ERROR) -> None:
    """Set the level of messages."""
    log.setLevel(next((name for most, name in _LEVELS.items() if lvl <= most), "DEBUG"))
