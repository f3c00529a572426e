"""Imports go one way: compat -> view -> measure -> write, load, scale -> marks -> read -> base -> errors.

A room is entered through its `__init__`, whose stub names what other rooms may use.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import pvio_lab

PACKAGE = Path(pvio_lab.__file__).parent
MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"  # stands above all rooms: it only names what lives where
)

MAY_IMPORT = {
    "errors": set(),
    "base": {"errors"},
    "read": {"errors", "base"},
    "marks": {"errors", "base", "read"},
    "write": {"errors", "base", "read", "marks"},
    "load": {"errors", "base", "read"},
    "scale": {"errors", "base", "read", "write"},
    "measure": {"errors", "base", "read", "write", "load"},
    "view": {"errors", "base", "read", "marks", "write", "load", "measure"},
    "compat": {"errors", "show", "base", "read", "marks", "write", "load", "scale", "measure", "view"},
}
# The room of other people's interfaces stands on what users have: `import pvio_lab`.
ON_TOP = "compat"
# Of `read/decode`, these names are for all: open files, and frames. All others are for the modules below.
FRAMES = {"BatchMemory", "FrameDecoder", "FrameIndex", "OpenFile", "SharedMemory", "open_file"}
MORE_THAN_FRAMES = {
    "read/": {"EngineName", "HeaderCheck", "MAX_PIXELS_VARIABLE", "check_size", "max_pixels"},
    "read/audio.py": {"SoundFrames", "open_container", "pick_sound"},  # decodes sound
    "write/join/": {  # copies packets
        *("FileMark", "Matrix", "NO_FRAME", "NO_TIME", "Packets", "display_matrix", "doubt", "learn_order"),
        *("look_for", "open_container", "pick_stream", "pixel_format", "read_streams", "stream_facts"),
        *("unit_length", "units"),
    },
    "scale/": {"FrontFrame", "NotStreamable", "open_front"},  # of a file that still arrives
}
ONLY_IN = {
    "ipywidgets": "view/",
    "anywidget": "view/",
    "ray": "scale/",
    "datasets": "scale/hf.py",
}
LINE = re.compile(r"from \.[\w.]* import (\w+) as \1")


def imports(source: str, package: str) -> Iterator[str]:
    """Every imported name in full, also inside functions and under TYPE_CHECKING.

    >>> list(imports("from ..read import plan", "pvio_lab.view"))
    ['pvio_lab.read.plan']
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


def open_to_others(room: str) -> set[str]:
    """The names in the stub of a room; of `base`, whole modules as well."""
    stub = PACKAGE / room / "__init__.pyi"
    names = set(LINE.findall(stub.read_text("utf-8"))) if stub.exists() else set()
    return names | {Path(each).stem for each in MODULES if room == "base" and each.startswith("base/")}


def is_allowed(name: str, room: str) -> bool:
    """Whether a module of this room may import this name."""
    package, *parts = name.split(".")
    if package != "pvio_lab":
        return True
    if room == ON_TOP and (not parts or (len(parts) == 1 and parts[0] in pvio_lab.__all__)):
        return True
    if parts in (["__version__"], [room]) or not parts:
        return bool(parts)
    home, *rest = parts
    if home == room:
        return True
    if home not in MAY_IMPORT[room]:
        return False
    return home == "errors" or (len(rest) == 1 and rest[0] in open_to_others(home))


def decode_names(source: str, package: str) -> Iterator[str]:
    """The names of `read/decode` that a module imports; a whole path where it does not enter by the stub."""
    known = set(LINE.findall((PACKAGE / "read/decode/__init__.pyi").read_text("utf-8")))
    for name in imports(source, package):
        path = name.removeprefix("pvio_lab.read.").removeprefix("decode.")
        if name.startswith("pvio_lab.read.decode.") or (name.startswith("pvio_lab.read.") and path in known):
            yield path


def room_of(relative: str) -> str:
    return relative.split("/")[0].removesuffix(".py")


