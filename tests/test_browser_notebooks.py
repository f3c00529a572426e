"""Notebooks run from top to bottom in JupyterLab: no error, no missing widget, a quiet console.

These are the notebooks with a browser or a card, and those with Ray. The others show plain text and pictures,
or panels that have tests of their own; nbval runs them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(
    path.name for path in FOLDER.glob("*.ipynb") if path.name[:2] in ("00", "01", "07", "09", "10")
)
WITH_RAY = ("09_prepare_for_multimodal_models.ipynb", "10_a_hundred_million_clips.ipynb")

SECONDS = 400  # the slowest takes some 150 beside other work

pytestmark = [pytest.mark.browser, pytest.mark.timeout(SECONDS + 100)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.ray if name in WITH_RAY else ()) for name in NOTEBOOKS]
)
def test_a_notebook_runs_in_jupyterlab(lab, name):
    lab.open_notebook(name)
    lab.run_all(SECONDS)  # the fixture looks for problems
