"""The harness itself: widgets live in it, and what is wrong in a notebook is found."""

from __future__ import annotations

import lab_server
import pytest

pytestmark = pytest.mark.browser

SLIDER = """
import ipywidgets
seen = []
slider = ipywidgets.IntSlider(value=3, max=9)
slider.observe(lambda change: seen.append(change.new), "value")
slider
"""
COUNTER = """
import anywidget, traitlets
class Counter(anywidget.AnyWidget):
    count = traitlets.Int(0).tag(sync=True)
    _esm = '''
    function render({ model, el }) {
        const button = document.createElement("button");
        const show = () => { button.textContent = `count is ${model.get("count")}`; };
        button.onclick = () => { model.set("count", model.get("count") + 1); model.save_changes(); };
        model.on("change:count", show);
        show();
        el.append(button);
    }
    export default { render };
    '''
counter = Counter()
counter
"""
ESM = """
import anywidget
class Made(anywidget.AnyWidget):
    _esm = "export default { render({ el }) { el.textContent = 'made'; %s } }"
Made()
"""


@pytest.fixture(autouse=True)
def _trouble_is_made_here(request):
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").is_troubled = True


def test_a_slider_calls_its_observer(lab):
    lab.open_notebook([SLIDER])
    lab.run_all()
    assert lab.problems() == []
    lab.cell(0).locator(".noUi-handle").press("ArrowRight")
    lab.cell(0).get_by_text("4", exact=True).wait_for()
    lab.wait_for_value("seen", "[4]")


def test_an_anywidget_counts_in_the_kernel_and_outlives_the_page(lab):
    lab.open_notebook([COUNTER])
    lab.run_all()
    lab.cell(0).get_by_role("button", name="count is 0").click()
    lab.cell(0).get_by_role("button", name="count is 1").click()
    lab.cell(0).get_by_role("button", name="count is 2").wait_for()
    lab.wait_for_value("counter.count", "2")
    lab.reload()
    lab.cell(0).get_by_role("button", name="count is 2").wait_for()
    lab.evaluate_in_kernel("counter.count = 7")
    lab.cell(0).get_by_role("button", name="count is 7").wait_for()
    assert lab.problems() == []


def test_an_exception_is_found(lab):
    lab.open_notebook(["print('before')", "1 / 0", "print('after')"])
    lab.run_all()
    assert lab.problems() == ["cell 1: ZeroDivisionError: division by zero", "cell 2: was not run"]
    assert [each["text"] for each in lab.outputs(0)] == ["before\n"]


def test_a_kernel_that_dies_is_found(lab):
    lab.open_notebook(["import os; os._exit(3)", "1"])
    lab.run_all()
    assert any(problem.startswith("dialog: Kernel Restarting") for problem in lab.problems())


def test_a_run_goes_on_behind_a_cell_that_may_fail(lab):
    lab.open_notebook(["import time", "1 / 0", "time.sleep(3)", "'end'"], may_fail=[1])
    lab.run_all()
    assert lab.problems() == []
    assert lab.outputs(3)[0]["data"]["text/plain"] == "'end'"


def test_one_cell_is_run(lab):
    lab.open_notebook(["number = 1", "number += 1", "number"])
    for cell in (0, 1, 1, 2):
        lab.run_cell(cell)
    assert lab.outputs(2)[0]["data"]["text/plain"] == "3"
    lab.restart_kernel()
    with pytest.raises(AssertionError, match="NameError"):
        lab.evaluate_in_kernel("number")


def test_errors_in_the_console_are_found(lab):
    lab.open_notebook([ESM % "console.error('oh no')", ESM % "setTimeout(() => { throw Error('too late') })"])
    lab.run_all()
    for cell in (0, 1):
        lab.cell(cell).get_by_text("made", exact=True).wait_for()
    found = lab.problems()
    assert all(problem.startswith("console: ") for problem in found)
    assert [sum(words in problem for problem in found) for words in ("oh no", "too late")] == [1, 1]


def test_an_anywidget_that_fails_is_found(lab):
    lab.open_notebook([ESM % "throw Error('no view')"])
    lab.run_all()
    assert any("no view" in problem for problem in lab.problems())


def test_a_widget_whose_model_is_gone_is_found(lab):
    lab.open_notebook([SLIDER, "slider.close()", "slider"])
    lab.run_all()
    lab.run_cell(0)
    lab.restart_kernel()
    lab.reload()
    assert any("widget" in problem for problem in lab.problems())


def test_the_theme_changes(lab):
    lab.open_notebook(["1"])
    colour = "getComputedStyle(document.body).getPropertyValue('--jp-layout-color1').trim()"
    colours = []
    for name in ("dark", "light"):
        lab.theme(name)
        colours.append(lab.page.evaluate(colour))
    assert colours[0] != colours[1]


def test_without_chromium_a_test_skips_here_and_fails_in_ci(monkeypatch):
    monkeypatch.setattr(lab_server, "BROWSERS", ("no-such-browser",))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        lab_server.find_chromium()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        lab_server.find_chromium()
