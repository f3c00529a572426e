"""`python -m pvio_lab.scale.jobs.bench`: the cost of Ray beside a plain loop, and of a clip among many."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .job import measure_clips
from .process_clip import Work, process_clip
from .store import JobReport


def brightness(frames: Any, row: dict[str, Any]) -> dict[str, float]:
    """Make one number of each clip, so that Ray and the plain loop have the same to store."""
    return {"brightness": float(frames.mean())}


def plain_seconds(paths: Sequence[str], num_threads: int, sampling: dict[str, Any]) -> float:
    """Return seconds a clip of a plain loop with this many threads."""
    work = Work(sampling=sampling, function=brightness)

    def one(path: str) -> None:
        process_clip({"clip": 0, "path": path}, work)

    with ThreadPoolExecutor(num_threads) as threads:
        list(threads.map(one, paths[: 4 * num_threads]))  # warm
        begin = time.perf_counter()
        list(threads.map(one, paths))
    return (time.perf_counter() - begin) / len(paths)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print, one line per run, with Ray and the plain loop in turns."""
    parser = argparse.ArgumentParser("python -m pvio_lab.scale.jobs.bench", description=__doc__)
    parser.add_argument("clip", help="it stands for all clips")
    parser.add_argument("--clips", type=int, nargs="+", default=[200], help="how many clips a run has")
    parser.add_argument("--num-frames", type=int, default=8)
    parser.add_argument("--clips-per-shard", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="beside a plain loop")
    given = parser.parse_args(arguments)
    sampling = {"num_frames": given.num_frames}
    options = {"sampling": sampling, "function": brightness, "clips_per_shard": given.clips_per_shard}

    def run(count: int) -> JobReport:
        return measure_clips([given.clip] * count, num_clips=count, progress=False, **options)

    import ray

    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    run(50)  # warm
    for count in given.clips * given.repeats:
        _print_line(run(count), given, sampling)
    return 0


def _print_line(report: JobReport, given: argparse.Namespace, sampling: dict[str, Any]) -> None:
    assert report.costs is not None
    count, cores = report.num_clips, report.num_cpus
    whole, steady = report.seconds / count, report.costs.core_seconds / cores
    words = f"{count:>6} clips  {1000 * whole:8.2f} ms a clip  {1000 * steady:8.2f} without start and end"
    if given.plain:
        plain = plain_seconds([given.clip] * count, cores, sampling)
        words += f"  plain loop {1000 * plain:8.2f}  Ray {whole / plain - 1:+.0%}, {steady / plain - 1:+.0%}"
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
