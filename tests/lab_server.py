"""A JupyterLab server and a Chromium, as fixtures; `lab_page` brings them together."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import psutil
import pytest
from optional import needs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


def find_chromium() -> str:
    """Return the program; without one, a test is skipped here and fails in CI."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return found
    no_browser = "no Chromium here: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(no_browser)
    pytest.skip(no_browser)


@dataclass(frozen=True)
class Server:
    """A running JupyterLab.

    Attributes:
        url: Its address.
        token: Its password.
        root: Its files: copies of `notebooks` (without outputs) and of `data_samples`.
        log: Its output.
    """

    url: str
    token: str
    root: Path
    log: Path


def _copy_files(root: Path) -> None:
    shutil.copytree(ROOT / "data_samples", root / "data_samples")
    (root / "notebooks").mkdir()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.update(outputs=[], execution_count=None)
        nbformat.write(notebook, root / "notebooks" / path.name)


def _environment(home: Path) -> dict[str, str]:
    """Return an environment with no personal settings and with this checkout's library."""
    page_config = home / "config" / "labconfig" / "page_config.json"
    page_config.parent.mkdir(parents=True)
    page_config.write_text(json.dumps(NO_NEWS))
    folders = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    return {
        **os.environ,
        **{f"JUPYTER_{name}_DIR": str(home / folder) for name, folder in folders.items()},
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/api/status?token={server.token}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server, and its kernels with it."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.terminate()
    for left in psutil.wait_procs(family, timeout=10)[1]:
        left.kill()
    process.wait()


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    """Run a JupyterLab with its files in this new folder."""
    port = _free_port()
    server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16), home / "root", home / "log.txt")
    _copy_files(server.root)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={server.root}"]
    command += [f"--IdentityProvider.token={server.token}", "--LabApp.expose_app_in_browser=True"]
    with open(server.log, "wb") as log:
        process = subprocess.Popen(
            command, cwd=server.root, env=_environment(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        give_up = time.monotonic() + 60
        while not _answers(server):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"JupyterLab did not start: {server.log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield server
    finally:
        if process.poll() is None:
            _end(process)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium without a window."""
    program = find_chromium()
    with needs("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    find_chromium()
    with serving(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")  # not "session": while it runs, no other test can use asyncio.run
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser
