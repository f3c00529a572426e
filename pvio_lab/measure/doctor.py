"""`doctor`: all that decodes and encodes on this machine, and the commands that repair it."""

from __future__ import annotations

import ctypes.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

from .. import __version__
from ..base import Child, ChildError, Report, in_words, num_cpus, text_table

State = Literal["ok", "warning", "absent", "broken"]
DOCTOR_COLUMNS = ("part", "state", "version", "for", "details")


@dataclass(frozen=True)
class DoctorRow:
    """One part of the installation."""

    part: str
    """Its name."""
    state: State
    """Its condition: "absent" is not installed, "broken" is installed but does not load."""
    version: str = ""
    """Its package and version."""
    purpose: str = ""
    """The use that this library makes of it."""
    path: str = ""
    """Its place."""
    detail: str = ""
    """Anything else there is to know; of something broken, the reason."""
    cure: str = ""
    """The command that repairs it; empty where nothing is wrong."""
    is_needed: bool = True
    """True if this library does not work without it."""


@dataclass(frozen=True)
class DoctorReport(Report[DoctorRow]):
    """The state of the installation; a table in a notebook."""

    rows: tuple[DoctorRow, ...]
    """One row per part."""

    drawn_as = "doctor"

    @property
    def problems(self) -> tuple[DoctorRow, ...]:
        """The parts that this library needs and that do not work."""
        return tuple(row for row in self.rows if row.is_needed and row.state in ("absent", "broken"))

    def __repr__(self) -> str:
        table = text_table(DOCTOR_COLUMNS, [doctor_cells(row) for row in self])
        cures = [f"{row.part} is {row.state}; to cure it: {row.cure}" for row in self.rows if row.cure]
        return "\n".join([f"DoctorReport({self.summary})", table, *cures])

    @property
    def summary(self) -> str:
        """The state of all parts in words."""
        bad = ", ".join(row.part for row in self.problems)
        return f"not in order: {bad}" if bad else "all that is needed works"


def doctor() -> DoctorReport:
    """Look at everything that decodes or encodes here. It never fails: what is broken gets a row.

    >>> report = doctor()
    >>> [row.state for row in report if row.part == "PyAV"]
    ['ok']
    """
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(check_package, PACKAGES), *pool.map(check_machine, MACHINE)]
    return DoctorReport(tuple(row for row in found if row))


def doctor_cells(row: DoctorRow) -> tuple[str, ...]:
    """Return the cells of one line of the table."""
    details = "; ".join(part for part in (row.detail, row.path) if part)
    return row.part, row.state, row.version, row.purpose, details


# --- packages, each imported in a process of its own ---


@dataclass(frozen=True)
class Package:
    """A package that decodes or encodes, or that this library needs."""

    module: str
    """The module that has to import."""
    distributions: tuple[str, ...]
    """The packages it may come with."""
    purpose: str
    """Its purpose."""
    cure: str = 'pip install "pvio_lab[peers]"'
    """The command that installs it."""
    detail: Callable[[Any], str] = lambda module: ""
    """Returns what else there is to know about the imported module."""

    @property
    def is_needed(self) -> bool:
        """True if this library does not work without it."""
        return self.purpose != "comparison"


def check_package(name: str) -> DoctorRow:
    """Import a package in a child process, and return what was found."""
    package = PACKAGES[name]
    row = DoctorRow(name, "ok", purpose=package.purpose, is_needed=package.is_needed)
    try:
        with Child(f"{__name__}:probe_service", name, name="importing it") as child:
            row = replace(row, **child.greeting())
    except (ChildError, OSError) as error:
        row = replace(row, state="broken", detail=str(error))
    if name == "decord" and "decord 0" in row.version:  # it installs the same module, and cannot do as much
        return replace(row, state="warning", cure=f"pip uninstall -y decord decord2; {package.cure}")
    if row.state == "broken" and name == "torchcodec" and ctypes.util.find_library("avcodec") is None:
        return replace(row, cure=_GET_FFMPEG.get(sys.platform, _GET_FFMPEG["linux"]))
    cures = {"absent": package.cure, "broken": package.cure.replace("install", "install --force-reinstall")}
    return replace(row, cure=cures.get(row.state, ""))


