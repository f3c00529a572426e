"""Notebooks are stored as they are to be read: run in order, small, without a widget's state."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
WIDGETS = ("FrameBrowser(", "ThroughputProfiler(", "WorkerExplorer(")
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def test_it_is_small(path):
    assert path.stat().st_size < 200_000


def test_it_was_run_from_top_to_bottom(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


def test_it_stores_no_widgets(path):
    assert "widgets" not in nbformat.read(path, 4).metadata
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert not [output for output in outputs if WIDGET in output.get("data", {})]


def test_a_picture_stands_beside_each_widget(path):
    for cell in code_cells(path):
        texts = [each.get("data", {}).get("text/plain", "") for each in cell.outputs]
        kept = [each for each in cell.outputs if "pvio-kept" in str(each)]
        assert len(kept) == sum(text.startswith(WIDGETS) for text in texts)


def test_it_says_nothing_of_the_machine(path):
    text = path.read_text("utf-8")
    assert not re.search(r"/(home|root|Users)/", text)
    for words in (f"{REPOSITORY}/", "IPKernelApp"):
        assert words not in text
