"""`python -m pvio_lab.measure`: the measurements, from the command line."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from ..errors import VideoError
from .commands import COMMANDS

PROGRAM = "python -m pvio_lab.measure"
DEFAULT = "throughput"
_EPILOG = f"""examples:
  {PROGRAM} clip.mp4
  {PROGRAM} clip.mp4 --patterns random --readers pvio_lab decord
  {PROGRAM} profile clip.mp4 --frames 50
  {PROGRAM} doctor --json

exit codes: 0 all right, 1 something is wrong with a file or the installation, 2 wrong arguments,
130 interrupted. A file that is named like a command: ./doctor"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, prints its report, and returns the exit code."""
    given = _parser().parse_args(_with_default(list(sys.argv[1:] if arguments is None else arguments)))
    command = COMMANDS[given.command]
    try:
        report = command.run(given)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except (ValueError, TypeError) as error:
        return _complain(str(error), 2)
    except (VideoError, OSError) as error:
        return _complain(str(error), 1)
    print(json.dumps(report.to_dicts(), indent=2) if given.json else report)
    return 0 if command.is_good(report) else 1


def _parser() -> ArgumentParser:
    import argparse

    raw = argparse.RawDescriptionHelpFormatter
    parser = ArgumentParser(
        PROGRAM, description="How fast reading is, and why.", epilog=_EPILOG, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        part = commands.add_parser(name, help=command.help, description=f"Tells {command.help}.")
        command.add_arguments(part)
        part.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _with_default(arguments: list[str]) -> list[str]:
    """['clip.mp4'] -> ['throughput', 'clip.mp4']; without anything, the help."""
    if not arguments:
        return ["--help"]
    is_named = arguments[0] in COMMANDS or arguments[0] in ("-h", "--help")
    return arguments if is_named else [DEFAULT, *arguments]


def _complain(words: str, code: int) -> int:
    print(f"{PROGRAM}: {words}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
