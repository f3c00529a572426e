"""`python -m pvio_lab.scale.jobs.bench`: runners beside a plain loop, and a clip among many."""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from .job import measure_clips
from .process_clip import Work, process_clip


def brightness(frames: Any, row: dict[str, Any]) -> dict[str, float]:
    """Make one number of each clip, so that all runners and the plain loop have the same to store."""
    return {"brightness": float(frames.mean())}


def plain_seconds(path: str, num_clips: int, num_threads: int, work: Work) -> float:
    """Return seconds a clip of a plain loop with this many threads."""
    rows = [{"clip": 0, "path": path}] * num_clips
    process = partial(process_clip, work=work)
    with ThreadPoolExecutor(num_threads) as threads:
        list(threads.map(process, rows[: 4 * num_threads]))  # warm
        begin = time.perf_counter()
        list(threads.map(process, rows))
    return (time.perf_counter() - begin) / num_clips


def main() -> None:
    """Measure and print, one line per run, with the runners and the plain loop in turns."""
    parser = argparse.ArgumentParser("python -m pvio_lab.scale.jobs.bench", description=__doc__)
    parser.add_argument("clip", help="it stands for all clips")
    parser.add_argument("--clips", type=int, nargs="+", default=[200], help="how many clips a run has")
    parser.add_argument("--num-frames", type=int, default=8)
    parser.add_argument("--clips-per-shard", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runner", nargs="+", choices=("local", "ray"), default=["local", "ray"])
    parser.add_argument("--plain", action="store_true", help="beside a plain loop")
    given = parser.parse_args()
    same: dict[str, Any] = {"sampling": {"num_frames": given.num_frames}, "function": brightness}
    options = same | {"clips_per_shard": given.clips_per_shard, "progress": False}

    if "ray" in given.runner:
        import ray

        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        measure_clips([given.clip] * 50, num_clips=50, runner="ray", **options)  # warm
    for count in given.clips * given.repeats:
        for runner in given.runner:
            report = measure_clips([given.clip] * count, num_clips=count, runner=runner, **options)
            assert report.costs is not None
            whole, steady = report.seconds / count, report.costs.core_seconds / report.num_cpus
            line = f"{runner:<6}{count:>6} clips  {1000 * whole:8.2f} ms a clip  "
            line += f"{1000 * steady:8.2f} without start and end"
            if given.plain:
                plain = plain_seconds(given.clip, count, report.num_cpus, Work(**same))
                line += (
                    f"  plain loop {1000 * plain:8.2f}  {whole / plain - 1:+.0%}, {steady / plain - 1:+.0%}"
                )
            print(line, flush=True)


if __name__ == "__main__":
    from pvio_lab.scale.jobs import bench  # so that workers can import what it uses

    bench.main()