def violations(source: str, relative: str) -> list[str]:
    package = ".".join(["pvio_lab", *Path(relative).parts[:-1]])
    return [
        name
        for name in imports(source, package)
        if not is_allowed(name, room_of(relative))
        or not relative.startswith(ONLY_IN.get(name.split(".")[0], ""))
    ]


def test_only_the_doctor_looks_at_pyavs_log():
    """It belongs to all threads, and whoever turns it on may stop another one for ever."""
    words = re.compile(r"av\.logging|set_libav_level|restore_default_callback")
    found = [name for name in MODULES if words.search((PACKAGE / name).read_text("utf-8"))]
    assert found == ["measure/doctor.py"]


def test_every_module_belongs_to_a_room():
    assert [relative for relative in MODULES if room_of(relative) not in MAY_IMPORT] == []


@pytest.mark.parametrize(
    "room",
    [".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in PACKAGE.rglob("__init__.pyi")],
)
def test_a_stub_names_what_is_there(room):
    package = import_module(room)
    stub = Path(package.__file__).with_name("__init__.pyi").read_text("utf-8")
    lines = [line for line in stub.splitlines() if line and not line.startswith("__version__")]
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert len(package.__all__) == len(lines)
    assert all(hasattr(package, name) for name in package.__all__)


@pytest.mark.parametrize("relative", [name for name in MODULES if room_of(name) in MAY_IMPORT])
def test_imports_go_one_way(relative):
    assert violations((PACKAGE / relative).read_text("utf-8"), relative) == []


def seen_of_decode(relative: str, source: str) -> set[str]:
    """The names of `read/decode` that a module imports without being allowed to."""
    more = [names for place, names in MORE_THAN_FRAMES.items() if relative.startswith(place)]
    package = ".".join(["pvio_lab", *Path(relative).parts[:-1]])
    return set(decode_names(source, package)) - FRAMES.union(*more)


@pytest.mark.parametrize("relative", [name for name in MODULES if not name.startswith("read/decode/")])
def test_packets_and_engines_stay_in_decode(relative):
    assert seen_of_decode(relative, (PACKAGE / relative).read_text("utf-8")) == set()


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("load/epoch.py", "from ..read import Packets"),
        ("read/reader.py", "from .decode.index import Layout"),
        ("read/reader.py", "from .decode import open_container"),
        ("scale/partial_download.py", "from ..read import open_container"),
    ],
)
def test_a_look_at_packets_is_seen(relative, source):
    assert len(seen_of_decode(relative, source)) == 1


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("read/plan.py", "from ..view import plots"),
        ("read/plan.py", "def f():\n    from pvio_lab.write import VideoWriter"),
        ("read/plan.py", "from .. import filmstrip"),
        ("read/plan.py", "import pvio_lab.load"),
        ("read/plan.py", "import_module('pvio_lab.view.tables')"),
        ("errors.py", "from .read import VideoReader"),
        ("load/epoch.py", "from ..write import VideoWriter"),
        ("load/epoch.py", "from ..read.reader import VideoReader"),
        ("view/tables.py", "from .. import VideoReader"),
        ("scale/processor.py", "from ..load import VideoCollectionDataset"),
        ("measure/doctor.py", "import ray.data"),
        ("measure/doctor.py", "import ipywidgets as w"),
        ("measure/doctor.py", "import pvio_lab"),
        ("view/card.py", "from ..compat import decord"),
        ("compat/decord/video_reader.py", "from ...read.reader import VideoReader"),
        ("compat/decord/video_reader.py", "from ... import VideoReaders"),
    ],
)
def test_a_wrong_import_is_seen(relative, source):
    assert len(violations(source, relative)) == 1


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("read/plan.py", "from .index import FrameIndex\nfrom ..errors import VideoError\nimport numpy"),
        ("view/tables.py", "from .. import __version__\nfrom ..read import VideoReader\nimport ipywidgets"),
        ("scale/ray_stage.py", "import ray.data\nfrom ..base import waiting"),
        ("compat/decord/video_reader.py", "from ... import VideoReader\nfrom .base import DECORDError"),
        ("compat/lerobot.py", "import pvio_lab as pv\nfrom ..write import VideoWriter"),
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