def probe_service(name: str) -> tuple[dict[str, str], None]:
    """Probe a package in a child process; the answer is the greeting."""
    return probe(PACKAGES[name]), None


def probe(package: Package) -> dict[str, str]:
    """Import a package and return its version, place and details, or why that failed, as fields of a row."""
    versions = {each: version for each in package.distributions if (version := _version(each))}
    try:
        module = import_module(package.module)
    except Exception as error:  # a broken installation raises anything
        is_absent = isinstance(error, ModuleNotFoundError) and not versions
        return {"state": "absent" if is_absent else "broken", "detail": in_words(error)}
    try:
        detail = package.detail(module)
    except Exception as error:  # not a fault: where to find them changes with each version
        detail = f"details: {in_words(error)}"
    version = ", ".join(f"{each} {version}" for each, version in versions.items())
    return {
        "version": version or str(getattr(module, "__version__", "")),
        "path": str(Path(module.__file__ or "").parent),
        "detail": detail,
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


# FFmpeg's releases by the version of their libavcodec.
_FFMPEG_OF = {58: "4", 59: "5", 60: "6", 61: "7", 62: "8", 63: "9"}
_GET_FFMPEG = {
    "linux": "sudo apt-get install ffmpeg",
    "darwin": "brew install ffmpeg",
    "win32": "conda install -c conda-forge ffmpeg",
}


def ffmpeg_release(libavcodec: int) -> str:
    """Return the release in words: 62 -> 'FFmpeg 8 (libavcodec 62)'."""
    release = _FFMPEG_OF.get(libavcodec)
    return f"FFmpeg {release} (libavcodec {libavcodec})" if release else f"libavcodec {libavcodec}"


def _bundled_ffmpeg(module: Any) -> str:
    """Find the library in the folder of a wheel, such as libavcodec-c3f15378.so.62.28.101."""
    home = Path(module.__file__).parent
    folders = [home, home / ".dylibs", *home.parent.glob(f"{home.name}*.libs")]
    names = [path.name for folder in folders for path in folder.glob("*avcodec*")]
    found = re.search(r"avcodec(?:-\w+\.so)?[.-](\d+)", names[0]) if names else None
    return ffmpeg_release(int(found[1])) + " inside" if found else ""


def _av(av: Any) -> str:
    versions = sorted(av.library_versions.items())
    libraries = ", ".join(f"{name} {'.'.join(map(str, version))}" for name, version in versions)
    return f"FFmpeg {av.ffmpeg_version_info} inside: {libraries}"


def _ffmpeg_program(imageio_ffmpeg: Any) -> str:
    program, other = imageio_ffmpeg.get_ffmpeg_exe(), shutil.which("ffmpeg")
    also = f"; another one, not used, is {other}" if other and other != program else ""
    return f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()} at {program}{also}"


def _torch(torch: Any) -> str:
    if torch.cuda.is_available():
        return f"CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        return "Apple's GPU (mps)"
    built = f"built for CUDA {torch.version.cuda}, but no GPU is found" if torch.version.cuda else "CPU only"
    return f"{built}, {torch.get_num_threads()} threads"


def _torchcodec(_: Any) -> str:
    versions = import_module("torchcodec._core").get_ffmpeg_library_versions()
    return ffmpeg_release(int(versions["libavcodec"][0])) + " of the system"


def _opencv(cv2: Any) -> str:
    found = re.search(r"avcodec:\s+YES \((\d+)", cv2.getBuildInformation())
    return ffmpeg_release(int(found[1])) + " inside" if found else "without FFmpeg"


