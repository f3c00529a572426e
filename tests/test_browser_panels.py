"""Profiler and explorer in a real JupyterLab: their buttons are pressed, and the next cell has the report."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PROFILER = """
panel = pv.profile_throughput('clip.mp4')
panel.readers.choose(['pvio_lab', 'pyav'])
panel.patterns.choose(['sequential'])
panel"""
EXPLORER = """
panel = pv.explore_workers(['clip.mp4'] * 3, transforms={'broken': lambda frames: frames.nothing})
panel.counts.choose([0, 1])
panel.kinds.choose(['thread'])
panel"""
SETUP = "import shutil\nimport pvio_lab as pv\n_ = shutil.copy('../data_samples/shapes.mp4', 'clip.mp4')"


def opened(lab, source, seconds=0.1, repeats=1):
    """A panel, with its buttons on the page."""
    lab.open_notebook([SETUP, source.strip(), "panel.report"])
    lab.run_cell(0)
    lab.run_cell(1)
    lab.evaluate_in_kernel(f"panel.seconds.value, panel.repeats.value = {seconds}, {repeats}")
    return lab.cell(1)


def press(cell, name):
    cell.get_by_role("button", name=name).click()


def said(cell, words, seconds=120):
    cell.get_by_text(words).first.wait_for(timeout=1000 * seconds)


@pytest.mark.parametrize(("source", "label"), [(PROFILER, "Bar chart"), (EXPLORER, "Frames per second")])
def test_it_measures_and_the_next_cell_has_the_report(lab, source, label):
    cell = opened(lab, source)
    press(cell, "Start")
    said(cell, "Done: ")
    assert cell.locator(f"svg[role=img][aria-label^='{label}']").first.is_visible()
    assert cell.locator("table").first.is_visible()
    lab.run_cell(2)
    assert lab.outputs(2)[0]["output_type"] == "execute_result"
    assert int(lab.evaluate_in_kernel("len(panel.report)")) >= 2
    assert lab.problems() == []


@pytest.mark.parametrize("source", [PROFILER, EXPLORER])
def test_it_stops_and_keeps_what_it_has(lab, source):
    cell = opened(lab, source, seconds=0.5, repeats=20)
    press(cell, "Start")
    cell.locator("table").first.wait_for(timeout=120_000)
    assert lab.evaluate_in_kernel("1 + 1") == "2"  # the kernel goes on
    press(cell, "Stop")
    said(cell, "Stopped after ")
    assert int(lab.evaluate_in_kernel("len(panel.report)")) >= 1
    assert cell.get_by_role("button", name="Start").is_enabled()


def test_an_error_is_said_in_place(lab):
    cell = opened(lab, EXPLORER)
    lab.evaluate_in_kernel("panel.transform.value = 'broken'")
    press(cell, "Start")
    said(cell, "nothing")
    assert not lab.console_errors
    profiler = opened(lab, PROFILER)
    lab.evaluate_in_kernel("import os\nos.remove('clip.mp4')")
    press(profiler, "Start")
    said(profiler, "It did not work")
    assert profiler.locator("[role=alert]").is_visible()


def test_what_was_measured_stays_without_the_kernel(lab):
    cell = opened(lab, PROFILER)
    press(cell, "Start")
    said(cell, "Done: ")
    cell.get_by_text("Run the cell to measure anew.").wait_for(state="attached")
    lab.save()
    lab.restart_kernel()
    lab.reload(save=False)
    kept = lab.cell(1).locator(".pvio-kept")
    assert kept.locator("svg").is_visible()
    assert kept.get_by_text("Run the cell to measure anew.").is_visible()
