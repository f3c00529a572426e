from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import av
import pytest
from optional import needs

from pvio_lab.base import children
from pvio_lab.measure import DoctorReport
from pvio_lab.measure import doctor as module
from pvio_lab.measure.doctor import MACHINE, PACKAGES, DoctorRow, check_machine, check_package, doctor


@pytest.fixture(scope="module")
def report():
    return doctor()


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Puts a module in place of OpenCV's, and gives its row."""

    def put(code):
        (tmp_path / "cv2.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        return check_package("OpenCV")

    return put


def rows(report):
    return {row.part: row for row in report}


def test_what_is_needed_works_here(report):
    assert report.problems == ()
    found = rows(report)
    assert set(found) <= {*PACKAGES, *MACHINE}
    assert {*PACKAGES, "video encoders", "pvio_lab", "Python", "platform", "cores"} <= set(found)
    assert found["decord"].version.startswith("decord2 ")
    assert "FFmpeg" in found["decord"].detail
    assert "libavcodec" in found["PyAV"].detail
    assert os.path.exists(found["imageio-ffmpeg"].detail.split(" at ")[1].split(";")[0])
    assert "libx264" in found["video encoders"].detail


@pytest.mark.peers
def test_the_peers_are_found(report):
    for name in ("torchcodec.decoders", "cv2", "imageio"):
        needs(name)
    found = rows(report)
    assert [found[name].state for name in ("torchcodec", "OpenCV", "imageio")] == ["ok"] * 3
    assert "FFmpeg" in found["torchcodec"].detail


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise OSError('libav is not there\\nand more')", "OSError: libav is not there"),
        ("class Odd(Exception): pass\nraise Odd", "Odd"),
        ("raise SystemExit(3)", "importing it crashed (exit code 3)"),
        ("import time; time.sleep(600)", "stopped: it took longer than 2 s"),
    ],
)
def test_a_broken_package_says_why_and_how_to_cure_it(broken, monkeypatch, code, words):
    if "sleep" in code:
        monkeypatch.setattr(children, "STARTUP_SECONDS", 2)
    row = broken(code)
    assert (row.state, row.detail) == ("broken", words)
    assert row.cure == 'pip install --force-reinstall "pvio_lab[peers]"'


def test_a_package_that_prints_and_has_no_details(broken):
    row = broken("print('hello'); __version__ = '7'")
    assert row.state == "ok"
    assert "AttributeError" in row.detail


@pytest.fixture
def answers(monkeypatch):
    """Replaces the child process by one that answers this."""

    def put(**fields):
        child = SimpleNamespace(greeting=lambda: fields)
        monkeypatch.setattr(module, "Child", lambda *given, **options: nullcontext(child))

    return put


def test_a_package_that_is_not_installed(answers):
    absent = replace(PACKAGES["PyAV"], module="no_such_module", distributions=("no-such-package",))
    answers(**module.probe(absent))
    row = check_package("PyAV")
    assert (row.state, row.detail) == ("absent", "ModuleNotFoundError: No module named 'no_such_module'")
    assert row.cure == 'pip install "av>=17"'


@pytest.mark.parametrize(
    ("platform", "library", "cure"),
    [
        ("linux", None, "sudo apt-get install ffmpeg"),
        ("darwin", None, "brew install ffmpeg"),
        ("win32", None, "conda install -c conda-forge ffmpeg"),
        ("linux", "libavcodec.so.59", 'pip install --force-reinstall "pvio_lab[peers]"'),
    ],
)
def test_what_cures_torchcodec(answers, monkeypatch, platform, library, cure):
    monkeypatch.setattr(module.sys, "platform", platform)
    monkeypatch.setattr(module.ctypes.util, "find_library", lambda name: library)
    answers(state="broken")
    assert check_package("torchcodec").cure == cure


def test_the_old_decord_is_doubted(answers):
    answers(version="decord2 3.4.0, decord 0.6.0")
    row = check_package("decord")
    assert (row.state, row.cure) == (
        "warning",
        'pip uninstall -y decord decord2; pip install "decord2>=3.0"',
    )


def test_a_log_that_may_stop_threads_for_ever(monkeypatch):
    assert check_machine("PyAV's log") is None
    monkeypatch.setattr(av.logging, "get_level", lambda: av.logging.VERBOSE)  # as after set_level
    row = check_machine("PyAV's log")
    assert (row.state, row.version) == ("warning", "level 40")
    assert row.cure.startswith("av.logging.set_level(None)")


def test_a_part_of_the_machine_that_cannot_be_looked_at(monkeypatch):
    monkeypatch.setitem(MACHINE, "cores", lambda: 1 / 0)
    row = check_machine("cores")
    assert (row.state, row.detail) == ("broken", "ZeroDivisionError: division by zero")


def test_memory_and_the_limit_of_a_container(tmp_path):
    assert module._memory(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\n")
    assert module._memory(tmp_path)["detail"] == "2.0 GiB free"
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("1073741824\n")
    assert module._memory(tmp_path)["detail"] == "2.0 GiB free; this container may use 1.0 GiB"


def test_little_shared_memory_is_a_warning(monkeypatch, tmp_path):
    usage = SimpleNamespace(disk_usage=lambda folder: (2**26, 0, 2**26))
    monkeypatch.setattr(module, "shutil", usage)
    found = module._shared_memory(str(tmp_path))
    assert (found["state"], found["version"]) == ("warning", "0.06 GiB")
    assert "--shm-size" in found["cure"]
    assert module._shared_memory(str(tmp_path / "nowhere")) is None


@pytest.mark.parametrize(
    ("library", "release"),
    [
        ("a.libs/libavcodec-c3f15378.so.62.28.101", "FFmpeg 8 (libavcodec 62)"),
        ("a/.dylibs/libavcodec.62.28.101.dylib", "FFmpeg 8 (libavcodec 62)"),
        ("a/avcodec-99.dll", "libavcodec 99"),
    ],
)
def test_ffmpeg_is_found_inside_a_wheel(tmp_path, library, release):
    (tmp_path / "a").mkdir()
    (tmp_path / library).parent.mkdir(exist_ok=True)
    (tmp_path / library).touch()
    found = module._bundled_ffmpeg(SimpleNamespace(__file__=str(tmp_path / "a/__init__.py")))
    assert found == f"{release} inside"


REPORT = DoctorReport(
    (
        DoctorRow("PyAV", "ok", "av 18", "reads", "/lib/av", "FFmpeg 8"),
        DoctorRow("decord", "broken", detail="no <library>", cure="pip install decord2"),
        DoctorRow("OpenCV", "absent", cure="pip install opencv", is_needed=False),
    )
)


def test_the_report_as_text():
    assert [row.part for row in REPORT.problems] == ["decord"]
    assert repr(REPORT).splitlines() == [
        "DoctorReport(not in order: decord)",
        "part    state   version  for    details",
        "PyAV    ok      av 18    reads  FFmpeg 8; /lib/av",
        "decord  broken                  no <library>",
        "OpenCV  absent",
        "decord is broken; to cure it: pip install decord2",
        "OpenCV is absent; to cure it: pip install opencv",
    ]


def test_the_report_as_html_and_dicts():
    html = REPORT._repr_html_()
    assert "no &lt;library&gt;; to cure it: pip install decord2" in html
    assert html.count("jp-error-color") == 1  # the whole line
    assert REPORT.to_dicts()[0]["path"] == "/lib/av"
