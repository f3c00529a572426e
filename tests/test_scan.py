from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from pvio_lab.read import ScanReport, scan_videos
from pvio_lab.read.scan import ScanRow

SAMPLES = Path(__file__).parents[1] / "data_samples"
TRUTH = json.loads((SAMPLES / "truth.json").read_text("utf-8"))

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs signals")

# Stands in for the reader in a worker: the name of a file says what becomes of it.
FAKE_READER = """
import ctypes, os, time
from types import SimpleNamespace

class VideoReader:
    def __init__(self, path, num_threads, fetching):
        self.name = os.path.basename(path)
        self.index = SimpleNamespace(engine="pyav", reason="because.")
        self.info = SimpleNamespace(is_variable_rate=False)

    def __len__(self):
        return 4

    def __enter__(self):
        print("noise on stdout")
        return self

    def __exit__(self, *_):
        pass

    def check_header(self):
        return SimpleNamespace(num_frames=0, trouble=None)

    def decode_all(self):
        print("noise", flush=True)
        if self.name == "crash.mp4":
            os.kill(os.getpid(), 11) if os.name == "posix" else os._exit(5)
        if self.name == "hang.mp4":
            time.sleep(600)
        if self.name == "hang_all_threads.mp4":
            ctypes.PyDLL(None).sleep(600)
        if self.name == "bug.mp4":
            raise KeyError("what")
        yield from [(0, False), (1, self.name == "corrupt.mp4"), (2, False), (3, False)]
"""


@pytest.fixture
def fake_reader(tmp_path, monkeypatch):
    """The children find the fake reader; gives the folder for the files they are asked for."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, types\nfake = types.ModuleType('pvio_lab.read.reader')\n"
        f"exec({FAKE_READER!r}, fake.__dict__)\nsys.modules['pvio_lab.read.reader'] = fake\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def scan(*paths, **options):
    return scan_videos(paths, progress=False, **options)


def children():
    return [process for process in psutil.Process().children() if "read.scan" in " ".join(process.cmdline())]


def test_a_file_in_order(fake_reader):
    (row,) = scan(fake_reader / "good.mp4")
    assert row == ScanRow(
        path=str(fake_reader / "good.mp4"),
        ok=True,
        frames_promised=4,
        frames_decoded=4,
        is_variable_rate=False,
        engine="pyav",
        reason="because.",
        seconds=row.seconds,
    )


CRASHED = f"the decoder crashed ({'SIGSEGV' if os.name == 'posix' else 'exit code 5'})"


@pytest.mark.usefixtures("fake_reader")
def test_no_trouble_ends_a_scan():
    crashed, good, corrupt, bug = scan("crash.mp4", "a.mp4", "corrupt.mp4", "bug.mp4", num_workers=1)
    assert (crashed.ok, crashed.frames_promised, crashed.error) == (False, None, CRASHED)
    assert good.ok
    assert (corrupt.ok, corrupt.frames_decoded, corrupt.damaged_frames, corrupt.error) == (
        False,
        4,
        (1,),
        None,
    )
    assert (bug.ok, bug.frames_decoded, bug.error) == (False, 0, "KeyError: 'what'")


@pytest.mark.parametrize("name", ["hang.mp4", pytest.param("hang_all_threads.mp4", marks=posix_only)])
def test_a_hang_is_ended_at_the_limit(fake_reader, name):
    report = scan(name, "a.mp4", num_workers=1, timeout_seconds=0.5)
    assert [row.ok for row in report] == [False, True]
    assert report.rows[0].error == "stopped: it took longer than 0.5 s"
    assert children() == []


def test_rows_keep_order_and_names_and_no_process_is_left(fake_reader):
    assert len(scan()) == 0
    names = [
        "3.mp4",
        "1.mp4",
        "2.mp4",
        "a b'c\"d%.mp4",
        "new\nline.mp4",
        "\u65e5\u672c\u8a9e.mp4",
        "\udcff.mp4",
    ]
    assert [row.path for row in scan(*names * 3, "crash.mp4", num_workers=3)] == [*names, "crash.mp4"]
    assert children() == []
    assert [thread for thread in threading.enumerate() if "_feed" in thread.name] == []


def test_a_directory_is_searched_in_natural_order(fake_reader):
    for name in ["b/10.mkv", "b/9.MP4", "a.webm", "notes.txt", ".hidden.mp4", ".cache/c.mp4", "b/image.png"]:
        (fake_reader / name).parent.mkdir(exist_ok=True)
        (fake_reader / name).touch()
    found = [
        Path(row.path).relative_to(fake_reader).as_posix()
        for row in scan(fake_reader, fake_reader / "a.webm")
    ]
    assert found == ["a.webm", "b/9.MP4", "b/10.mkv"]


def test_a_directory_without_videos_gets_a_row(fake_reader):
    (row,) = scan(fake_reader)
    assert row.error == f"FileNotFoundError: there are no videos in the directory {fake_reader}"


@contextmanager
def program(code):
    """Python running this code with the modules that this process finds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as process:
        try:
            yield psutil.Process(process.pid), process
        finally:
            process.kill()


