"""A notebook in a real JupyterLab in a real Chromium, for tests marked `browser`.

def test_it(lab):
    lab.open_notebook(["import ipywidgets", "ipywidgets.IntSlider()"])
    lab.run_all()
    assert lab.problems() == []
    lab.cell(1).locator(".noUi-handle").press("ArrowRight")
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from lab_server import Server
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

WRONG = ".pvio-wrong, [role=alert]"  # the errors that this project's widgets show
WIDGET = "application/vnd.jupyter.widget-view+json"
VIEW = ":scope > .jp-OutputArea > .jp-OutputArea-child > .lm-Panel.jp-OutputArea-output > *"
BROKEN_WIDGETS = ("Error displaying widget", "Could not create a view", "Loading widget...")
SECONDS = 180

# Messages that JupyterLab logs as errors although nothing is wrong; each entry says when.
HARMLESS: tuple[str, ...] = ()

# `panel` is the notebook in front, `kernel` the kernel it uses.
PANEL = """
const app = window.jupyterapp, panel = app?.shell?.currentWidget;
const kernel = panel?.sessionContext?.session?.kernel;
"""
READY = "return panel?.context?.isReady && panel.content?.model && kernel?.status === 'idle'"
OUTPUTS = """return [...panel.content.model.cells].map(cell => ({
    type: cell.type, source: cell.sharedModel.getSource(), count: cell.executionCount ?? null,
    tags: cell.getMetadata('tags') ?? [], outputs: cell.outputs?.toJSON() ?? [] }))"""
DISPLAYED = """return [...document.querySelectorAll('.lm-Panel.jp-OutputArea-output:not(.lm-mod-hidden)')]
    .every(place => place.childElementCount > 0 && !place.textContent.includes('Loading widget...'))"""
FINISHED = "() => window.finished || document.querySelector('.jp-Dialog')"
# Requests are answered in order. (A cell that may fail ends JupyterLab's own waiting, but not the run.)
LAST_IN_LINE = "await kernel.requestExecute({ code: '', silent: true, store_history: false }).done"
EVALUATE = """
const seen = [], future = kernel.requestExecute({ code: argument, store_history: false });
future.onIOPub = message => seen.push(message.content);
await future.done;
return seen"""


@dataclass
class LabPage:
    """JupyterLab in a page of its own; `open_notebook` opens a notebook.

    Attributes:
        page: Playwright's page, for anything this class lacks.
        server: The JupyterLab behind it.
        console_errors: The errors that the page logged or raised, except those in HARMLESS.
        is_troubled: Whether something is meant to go wrong; otherwise the fixture `lab` looks for problems
            at the end.
    """

    page: Page
    server: Server
    console_errors: list[str] = field(default_factory=list)
    is_troubled: bool = False

    _count = itertools.count()

    def __post_init__(self) -> None:
        self.page.set_default_timeout(90_000)
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self._note(f"uncaught: {error.stack or error}"))
        self.page.on("dialog", lambda dialog: dialog.accept())  # "leave this page?"

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location.get('url', '')})")

    def _note(self, text: str) -> None:
        if not any(re.search(pattern, text) for pattern in HARMLESS):
            self.console_errors.append(text)

    def _run(self, script: str, argument: Any = None) -> Any:
        """Run JavaScript that sees `app`, `panel`, `kernel` and `argument`, and return its result."""
        return self.page.evaluate(f"async argument => {{ {PANEL} {script} }}", argument)

    def _wait(self, script: str, seconds: float = SECONDS) -> None:
        self.page.wait_for_function(f"() => {{ {PANEL} {script} }}", timeout=1000 * seconds)

    def _finish(self, script: str, argument: Any = None, seconds: float = SECONDS) -> Any:
        """Run JavaScript that may take long, and return its result, or None if a dialog opens first."""
        start = f"""window.finished = null;
            (async () => {{ {script} }})().then(
                value => {{ window.finished = {{ value }}; }},
                error => {{ window.finished = {{ error: String(error) }}; }})"""
        self._run(start, argument)
        self.page.wait_for_function(FINISHED, timeout=1000 * seconds)
        answer = self.page.evaluate("window.finished") or {}
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def _command(self, name: str, seconds: float = SECONDS, **options: Any) -> None:
        """Run one of JupyterLab's commands to completion."""
        self._finish("await app.commands.execute(...argument)", [name, options], seconds)

    def open_notebook(self, name_or_cells: str | list[str], may_fail: Collection[int] = ()) -> None:
        """Open a notebook of the repository by its name, or a new one with these code cells.

        Args:
            name_or_cells: "00_start_here.ipynb", or the cells' sources.
            may_fail: The new cells, counted from 0, that get the tag `raises-exception`.
        """
        number = next(self._count)
        name = name_or_cells
        if not isinstance(name, str):
            cells = [nbformat.v4.new_code_cell(source) for source in name_or_cells]
            for cell in may_fail:
                cells[cell].metadata.tags = ["raises-exception"]
            name = f"made_{number}.ipynb"
            notebook = nbformat.v4.new_notebook(cells=cells)
            notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
            nbformat.write(notebook, self.server.root / "notebooks" / name)
        place = f"lab/workspaces/test{number}/tree/notebooks/{name}"
        self.page.goto(f"{self.server.url}/{place}?token={self.server.token}")
        self._wait(READY)

    def run_all(self, seconds: float = SECONDS) -> None:
        """Run all cells, up to the first one that fails."""
        self._command("notebook:run-all-cells", seconds)
        self.wait_idle(seconds)

    def run_cell(self, number: int, seconds: float = SECONDS) -> None:
        self._run("panel.content.deselectAll(); panel.content.activeCellIndex = argument", number)
        self._command("notebook:run-cell", seconds)
        self.wait_idle(seconds)

    def wait_idle(self, seconds: float = SECONDS) -> None:
        """Wait until the kernel has answered every request and every widget is displayed."""
        self._finish(LAST_IN_LINE, seconds=seconds)
        for _ in range(100):  # `problems` reports a widget that never appears
            if self._run(DISPLAYED):
                break
            self.page.wait_for_timeout(100)

    def restart_kernel(self) -> None:
        self._command("kernelmenu:restart")
        self.page.locator(".jp-Dialog button.jp-mod-accept").click()
        self.page.wait_for_function("() => window.finished")
        self._wait(READY)

    def save(self) -> None:
        self._command("docmanager:save")

    def reload(self, save: bool = True) -> None:
        """Reload the page; the kernel keeps running."""
        if save:
            self.save()
        self.page.reload()
        self._wait(READY)

    def theme(self, name: str) -> None:
        """Switch to 'light' or 'dark'."""
        self._command("apputils:change-theme", theme=f"JupyterLab {name.title()}")
        light = str(name == "light").lower()
        self.page.locator(f'body[data-jp-theme-light="{light}"]').wait_for(state="attached")

    def cell(self, number: int) -> Locator:
        """Return a cell of the page, counted from 0, including text cells."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell").nth(number)

    def cells(self) -> list[dict[str, Any]]:
        """Return the cells as JupyterLab has them: 'type', 'source', 'count', 'tags' and 'outputs'."""
        return list(self._run(OUTPUTS))

    def outputs(self, number: int) -> list[dict[str, Any]]:
        """Return a cell's outputs, as in the notebook's file."""
        return list(self.cells()[number]["outputs"])

    def evaluate_in_kernel(self, code: str) -> str:
        """Run code in the notebook's kernel, outside any cell; return its printed text and last value."""
        texts = []
        for content in self._finish(EVALUATE, code):
            if "ename" in content:
                raise AssertionError("\n".join(content["traceback"]))
            texts.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
        return "".join(texts).strip()

    def wait_for_value(self, code: str, value: str, seconds: float = SECONDS) -> None:
        """Wait until code in the kernel has this value, as changes in the page take time to get there."""
        give_up = time.monotonic() + seconds
        while (found := self.evaluate_in_kernel(code)) != value:
            assert time.monotonic() < give_up, f"{code} is {found} in the kernel, not {value}"
            self.page.wait_for_timeout(50)

    def problems(self) -> list[str]:
        """List everything wrong with the notebook: nothing, if all cells ran and all is displayed."""
        found = [f"console: {text}" for text in self.console_errors]
        found += [f"dialog: {text}" for text in self.page.locator(".jp-Dialog").all_inner_texts()]
        for number, cell in enumerate(self.cells()):
            if cell["type"] == "code":
                found += [f"cell {number}: {text}" for text in self._cell_problems(number, cell)]
        return found

    def _cell_problems(self, number: int, cell: dict[str, Any]) -> Iterator[str]:
        if cell["count"] is None and cell["source"].strip():
            yield "was not run"
        if "raises-exception" not in cell["tags"]:
            yield from (f"{each['ename']}: {each['evalue']}" for each in cell["outputs"] if "ename" in each)
        shown = self.cell(number).locator(".jp-Cell-outputWrapper")
        yield from (f"it says: {text}" for text in shown.locator(WRONG).all_inner_texts() if text)
        text = shown.text_content() or ""
        yield from (words for words in BROKEN_WIDGETS if words in text)
        wanted = sum(bool(each.get("data", {}).get(WIDGET, {}).get("model_id")) for each in cell["outputs"])
        found = shown.locator(VIEW).count()
        if found < wanted:
            yield f"{found} of {wanted} widgets are displayed"

    def screenshot(self, path: str | Path) -> None:
        self.page.screenshot(path=path)

    def close(self) -> None:
        """End the kernels, and restore the light theme for the next page."""
        if self.page.evaluate("'jupyterapp' in window"):
            if self.page.locator('body[data-jp-theme-light="false"]').count():
                self.theme("light")
            self._run("await app.serviceManager.sessions.shutdownAll()")


@contextmanager
def opened_page(server: Server, browser: Browser) -> Iterator[LabPage]:
    """Open an empty page."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = LabPage(context.new_page(), server)
    yield page
    page.close()
    context.close()


@pytest.fixture
def lab(server: Server, browser: Browser) -> Iterator[LabPage]:
    with opened_page(server, browser) as page:
        yield page
        assert page.is_troubled or page.problems() == []
