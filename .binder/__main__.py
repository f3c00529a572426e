"""Set up pvio_lab in .venv (slow only the first time), then open JupyterLab or run all tests.

python3 .binder lab  [options of JupyterLab]
python3 .binder test [options of pytest]
"""

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

if not (3, 10) <= sys.version_info[:2] <= (3, 14):
    sys.exit(f"pvio_lab: this is Python {sys.version.split()[0]}, but 3.10 to 3.14 is needed")

from lock import one_at_a_time

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / ".binder" / "requirements.txt"
VENV = ROOT / ".venv"
STAMP = VENV / "complete"  # written last: without it nothing in .venv counts
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
PAGE_CONFIG = VENV / "etc" / "jupyter" / "labconfig" / "page_config.json"
NO_NEWS = '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
FIRST_PAGE = "/lab/tree/notebooks/00_start_here.ipynb"
COMMANDS = {
    "lab": ["-m", "jupyterlab", "--ServerApp.root_dir=.", f"--LabApp.default_url={FIRST_PAGE}"],
    "test": [
        *("-m", "pytest", "--nbval", "--nbval-sanitize-with=tests/nbval_sanitize.cfg"),
        *("-n", "auto", "--dist", "loadfile"),  # cells of a notebook stay together; `-n 0` is one process
    ],
}


def fail(message: str) -> NoReturn:
    sys.exit(f"pvio_lab: {message}")


def wanted_stamp() -> list[str]:
    """Return the folder, the Python, and a fingerprint of everything that has to be installed."""
    content = REQUIREMENTS.read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return [str(ROOT), " ".join(sys.version.split()), hashlib.sha256(content).hexdigest()]


def found_stamp() -> list[str]:
    return STAMP.read_text("utf-8", "replace").splitlines() if STAMP.exists() and PYTHON.exists() else []


def run(*command: str | Path) -> bool:
    # close_fds=False: if only this process is killed, its pip still holds the lock
    return subprocess.run(command, cwd=ROOT, close_fds=False).returncode == 0


def make_venv() -> None:
    """Make .venv anew, with pip in it, even if this Python came without ensurepip."""
    if Path(sys.prefix) == VENV:
        fail("this .venv has to be made anew, so leave it first (`deactivate`) and repeat the command")
    make = (sys.executable, "-m", "venv", "--clear", VENV)
    has = {name: importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip", "pip")}
    if has["venv"] and has["ensurepip"] and run(*make):
        return
    if not (has["venv"] and has["pip"] and run(*make, "--without-pip")):
        package = f"python3.{sys.version_info[1]}-venv"
        fail(f"this Python lacks the venv module; on Debian or Ubuntu: sudo apt install {package}")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    target = subprocess.run([PYTHON, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    # --target, because `pip --python` is unknown to the pip of Ubuntu 22.04
    if not run(sys.executable, "-m", "pip", "install", "--target", target, "pip"):
        fail("getting pip failed, for the reason above; with a network, the same command tries again")


def set_up(wanted: list[str]) -> None:
    with one_at_a_time(ROOT / ".venv.lock"):
        found = found_stamp()
        if found == wanted:
            return
        STAMP.unlink(missing_ok=True)
        print("pvio_lab: setting up .venv; the first time takes some minutes and a network", flush=True)
        if found[:2] != wanted[:2]:
            make_venv()
        pip = (PYTHON, "-m", "pip", "install", "--disable-pip-version-check")
        project = ("--no-deps", "--no-build-isolation", "--editable", ROOT)
        if not (run(*pip, "-r", REQUIREMENTS) and run(*pip, *project)):
            fail("installing failed, for the reason above; with a network, the same command tries again")
        PAGE_CONFIG.parent.mkdir(parents=True, exist_ok=True)
        PAGE_CONFIG.write_text(NO_NEWS, "utf-8")
        STAMP.write_text("\n".join(wanted), "utf-8")


def start(arguments: list[str]) -> NoReturn:
    """Become the program; on Windows, wait for it."""
    os.chdir(ROOT)
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    os.environ.update(VIRTUAL_ENV=str(VENV), PATH=path, JUPYTER_PREFER_ENV_PATH="1")
    if os.name == "posix":
        os.execv(PYTHON, [str(PYTHON), *arguments])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program handles Ctrl-C itself
    sys.exit(subprocess.run([PYTHON, *arguments]).returncode)


def main(name: str = "", *extra: str) -> None:
    if name not in COMMANDS:
        sys.exit(__doc__)
    try:
        wanted = wanted_stamp()
        if found_stamp() != wanted:
            set_up(wanted)
        as_root = ["--allow-root"] if name == "lab" and os.name == "posix" and os.geteuid() == 0 else []
        start([*COMMANDS[name], *as_root, *extra])
    except KeyboardInterrupt:
        fail("interrupted; the same command continues from here")
    except OSError as error:
        fail(f"setting up stopped: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
