"""The README's pictures of the widgets still look like them; PVIO_LAB_PICTURES=1 makes the pictures anew."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
FOLDER = Path(__file__).parents[1] / ".github"
IS_MADE_ANEW = bool(os.environ.get("PVIO_LAB_PICTURES"))
CLIP = "'../data_samples/shapes.mp4'"
MARKS = """
browser.marks.add_range(120, 150, 'turn')
browser.marks.add_frame(137, 'begin')"""
CONTROLS = 150  # pixels high; what was measured stands below, and is different each time


def shot(lab, sources, selector, wait):
    lab.page.set_viewport_size({"width": 1120, "height": 1600})
    lab.open_notebook(["import pvio_lab as pv", *sources])
    lab.run_all()
    wait()
    lab.page.mouse.move(5, 5)
    lab.page.wait_for_timeout(500)
    data = lab.cell(1).locator(selector).first.screenshot()
    return Image.open(io.BytesIO(data)).convert("RGB")


def agree(picture, name, rows=None):
    """The same from some distance: letters may be drawn by another font."""
    path = FOLDER / name
    if IS_MADE_ANEW:
        picture.quantize(200).save(path, optimize=True)
    stored = Image.open(path).convert("RGB")
    assert abs(stored.width - picture.width) <= 8, (stored.size, picture.size)
    size = (picture.width, rows or picture.height)
    small = (size[0] // 16, size[1] // 16)
    seen = [
        np.asarray(image.crop((0, 0, *size)).resize(small, Image.Resampling.BOX), float)
        for image in (picture, stored)
    ]
    assert np.abs(seen[0] - seen[1]).mean() < 6


def test_the_frame_browser(lab):
    def wait():
        lab.evaluate_in_kernel(MARKS)
        lab.page.wait_for_selector(".pvio-browser[data-shown='137'][data-exact=true]")
        lab.page.wait_for_function("document.querySelectorAll('.pvio-thumb img').length > 3")
        lab.page.wait_for_selector(".pvio-chip")
        lab.page.get_by_text("marks saved").first.wait_for()

    source = f"browser = pv.browse({CLIP}, start=137)\nbrowser"
    agree(shot(lab, [source], ".pvio-browser", wait), "browser.png")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        pytest.param(  # it names the readers that are there
            "profiler.png", f"panel = pv.profile_throughput({CLIP})\npanel", marks=pytest.mark.peers
        ),
        ("explorer.png", f"panel = pv.explore_workers([{CLIP}] * 6)\npanel"),
    ],
)
def test_the_panels(lab, name, source):
    def wait():
        lab.evaluate_in_kernel("panel.repeats.value = 2\npanel.seconds.value = 0.4")
        if IS_MADE_ANEW:
            if name == "profiler.png":
                lab.evaluate_in_kernel("panel.patterns.choose(['random', 'batch'])")
            lab.evaluate_in_kernel("panel.start()\npanel.wait()")
            lab.cell(1).get_by_text("Done: ").first.wait_for()

    agree(shot(lab, [source], ".pvio-live", wait), name, CONTROLS)
