"""The speed of the frame browser in a real Chromium, beside what it should be.

Run it by `python tests/browser_speed.py`.

A machine that does other things at the same time is slower; run it alone, and more than once.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lab_page import LabPage, opened_page
from lab_server import chromium, serving
from page_scripts import DRAG, HOLD, JUMPS, PLAY, STEPS

import pvio_lab as pv

Line = tuple[str, float, str, float, str]
SAMPLE = "shapes.mp4"
CLIP_MS = 10_000
SLOWER = """
import time
track = browser._track
shot = track.shot
track.shot = lambda number: (time.sleep(0.1), shot(number))[1]
"""


def open_clip(lab: LabPage, name: str) -> None:
    lab.open_notebook(["import pvio_lab as pv", f"browser = pv.browse('../data_samples/{name}')\nbrowser"])
    lab.run_all()
    lab.page.wait_for_selector(".pvio-browser[data-shown='0'][data-exact=true]")
    lab.page.evaluate(STEPS, [["ArrowRight"] * 20, 30])


def steps(lab: LabPage, title: str, median: float, most: float) -> Iterator[Line]:
    times = np.array(lab.page.evaluate(STEPS, [["ArrowRight"] * 60 + ["ArrowLeft"] * 40, 30]))
    yield f"{title}: key to picture, median", float(np.median(times)), "<", median, "ms"
    yield f"{title}: key to picture, 95%", float(np.percentile(times, 95)), "<", most, "ms"


def held_key(lab: LabPage) -> Iterator[Line]:
    lab.page.evaluate(STEPS, [["Home"], 300])
    held = lab.page.evaluate(HOLD, ["ArrowRight", 5])
    yield "held key: pictures", held["rate"], ">", 20, "/s"
    yield "held key: last picture after the release", held["late"], "<", 100, "ms"


def jumps(lab: LabPage) -> Iterator[Line]:
    """Frames of one long GOP in no order, each beside what its decoding takes the reader."""
    numbers = np.random.default_rng(1).permutation(np.arange(1, 250))[:40].tolist()
    alone = lab.evaluate_in_kernel(
        "import time\nreader = pv.VideoReader(browser.reader.info.path, cache_bytes=0)\ntimes = []\n"
        f"for number in {numbers}:\n"
        "    begin = time.perf_counter()\n    reader[number]\n    times.append(time.perf_counter() - begin)\n"
        "print(*times)"
    )
    lab.evaluate_in_kernel("own = browser._track\nown.reader = pv.VideoReader(own.path, cache_bytes=0)")
    times = np.array(lab.page.evaluate(JUMPS, numbers)) - 1000 * np.array(alone.split(), float)
    yield "jump into a GOP of 250: beyond decoding, median", float(np.median(times)), "<", 40, "ms"


def drag(lab: LabPage, title: str, rate: float, late: float) -> Iterator[Line]:
    dragged = lab.page.evaluate(DRAG, [[37 * number % 300 for number in range(80)], 20])
    yield f"{title}: pictures", dragged["rate"], ">", rate, "/s"
    yield f"{title}: last one after the last event", dragged["late"], "<", late, "ms"


def play(lab: LabPage, seconds: float) -> Iterator[Line]:
    lab.page.evaluate(STEPS, [["Home"], 300])
    lab.page.locator("[data-do=loop]").click()
    shown = lab.page.evaluate(PLAY, seconds)
    yield f"play {seconds:.0f} s: pictures", len(shown) / seconds, ">", 27, "/s"
    (begin, first), (end, last) = shown[0], shown[-1]
    drift = end - begin - 1000 * (last - first) / 30
    drift = (drift + CLIP_MS / 2) % CLIP_MS - CLIP_MS / 2  # whole rounds do not count
    yield f"play {seconds:.0f} s: drift", abs(drift), "<", 100, "ms"


def measured(lab: LabPage, large: str) -> Iterator[Line]:
    open_clip(lab, SAMPLE)
    yield from steps(lab, "640x360", 30, 50)
    yield from held_key(lab)
    yield from drag(lab, "slider", 15, 100)
    yield from play(lab, 20)
    yield from jumps(lab)
    lab.evaluate_in_kernel(SLOWER)
    yield from drag(
        lab, "slider, decoder 100 ms slower", 3, 350
    )  # two frames: one that was begun, and the last
    open_clip(lab, large)
    yield from steps(lab, "1280x720", 50, 80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, serving(Path(home)) as server, chromium() as browser:
        samples = server.root / "data_samples"
        frames = pv.VideoReader(samples / SAMPLE, width=1280, height=720)
        pv.write_frames_to_video(samples / "large.mp4", frames, frames.fps, gop=30, progress=False)
        for _ in range(options.rounds):
            with opened_page(server, browser) as lab:
                for title, value, sign, bound, unit in measured(lab, "large.mp4"):
                    is_met = value < bound if sign == "<" else value > bound
                    print(
                        f"{title:48}{value:8.1f} {unit:4} {sign} {bound:<4} {'' if is_met else 'MISSED'}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
