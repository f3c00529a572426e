"""Imports go one way: errors -> base -> read -> write, load -> measure -> view; scale stands on read."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pvio_lab

PACKAGE = Path(pvio_lab.__file__).parent
MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"  # stands above all layers: it only names where things live
)

MAY_IMPORT = {
    "errors": set(),
    "show": set(),
    "base": {"errors"},
    "read": {"errors", "show", "base"},
    "write": {"errors", "show", "base", "read"},
    "load": {"errors", "base", "read"},
    "measure": {"errors", "show", "base", "read", "write", "load"},
    "view": {"errors", "base", "read", "write", "load", "measure"},
    "scale": {"errors", "show", "base", "read"},
}
ONLY_IN = {
    "ipywidgets": "view/",
    "anywidget": "view/",
    "ray": "scale/",
    "datasets": "scale/hf.py",
}


def imports(source: str, package: str) -> Iterator[str]:
    """Every imported name in full, also inside functions and under TYPE_CHECKING.

    >>> list(imports("from ..read import plan", "pvio_lab.view"))
    ['pvio_lab.read.decode.plan']
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            yield from (arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant))


def layer_of(name: str) -> str:
    """'pvio_lab.read.decode.plan' -> 'read'; a public name taken from the top counts for its home."""
    first = name.split(".")[1] if "." in name else name
    return pvio_lab._HOMES.get(first, first).split(".")[0]


def layer_of_file(relative: str) -> str:
    return relative.split("/")[0].removesuffix(".py")


def violations(source: str, relative: str) -> list[str]:
    layer = layer_of_file(relative)
    package = ".".join(["pvio_lab", *Path(relative).parts[:-1]])
    allowed = MAY_IMPORT[layer] | {layer, "__version__"}
    return [
        name
        for name in imports(source, package)
        if (name.split(".")[0] == "pvio_lab" and layer_of(name) not in allowed)
        or not relative.startswith(ONLY_IN.get(name.split(".")[0], ""))
    ]


def test_only_the_doctor_looks_at_pyavs_log():
    """It belongs to all threads, and whoever turns it on may stop another one for ever."""
    words = re.compile(r"av\.logging|set_libav_level|restore_default_callback")
    found = [name for name in MODULES if words.search((PACKAGE / name).read_text("utf-8"))]
    assert found == ["measure/doctor.py"]


def test_every_module_belongs_to_a_layer():
    assert [relative for relative in MODULES if layer_of_file(relative) not in MAY_IMPORT] == []


@pytest.mark.parametrize("relative", [name for name in MODULES if layer_of_file(name) in MAY_IMPORT])
def test_imports_go_one_way(relative):
    assert violations((PACKAGE / relative).read_text("utf-8"), relative) == []


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("read/plan.py", "from ..view import plots"),
        ("read/plan.py", "def f():\n    from pvio_lab.write.writer import VideoWriter"),
        ("read/plan.py", "from .. import filmstrip"),
        ("read/plan.py", "import pvio_lab.load"),
        ("read/plan.py", "import_module('pvio_lab.view.card')"),
        ("errors.py", "from .read import plan"),
        ("load/chunks.py", "from ..write import writer"),
        ("scale/prepare.py", "from ..load.dataset import VideoCollectionDataset"),
        ("scale/prepare.py", "import ray.data"),
        ("measure/doctor.py", "import ipywidgets as w"),
        ("measure/doctor.py", "import pvio_lab"),
    ],
)
def test_a_wrong_import_is_seen(relative, source):
    assert len(violations(source, relative)) == 1


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("read/plan.py", "from .index import FrameIndex\nfrom ..errors import VideoError\nimport numpy"),
        ("view/card.py", "from .. import VideoReader, __version__\nimport ipywidgets"),
        ("scale/ray_data.py", "import ray.data\nfrom ..read.reader import VideoReader"),
    ],
)
def test_a_right_import_passes(relative, source):
    assert violations(source, relative) == []


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import pvio_lab; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(output.split()) - sys.stdlib_module_names == {"pvio_lab"}
