"""Reads many damaged and hostile files within limits of time and memory: `python tests/fuzz.py --count 1000`.

Every file gives frames or errors of this library. Whatever crashes, hangs, takes too much memory, leaves a
file open or raises something else is a finding; with any, the exit code is 1, and the files are kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hostile import ALL
from mutants import Child, mutate
from truth_frames import CLIPS, SAMPLES, hard_clips

SECONDS = 20.0
MEMORY_BYTES = 2 * 2**30
KINDS = ("OpenError: ", "DecodeError: ")


@dataclass
class Outcome:
    """The fate of the files: how many of each source gave frames, errors or findings."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def table(self) -> str:
        """One line a source, and the sum."""
        columns = ("files", "frames", "errors", "findings")
        rows = {**dict(sorted(self.counts.items())), "all": sum(self.counts.values(), Counter())}
        width = max(map(len, rows))
        lines = [f"{'source':{width}}" + "".join(f"{each:>10}" for each in columns)]
        lines += [
            f"{name:{width}}" + "".join(f"{row[each]:>10}" for each in columns) for name, row in rows.items()
        ]
        return "\n".join(lines)


def fuzz(
    count: int,
    seed: int,
    folder: Path,
    *,
    hard: bool = False,
    tell: Callable[[str], object] = lambda text: None,
) -> Outcome:
    """Read so many files: the hostile ones as they are and mutated, and mutants of the samples.

    Args:
        count: How many files.
        seed: The same seed makes the same files.
        folder: Where they are written; those with findings stay.
        hard: Also of the clips of hard_clips.py, which have to be made first.
        tell: Called with each finding.
    """
    sources = {name: (SAMPLES / name).read_bytes() for name in CLIPS if name != "shapes.mp4"} | ALL
    if hard:
        sources |= {f"hard_{name}": path.read_bytes() for name, path in hard_clips().items()}
    names = sorted(sources)
    outcome = Outcome()
    with Child(SECONDS, memory_bytes=MEMORY_BYTES) as child:
        for number in range(seed, seed + count):
            name = names[random.Random(number).randrange(len(names))]
            data = sources[name]
            is_as_it_is = name in ALL and random.Random(-number).random() < 0.3
            path = folder / f"{number}_{name}"
            path.write_bytes(data if is_as_it_is else mutate(data, number))
            result = child.read(path)
            trouble = _trouble(result)
            row = outcome.counts.setdefault(name, Counter())
            row.update(files=1, frames=bool(result.get("frames")), errors=bool(result.get("errors")))
            row.update(findings=bool(trouble))
            if trouble:
                outcome.findings.append(f"{path.name}: {trouble}")
                tell(outcome.findings[-1])
            else:
                path.unlink()
    return outcome


def _trouble(result: dict) -> str | None:
    """Return what is wrong with an answer of the child, if anything."""
    if set(result) != {"frames", "errors", "leaked", "peak_bytes"}:
        return str(result)
    strange = [error for error in result["errors"] if not error.startswith(KINDS)]
    if strange:
        return strange[0]
    if not result["frames"] and not result["errors"]:
        return "neither frames nor errors"
    if result["leaked"] > 0:
        return f"{result['leaked']} files stay open"
    if result["peak_bytes"] > MEMORY_BYTES:
        return f"{result['peak_bytes'] >> 20} MB"
    return None


def main() -> int:
    """Read the arguments, run, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pvio_lab_fuzz_"))
    outcome = fuzz(options.count, options.seed, folder, hard=True, tell=lambda text: print(text, flush=True))
    print(outcome.table())
    if outcome.findings:
        print(f"{len(outcome.findings)} findings; their files are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
