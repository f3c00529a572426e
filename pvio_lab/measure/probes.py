"""What is installed, one package at a time: each probe runs in a process of its own, which may crash."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from ..read.program import in_words

# FFmpeg's releases by the version of their libavcodec.
_FFMPEG_OF = {58: "4", 59: "5", 60: "6", 61: "7", 62: "8", 63: "9"}


@dataclass(frozen=True)
class Package:
    """Something that decodes or encodes, or that this needs."""

    module: str
    """What has to import."""
    distributions: tuple[str, ...]
    """The packages it may come with."""
    cure: str
    """The command that installs it."""
    purpose: str
    """What it is for."""
    is_needed: bool = True
    """This library does not work without it."""
    detail: Callable[[Any], str] = lambda module: ""
    """What else there is to know about it, once it is imported."""


def probe(name: str) -> dict[str, str]:
    """Version, path and details of a package of the table; imports it.

    Raises:
        Exception: Whatever its import raises.
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
    """Details change from version to version, and are not worth an error."""
    try:
        return detail(module)
    except Exception as error:
        return f"details: {in_words(error)}"


def ffmpeg_release(libavcodec: int) -> str:
    """62 -> 'FFmpeg 8 (libavcodec 62)'."""
    release = _FFMPEG_OF.get(libavcodec)
    return f"FFmpeg {release} (libavcodec {libavcodec})" if release else f"libavcodec {libavcodec}"


def _bundled_ffmpeg(module: Any) -> str:
    """Wheels carry their libraries in a folder beside the package: libavcodec-c3f15378.so.62.28.101."""
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
    """What a probe found, or why it failed."""
    try:
        return probe(name)
    except Exception as error:  # a broken installation raises anything
        is_absent = isinstance(error, ModuleNotFoundError) and not any(
            map(_version, PACKAGES[name].distributions)
        )
        return {"absent" if is_absent else "error": in_words(error)}


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(answer(sys.argv[1])) + "\n")