@posix_only
@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_ends_everything(fake_reader):
    code = """
import psutil
from pvio_lab import scan_videos
try:
    scan_videos(["hang.mp4", "hang_all_threads.mp4", "a.mp4"], num_workers=2, progress=False)
except KeyboardInterrupt:
    print("interrupted", len(psutil.Process().children()))
"""
    with program(code) as (parent, process):
        wait_until(lambda: len(parent.children()) == 2)
        process.send_signal(signal.SIGINT)
        assert process.communicate()[0].split() == [b"interrupted", b"0"]


@posix_only
def test_a_process_ends_with_its_parent(fake_reader):
    code = "from pvio_lab import scan_videos; scan_videos('hang.mp4', progress=False)"
    with program(code) as (parent, process):
        wait_until(parent.children)
        (child,) = parent.children()
        process.kill()
        process.wait()
        wait_until(lambda: not child.is_running())


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_process_that_cannot_start(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['numpy'] = None")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        RuntimeError, match=r"no process can be started to decode in; .* says: \w+Error: .*numpy"
    ):
        scan("a.mp4")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"num_workers": 0}, ValueError, "num_workers=0 must be 1 or more"),
        ({"num_workers": 1.5}, TypeError, r"num_workers=1\.5 must be an integer"),
        ({"timeout_seconds": 0}, ValueError, "timeout_seconds=0 must be more than 0"),
        ({"timeout_seconds": np.inf}, ValueError, "timeout_seconds=inf must be more than 0, and finite"),
        ({"timeout_seconds": "9"}, TypeError, "timeout_seconds='9' must be a number"),
    ],
)
def test_wrong_options(options, error, words):
    with pytest.raises(error, match=words):
        scan("a.mp4", **options)


@pytest.mark.parametrize("paths", [[3], [b"a.mp4"], [None]])
def test_what_is_no_path(paths):
    with pytest.raises(TypeError, match="scan_videos takes paths, not"):
        scan_videos(paths)


REPORT = ScanReport(
    (
        ScanRow("a.mp4", ok=True, frames_promised=9, frames_decoded=9),
        ScanRow("b.mp4", ok=False, frames_promised=9, frames_decoded=7, damaged_frames=(3, 4)),
        ScanRow("c.mp4", ok=False, error="OpenError: c.mp4 has no video stream"),
    )
)


def test_a_report():
    assert repr(REPORT).splitlines() == [
        "ScanReport(3 files, 2 bad)",
        "  b.mp4: damaged (7 of 9 frames decoded)",
        "  c.mp4: OpenError: c.mp4 has no video stream (0 frames decoded)",
    ]
    assert [row.path for row in REPORT.bad] == ["b.mp4", "c.mp4"]
    assert REPORT.to_dicts()[1]["damaged_frames"] == (3, 4)
    assert len(REPORT) == len(list(REPORT)) == 3
    assert "3 files scanned, 2 bad" in REPORT._repr_html_()


def test_the_sample_clips():
    report = {Path(row.path).name: row for row in scan(SAMPLES)}
    assert set(report) == {name for name in TRUTH if name != "numbered"}
    for name, row in report.items():
        assert row.ok == (name not in ("damaged.mp4", "truncated.mp4")), row
        assert row.frames_decoded == TRUTH[name]["num_frames"]
        assert row.is_variable_rate == TRUTH[name]["is_variable_rate"]
        assert row.engine in ("decord", "pyav")


def test_what_is_not_a_video(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    report = scan(tmp_path / "missing.mp4", tmp_path)
    assert [row.error.partition(":")[0] for row in report] == ["FileNotFoundError", "OpenError", "OpenError"]
