"""`python -m pvio_lab.measure`: the measurements, from the command line."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import VideoError
from .doctor import doctor
from .peer_readers import PEERS
from .profile import profile_reads
from .reports import US
from .throughput import measure_throughput
from .timed_reads import PATTERNS

Run = Callable[[Namespace], Any]
"""Runs a command; the report has a repr, and `to_dicts()`."""


def _throughput(parser: ArgumentParser) -> Run:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a video file, or its URL")
    parser.add_argument("--patterns", nargs="+", metavar="PATTERN", help=_list(PATTERNS), default=PATTERNS)
    parser.add_argument("--readers", nargs="+", metavar="READER", help=_list(PEERS))
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each piece takes (%(default)s)")
    _add_common(parser)
    return lambda given: measure_throughput(
        given.files, patterns=given.patterns, readers=given.readers, **_common(given)
    )


def _profile(parser: ArgumentParser) -> Run:
    parser.add_argument("file", metavar="FILE", help="a video file, its URL, or a directory of images")
    text = "how many frames, spread at random (%(default)s)"
    parser.add_argument("--frames", type=int, default=30, metavar="N", help=text)

    def run(given: Namespace) -> Any:
        import numpy as np

        from ..read import open_video

        if given.frames < 1:
            raise ValueError(f"--frames {given.frames} must be 1 or more")
        with open_video(given.file) as reader:
            numbers = np.random.default_rng(0).permutation(len(reader))[: given.frames]
        return profile_reads(given.file, numbers)

    return run


def _workers(parser: ArgumentParser) -> Run:
    kinds = ("thread", "process")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a video file, its URL, or image directory")
    parser.add_argument("--counts", nargs="+", type=int, default=[0, 1, 2, 4], metavar="N", help="(0 1 2 4)")
    parser.add_argument("--kinds", nargs="+", metavar="KIND", default=kinds, help=_list(kinds))
    parser.add_argument("--batch-size", type=int, default=32, help="frames in a batch (%(default)s)")
    parser.add_argument("--width", type=int, help="scale all frames")
    parser.add_argument("--height", type=int, help="scale all frames")
    parser.add_argument("--seconds", type=float, help="how long each piece takes (1), or the suggestion (5)")
    parser.add_argument("--suggest", action="store_true", help="only say which is best, by short probes")
    _add_common(parser)

    def run(given: Namespace) -> Any:
        from ..load import VideoCollectionDataset
        from .workers import compare_workers, suggest_workers

        dataset = VideoCollectionDataset(given.files, width=given.width, height=given.height)
        if given.suggest:
            return suggest_workers(dataset, seconds=given.seconds or 5.0, batch_size=given.batch_size)
        options = {"batch_size": given.batch_size, **_common(given), "seconds": given.seconds or 1.0}
        return compare_workers(dataset, num_workers=given.counts, worker_kinds=given.kinds, **options)

    return run


def _bench(parser: ArgumentParser) -> Run:
    text = "a claim, or the beginning of its name (all)"
    parser.add_argument("names", nargs="*", metavar="NAME", help=text)
    parser.add_argument("--quick", action="store_true", help="a fraction of the work; only errors count")
    parser.add_argument("--full", action="store_true", help="measure and print also what no claim is about")
    _add_quiet(parser)

    def run(given: Namespace) -> Any:
        from .bench.report import run_bench

        return run_bench(given.names, quick=given.quick, full=given.full, progress=not given.quiet)

    return run


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=3, help="how many pieces there are (%(default)s)")
    _add_quiet(parser)


def _add_quiet(parser: ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")


def _common(given: Namespace) -> dict[str, Any]:
    return {"seconds": given.seconds, "repeats": given.repeats, "progress": not given.quiet}


def _list(names: Any) -> str:
    return f"some of: {', '.join(names)} (all)"


# Name: purpose, a function that adds arguments and returns what runs the command, and whether all is well.
COMMANDS: dict[str, tuple[str, Callable[[ArgumentParser], Run], Callable[[Any], bool]]] = {
    "throughput": (
        "frames per second of this library and its peers, side by side; needs no name: FILE is enough",
        _throughput,
        lambda report: not any(row.reader == US and (row.error or row.wrong_frames) for row in report),
    ),
    "profile": ("the time of each phase when frames are read one by one", _profile, lambda report: True),
    "workers": (
        "frames per second of a loader at several numbers and kinds of workers",
        _workers,
        lambda report: not all(row.error for row in report.rows),
    ),
    "bench": (
        "what this project claims and what is measured here; exit code 1 if they differ by over a tenth",
        _bench,
        lambda report: bool(report.is_good),
    ),
    "doctor": (
        "versions of everything that decodes or encodes, and what is missing",
        lambda parser: lambda given: doctor(),
        lambda report: not report.problems,
    ),
}
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
    """Run a command, print its report, and return the exit code."""
    given = _parser().parse_args(_with_default(list(sys.argv[1:] if arguments is None else arguments)))
    try:
        report = given.run(given)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except (ValueError, TypeError) as error:
        return _complain(str(error), 2)
    except (VideoError, OSError) as error:
        return _complain(str(error), 1)
    print(json.dumps(report.to_dicts(), indent=2) if given.json else report)
    return 0 if given.is_good(report) else 1


def _parser() -> ArgumentParser:
    import argparse

    raw = argparse.RawDescriptionHelpFormatter
    parser = ArgumentParser(
        PROGRAM, description="How fast reading is, and why.", epilog=_EPILOG, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (purpose, prepare, is_good) in COMMANDS.items():
        part = commands.add_parser(name, help=purpose, description=f"Report {purpose}.")
        part.set_defaults(run=prepare(part), is_good=is_good)
        part.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _with_default(arguments: list[str]) -> list[str]:
    """Add the default command: ['clip.mp4'] -> ['throughput', 'clip.mp4']; [] -> ['--help']."""
    if not arguments:
        return ["--help"]
    is_named = arguments[0] in COMMANDS or arguments[0] in ("-h", "--help")
    return arguments if is_named else [DEFAULT, *arguments]


def _complain(text: str, code: int) -> int:
    print(f"{PROGRAM}: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
