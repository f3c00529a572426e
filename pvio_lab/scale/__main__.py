"""`python -m pvio_lab.scale`: take the clips of a manifest into Parquet shards, or estimate the time."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import printable

PROGRAM = "python -m pvio_lab.scale"
_EPILOG = f"""examples:
  {PROGRAM} clips.csv results/ --num-frames 8 --width 320
  {PROGRAM} 'videos/**/*.mp4' results/ --make images --fps 1
  {PROGRAM} clips.parquet --estimate 100000000 --num-frames 8

Started again with the same folder, it continues where it stopped. exit codes: 0 success, 1 something is wrong
with a file, a clip or the installation, 2 wrong arguments, 130 interrupted."""
_SAMPLING = {"num_frames": int, "fps": float, "step": int, "first": int, "max_frames": int}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job, print its report, and return the exit code."""
    given = _parser().parse_args(arguments)
    if (given.output is None) == (given.estimate is None):
        return _complain("give a folder for the results, or --estimate", 2)
    try:
        return _estimate(given) if given.output is None else _process(given)
    except KeyboardInterrupt:
        return _complain("interrupted; started again, it continues", 130)
    except (ValueError, TypeError) as error:
        return _complain(str(error), 2)
    except (RuntimeError, OSError, ImportError) as error:  # a VideoError is a RuntimeError
        return _complain(str(error), 1)


def _process(given: argparse.Namespace) -> int:
    from .jobs.job import process_manifest

    report = process_manifest(given.manifest, given.output, **_options(given))
    print(report)
    for row in report.errors()[:10]:
        print(f"  {printable(str(row['path']))}: {row['error_type']}: {row['error_message']}")
    return 1 if report.num_failed else 0


def _estimate(given: argparse.Namespace) -> int:
    from .jobs.estimate import estimate_job
    from .jobs.job import measure_clips

    report = measure_clips(given.manifest, num_clips=given.sample, **_options(given))
    estimate = estimate_job(report, given.estimate, num_cores=given.cores)
    print(json.dumps(estimate.to_dicts(), indent=2) if given.json else estimate)
    return 0


def _options(given: argparse.Namespace) -> dict[str, Any]:
    sampling = {name: getattr(given, name) for name in _SAMPLING if getattr(given, name) is not None}
    names = ("make", "path_column", "width", "height", "clips_per_shard", "runner", "num_workers")
    options = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    return options | {"sampling": sampling or None, "progress": not given.quiet}


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Many clips, on this machine or by Ray Data.",
        epilog=_EPILOG,
        formatter_class=raw,
    )
    parser.add_argument("manifest", help="a .csv or .parquet file, a folder of these, or a pattern")
    parser.add_argument("output", nargs="?", help="the folder of the job, new or begun")
    parser.add_argument("--make", choices=("frames", "images", "info"), help="of each clip: frames")
    for name, kind in _SAMPLING.items():
        parser.add_argument(_flag(name), type=kind, help="which frames, as in sample_indices")
    for name in ("width", "height", "clips_per_shard"):
        parser.add_argument(_flag(name), type=int)
    parser.add_argument("--runner", choices=("auto", "local", "ray"), help="auto: Ray if RAY_ADDRESS is set")
    parser.add_argument("--num-workers", type=int, help="how many clips at the same time: one for each core")
    parser.add_argument("--path-column", help="the column of the paths: path")
    parser.add_argument("--estimate", type=int, metavar="CLIPS", help="print what this many clips would take")
    parser.add_argument("--sample", type=int, default=300, help="how many clips to measure for that: 300")
    parser.add_argument("--cores", type=int, help="how many cores there will be")
    parser.add_argument("--json", action="store_true", help="print the estimate as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _complain(message: str, code: int) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
