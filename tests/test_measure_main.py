from __future__ import annotations

import json
import subprocess
import sys

import pytest
from truth_frames import SAMPLES

from pvio_lab.errors import DecodeError
from pvio_lab.measure import DoctorReport, ThroughputReport, ThroughputRow
from pvio_lab.measure import __main__ as commands
from pvio_lab.measure.__main__ import main
from pvio_lab.measure.doctor import DoctorRow

CLIP = str(SAMPLES / "gop2.mp4")
ROW = ThroughputRow("a.mp4", "pvio_lab", "pvio_lab 1", "1 thread", "random", 90.0, 80.0, 95.0)


@pytest.fixture
def asked(monkeypatch):
    """The arguments of measure_throughput, which returns `asked["answer"]`, or raises it."""
    asked = {"answer": ThroughputReport((ROW,))}

    def measure(files, **options):
        asked.update(files=files, **options)
        if isinstance(asked["answer"], BaseException):
            raise asked["answer"]
        return asked["answer"]

    monkeypatch.setattr(commands, "measure_throughput", measure)
    return asked


@pytest.mark.parametrize("command", [[], ["throughput"]])
def test_files_are_measured_and_options_passed_on(asked, capsys, command):
    assert main([*command, "a.mp4", "b.mp4"]) == 0
    assert capsys.readouterr().out == f"{asked['answer']!r}\n"
    assert (asked["files"], asked["readers"], asked["progress"]) == (["a.mp4", "b.mp4"], None, True)
    options = "--patterns random batch --readers decord --seconds 0.5 --repeats 2 --quiet --json"
    assert main([*command, "a.mp4", *options.split()]) == 0
    assert json.loads(capsys.readouterr().out)[0]["frames_per_second"] == 90
    given = {name: asked[name] for name in ("patterns", "readers", "seconds", "repeats", "progress")}
    assert list(given.values()) == [["random", "batch"], ["decord"], 0.5, 2, False]


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (FileNotFoundError("there is no a.mp4"), 1, "there is no a.mp4"),
        (DecodeError("frame 3"), 1, "frame 3"),
        (ValueError("seconds=0 must be more"), 2, "seconds=0 must be more"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_are_told_in_a_line(asked, capsys, answer, code, words):
    asked["answer"] = answer
    assert main(["a.mp4"]) == code
    assert capsys.readouterr().err == f"python -m pvio_lab.measure: {words}\n"


@pytest.mark.parametrize("what", [{"wrong_frames": 1, "checked_frames": 2}, {"error": "it breaks"}])
@pytest.mark.parametrize(("reader", "code"), [("pvio_lab", 1), ("decord", 0)])
def test_only_what_this_library_does_wrong_is_a_failure(asked, what, reader, code):
    row = ThroughputRow("a.mp4", reader, "1", "1 thread", "random", 9.0, **what)
    asked["answer"] = ThroughputReport((row,))
    assert main(["a.mp4"]) == code


def test_profile(capsys):
    assert main(["profile", CLIP, "--frames", "5"]) == 0
    assert "5 frames in" in capsys.readouterr().out
    assert main(["profile", CLIP, "--frames", "0"]) == 2
    assert "--frames 0 must be 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("broken", 1)])
def test_doctor(monkeypatch, capsys, state, code):
    monkeypatch.setattr(commands, "doctor", lambda: DoctorReport((DoctorRow("PyAV", state),)))
    assert main(["doctor"]) == code
    assert "PyAV" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"), [("", 0), ("--help", 0), ("profile --help", 0), ("a.mp4 --sceonds 3", 2)]
)
def test_help_and_wrong_options(capsys, arguments, code):
    with pytest.raises(SystemExit) as stop:
        main(arguments.split())
    assert stop.value.code == code
    assert "usage: python -m pvio_lab.measure" in "".join(capsys.readouterr())


def test_it_runs_as_a_program():
    command = [sys.executable, "-m", "pvio_lab.measure", "profile", CLIP, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["num_frames"] == 30
