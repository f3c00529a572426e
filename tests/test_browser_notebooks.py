"""Every notebook, run from top to bottom in JupyterLab: no error, no missing widget, a quiet console."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted(path.name for path in (Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_in_jupyterlab(lab, name):
    lab.open_notebook(name)
    lab.run_all(seconds=180)
    assert lab.problems() == []
