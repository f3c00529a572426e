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
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

from .. import __version__
from ..base import Child, ChildError, Report, in_words, num_cpus, text_table

# FFmpeg's releases by the version of their libavcodec.
_FFMPEG_OF = {58: "4", 59: "5", 60: "6", 61: "7", 62: "8", 63: "9"}


@dataclass(frozen=True)
class Package:
    """A package that decodes or encodes, or that this library needs."""

    module: str
    """The module that has to import."""
    distributions: tuple[str, ...]
    """The packages it may come with."""
    cure: str
    """The command that installs it."""
    purpose: str
    """Its purpose."""
    is_needed: bool = True
    """True if this library does not work without it."""
    detail: Callable[[Any], str] = lambda module: ""
    """Returns what else there is to know about the imported module."""


def probe(name: str) -> dict[str, str]:
    """Import a package of the table, and return its version, path and details.

    Raises:
        Exception: Anything that its import raises.
    """
    package = PACKAGES[name]
    module = import_module(package.module)
    installed = {each: version for each in package.distributions if (version := _version(each))}
    version = ", ".join(f"{each} {version}" for each, version in installed.items())
    return {
        "version": version or str(getattr(module, "__version__", "")),
        "path": str(Path(module.__file__ or "").parent),
        "detail": _careful(package.detail, module),
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _careful(detail: Callable[[Any], str], module: Any) -> str:
    """Return the details, or why there are none, which is not an error: they change with each version."""
    try:
        return detail(module)
    except Exception as error:
        return f"details: {in_words(error)}"


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
    libraries = ", ".join(
        f"{name} {'.'.join(map(str, version))}" for name, version in sorted(av.library_versions.items())
    )
    return f"FFmpeg {av.ffmpeg_version_info} inside: {libraries}"


def _ffmpeg_program(imageio_ffmpeg: Any) -> str:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    other = shutil.which("ffmpeg")
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


_PEERS = 'pip install "pvio_lab[peers]"'
PACKAGES = {
    "decord": Package(
        "decord", ("decord2", "decord"), 'pip install "decord2>=3.0"', "reads", detail=_bundled_ffmpeg
    ),
    "PyAV": Package("av", ("av",), 'pip install "av>=17"', "reads", detail=_av),
    "imageio-ffmpeg": Package(
        "imageio_ffmpeg",
        ("imageio-ffmpeg",),
        'pip install "imageio-ffmpeg>=0.6"',
        "writes",
        detail=_ffmpeg_program,
    ),
    "numpy": Package("numpy", ("numpy",), 'pip install "numpy>=1.26"', "frames"),
    "torch": Package("torch", ("torch",), 'pip install "torch>=2.2"', "tensors", detail=_torch),
    "torchcodec": Package(
        "torchcodec.decoders", ("torchcodec",), _PEERS, "comparison", is_needed=False, detail=_torchcodec
    ),
    "OpenCV": Package(
        "cv2",
        ("opencv-python-headless", "opencv-python"),
        _PEERS,
        "comparison",
        is_needed=False,
        detail=_opencv,
    ),
    "imageio": Package("imageio.v3", ("imageio",), _PEERS, "comparison", is_needed=False),
}


def answer(name: str) -> dict[str, str]:
    """Return the result of a probe, or why it failed."""
    try:
        return probe(name)
    except Exception as error:  # a broken installation raises anything
        is_absent = isinstance(error, ModuleNotFoundError) and not any(
            map(_version, PACKAGES[name].distributions)
        )
        return {"absent" if is_absent else "error": in_words(error)}


def probe_service(name: str) -> tuple[dict[str, str], None]:
    """Probe a package in a child process; the answer is the greeting."""
    return answer(name), None


State = Literal["ok", "warning", "absent", "broken"]
DOCTOR_COLUMNS = ("part", "state", "version", "for", "details")
# Less shared memory than this is soon full when worker processes hand over batches.
_LITTLE_SHARED = 2**28
_GET_FFMPEG = {
    "linux": "sudo apt-get install ffmpeg",
    "darwin": "brew install ffmpeg",
    "win32": "conda install -c conda-forge ffmpeg",
}


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
        cures = [f"{row.part} is {row.state}; to cure it: {row.cure}" for row in self.rows if row.cure]
        return "\n".join(
            [
                f"DoctorReport({self.summary})",
                text_table(DOCTOR_COLUMNS, [doctor_cells(row) for row in self]),
                *cures,
            ]
        )

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
        packages = pool.map(_package_row, PACKAGES)
        places = pool.map(_machine_row, MACHINE)
        return DoctorReport((*packages, *(row for row in places if row)))


def doctor_cells(row: DoctorRow) -> tuple[str, ...]:
    """Return the cells of one line of the table."""
    details = "; ".join(part for part in (row.detail, row.path) if part)
    return row.part, row.state, row.version, row.purpose, details


# --- packages ---


def _package_row(name: str) -> DoctorRow:
    package = PACKAGES[name]
    found = _ask(name)
    state: State = "absent" if "absent" in found else "broken" if "error" in found else "ok"
    row = DoctorRow(
        part=name,
        state=state,
        version=found.get("version", ""),
        purpose=package.purpose,
        path=found.get("path", ""),
        detail=found.get("error", found.get("detail", "")),
        cure="" if state == "ok" else _cure(name, package, state),
        is_needed=package.is_needed,
    )
    return _with_doubts(row)


def _ask(name: str) -> dict[str, str]:
    """Return the answer of a probe, which imports the package in a process of its own."""
    try:
        with Child(f"{__name__}:probe_service", name, name="importing it") as child:
            return dict(child.greeting())
    except (ChildError, OSError) as error:
        return {"error": str(error)}


def _cure(name: str, package: Package, state: State) -> str:
    if state == "absent":
        return package.cure
    if name == "torchcodec" and ctypes.util.find_library("avcodec") is None:
        return _GET_FFMPEG.get(sys.platform, _GET_FFMPEG["linux"])
    return package.cure.replace("pip install", "pip install --force-reinstall")


def _with_doubts(row: DoctorRow) -> DoctorRow:
    """Warn of the old decord, which installs the same module and cannot do what this library needs."""
    if row.part == "decord" and "decord 0" in row.version:
        cure = 'pip uninstall -y decord decord2; pip install "decord2>=3.0"'
        return DoctorRow(**asdict(row) | {"state": "warning", "cure": cure})
    return row


# --- the machine ---


def _machine_row(part: str) -> DoctorRow | None:
    try:
        return MACHINE[part](part)
    except Exception as error:  # a doctor never fails
        return DoctorRow(part, "broken", detail=in_words(error), is_needed=False)


def _pvio_lab(part: str) -> DoctorRow:
    return DoctorRow(part, "ok", __version__, path=str(Path(__file__).parents[1]))


def _python(part: str) -> DoctorRow:
    return DoctorRow(part, "ok", platform.python_version(), path=sys.executable)


def _platform(part: str) -> DoctorRow:
    return DoctorRow(part, "ok", platform.platform(), detail=platform.machine())


def _cores(part: str) -> DoctorRow:
    return DoctorRow(part, "ok", f"{num_cpus()}", detail=f"may be used, of {os.cpu_count()}")


def _encoders(part: str) -> DoctorRow:
    from ..write import available_encoders

    names = [each.name + (" (hardware)" if each.is_hardware else "") for each in available_encoders()]
    return DoctorRow(part, "ok", f"{len(names)}", "writes", detail=", ".join(names))


def _memory(part: str, root: Path = Path("/")) -> DoctorRow | None:
    facts = dict(line.split(":") for line in _text(root / "proc/meminfo").splitlines() if ":" in line)
    if "MemTotal" not in facts:
        return None
    total, free = (int(facts.get(name, "0 kB").split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    limit = _text(root / "sys/fs/cgroup/memory.max").strip()
    granted = f"; this container may use {_gib(int(limit))}" if limit.isdecimal() else ""
    return DoctorRow(part, "ok", _gib(total), detail=f"{_gib(free)} free{granted}")


def _shared_memory(part: str, folder: str = "/dev/shm") -> DoctorRow | None:
    if not os.path.isdir(folder):
        return None
    total, _, free = shutil.disk_usage(folder)
    size, room, purpose = _gib(total), f"{_gib(free)} free", "worker processes"
    if free < _LITTLE_SHARED:
        cure = 'worker_kind="thread", which needs none; or docker run --shm-size=2g'
        return DoctorRow(part, "warning", size, purpose, folder, room, cure, is_needed=False)
    return DoctorRow(part, "ok", size, purpose, folder, room)


def _pyav_log(part: str) -> DoctorRow | None:
    """Return a warning where PyAV's log goes through Python, which FFmpeg's threads then have to wait for."""
    log = sys.modules.get("av.logging")
    level = log.get_level() if log else None
    if level is None:
        return None
    detail = "av.logging.set_level was called: closing a file while another thread decodes may never end"
    cure = "av.logging.set_level(None), and av.logging.restore_default_callback() to print FFmpeg's words"
    return DoctorRow(part, "warning", f"level {level}", detail=detail, cure=cure, is_needed=False)


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""


def _gib(size: int) -> str:
    """Return a size in words: 67108864 -> '0.06 GiB'."""
    return f"{size / 2**30:.{1 if size >= 2**30 else 2}f} GiB"


MACHINE: dict[str, Callable[[str], DoctorRow | None]] = {
    "video encoders": _encoders,
    "pvio_lab": _pvio_lab,
    "Python": _python,
    "platform": _platform,
    "cores": _cores,
    "memory": _memory,
    "shared memory": _shared_memory,
    "PyAV's log": _pyav_log,
}