_OPENCV = ("opencv-python-headless", "opencv-python")
PACKAGES = {
    "decord": Package(
        "decord", ("decord2", "decord"), "reads", 'pip install "decord2>=3.0"', _bundled_ffmpeg
    ),
    "PyAV": Package("av", ("av",), "reads", 'pip install "av>=17"', _av),
    "imageio-ffmpeg": Package(
        "imageio_ffmpeg", ("imageio-ffmpeg",), "writes", 'pip install "imageio-ffmpeg>=0.6"', _ffmpeg_program
    ),
    "numpy": Package("numpy", ("numpy",), "frames", 'pip install "numpy>=1.26"'),
    "torch": Package("torch", ("torch",), "tensors", 'pip install "torch>=2.2"', _torch),
    "torchcodec": Package("torchcodec.decoders", ("torchcodec",), "comparison", detail=_torchcodec),
    "OpenCV": Package("cv2", _OPENCV, "comparison", detail=_opencv),
    "imageio": Package("imageio.v3", ("imageio",), "comparison"),
}


# --- the machine; each check returns the fields of its row ---

Fields = dict[str, Any]
# Less shared memory than this is soon full when worker processes hand over batches.
_LITTLE_SHARED = 2**28


def check_machine(part: str) -> DoctorRow | None:
    """Return what was found about a part of the machine; None where there is nothing to say."""
    try:
        fields = MACHINE[part]()
    except Exception as error:  # a doctor never fails
        fields = {"state": "broken", "detail": in_words(error), "is_needed": False}
    return None if fields is None else DoctorRow(part, fields.pop("state", "ok"), **fields)


def _encoders() -> Fields:
    from ..write import available_encoders

    names = [each.name + (" (hardware)" if each.is_hardware else "") for each in available_encoders()]
    return {"version": f"{len(names)}", "purpose": "writes", "detail": ", ".join(names)}


def _memory(root: Path = Path("/")) -> Fields | None:
    facts = dict(line.split(":") for line in _text(root / "proc/meminfo").splitlines() if ":" in line)
    if "MemTotal" not in facts:
        return None
    total, free = (int(facts.get(name, "0 kB").split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    limit = _text(root / "sys/fs/cgroup/memory.max").strip()
    granted = f"; this container may use {_gib(int(limit))}" if limit.isdecimal() else ""
    return {"version": _gib(total), "detail": f"{_gib(free)} free{granted}"}


def _shared_memory(folder: str = "/dev/shm") -> Fields | None:
    if not os.path.isdir(folder):
        return None
    total, _, free = shutil.disk_usage(folder)
    found = {
        "version": _gib(total),
        "purpose": "worker processes",
        "path": folder,
        "detail": f"{_gib(free)} free",
    }
    if free >= _LITTLE_SHARED:
        return found
    cure = 'worker_kind="thread", which needs none; or docker run --shm-size=2g'
    return found | {"state": "warning", "cure": cure, "is_needed": False}


def _pyav_log() -> Fields | None:
    """Return a warning where PyAV's log goes through Python, which FFmpeg's threads then have to wait for."""
    log = sys.modules.get("av.logging")
    level = log.get_level() if log else None
    if level is None:
        return None
    detail = "av.logging.set_level was called: closing a file while another thread decodes may never end"
    cure = "av.logging.set_level(None), and av.logging.restore_default_callback() to print FFmpeg's words"
    return {
        "state": "warning",
        "version": f"level {level}",
        "detail": detail,
        "cure": cure,
        "is_needed": False,
    }


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""


def _gib(size: int) -> str:
    """Return a size in words: 67108864 -> '0.06 GiB'."""
    return f"{size / 2**30:.{1 if size >= 2**30 else 2}f} GiB"


MACHINE: dict[str, Callable[[], Fields | None]] = {
    "video encoders": _encoders,
    "pvio_lab": lambda: {"version": __version__, "path": str(Path(__file__).parents[1])},
    "Python": lambda: {"version": platform.python_version(), "path": sys.executable},
    "platform": lambda: {"version": platform.platform(), "detail": platform.machine()},
    "cores": lambda: {"version": f"{num_cpus()}", "detail": f"may be used, of {os.cpu_count()}"},
    "memory": _memory,
    "shared memory": _shared_memory,
    "PyAV's log": _pyav_log,
}
