"""Every notebook, run from top to bottom in JupyterLab: no error, no missing widget, a quiet console."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted(path.name for path in (Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

SECONDS = 400  # the slowest takes some 150 beside other work

pytestmark = [pytest.mark.browser, pytest.mark.timeout(SECONDS + 100)]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_in_jupyterlab(lab, name):
    lab.open_notebook(name)
    lab.run_all(SECONDS)  # the fixture looks for problems
