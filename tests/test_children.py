"""Child processes: they answer, or say in words why not, and none is left over."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from pvio_lab.base import Child, ChildError, children

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs signals and groups of processes")


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def is_running(pid):
    """A process that has ended, but whose parent has not looked yet, does not run."""
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


LONG = "x" * 3_000_000


def test_a_child_greets_and_answers():
    with Child("services:echo", "a", [1, None]) as child:
        assert child.greeting() == child.greeting() == ["a", [1, None]]
        assert [child.ask(question, 60) for question in ({"é": 1}, None, LONG)] == [{"é": 1}, None, LONG]
        assert child.is_alive
    assert not child.is_alive
    child.close()
    with pytest.raises(ChildError, match="its process has ended"):
        child.ask(1, 60)


def test_an_error_is_reported_and_the_child_lives_on():
    with Child("services:troubled") as child:
        with pytest.raises(ChildError, match=r"^ValueError: no such frame$"):
            child.ask("wrong", 60)
        assert child.ask("right", 60) == "right"


@pytest.mark.parametrize(
    ("question", "seconds", "words"),
    [
        ("crash", 60, r"the reader crashed \(exit code 3\)"),
        pytest.param("kill", 60, r"the reader crashed \(SIGSEGV\)", marks=posix_only),
        ("hang", 0.3, r"stopped: it took longer than 0\.3 s"),
    ],
)
def test_a_child_that_dies_or_hangs(question, seconds, words):
    with Child("services:troubled", name="the reader") as child:
        with pytest.raises(ChildError, match=f"^{words}$"):
            child.ask(question, seconds)
        assert not child.is_alive


@pytest.mark.parametrize(
    ("service", "arguments", "words"),
    [
        ("services:troubled", ["raise"], "^ImportError: no FFmpeg$"),
        ("services:troubled", ["exit"], r"^its process crashed \(exit code 3\)$"),
        ("services:troubled", ["hang"], r"stopped: it took longer than 2 s"),
        ("no_such_module:f", [], "ModuleNotFoundError: .*no_such_module"),
    ],
)
def test_a_child_that_does_not_start(monkeypatch, service, arguments, words):
    monkeypatch.setattr(children, "STARTUP_SECONDS", 2 if arguments == ["hang"] else 120)
    child = Child(service, *arguments)
    with pytest.raises(ChildError, match=words):
        child.greeting()
    assert not child.is_alive


def test_python_itself_does_not_start(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise RuntimeError('a module by that name')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ChildError, match=r"crashed \(exit code 1\): RuntimeError: a module by that name"):
        Child("services:echo").greeting()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_may_fork_workers():
    with Child("services:troubled") as child:
        assert child.ask("fork", 60) == 0


def test_someone_looks_while_it_works():
    looks = []
    with Child("services:troubled") as child, pytest.raises(ChildError):
        child.ask("hang", 0.5, lambda: looks.append(child.is_alive))
    assert looks[0]


def test_another_thread_may_close_it():
    with Child("services:troubled") as child:
        child.greeting()
        threading.Timer(0.3, child.close).start()
        with pytest.raises(ChildError, match="crashed"):
            child.ask("hang", 60)


@posix_only
def test_an_interrupted_child_clears_up_and_takes_its_processes_along(tmp_path):
    main = threading.get_ident()

    def interrupt():
        assert wait_for((tmp_path / "pids").exists)
        error = ctypes.py_object(KeyboardInterrupt)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(main), error)

    child, thread = Child("services:waiting", str(tmp_path)), threading.Thread(target=interrupt)
    child.greeting()
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        child.ask(None, 60)
    thread.join()
    child.close(5)
    assert (tmp_path / "farewell").exists()
    assert wait_for(lambda: not any(map(is_running, (tmp_path / "pids").read_text().split())))


@posix_only
def test_a_child_and_its_processes_end_with_their_parent(tmp_path):
    code = "import sys; from pvio_lab.base import Child; Child('services:waiting', sys.argv[1]).ask(1, 60)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment) as parent:
        assert wait_for((tmp_path / "pids").exists)
        parent.send_signal(signal.SIGKILL)
    assert wait_for(lambda: not any(map(is_running, (tmp_path / "pids").read_text().split())))


HELD = """
import threading
from pvio_lab.base import Child, waiting

def held():
    child = Child("services:troubled")
    child.greeting()
    thread = threading.Thread(target=child.ask, args=("hang", 60), daemon=True)
    thread.start()
    try:
        yield child.pid
    finally:
        child.close()
        waiting.join([thread])

kept = [held()]
kept.append(kept)
print(next(kept[0]))
"""


def test_a_program_may_end_while_a_thread_waits_for_a_child():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", HELD], env=environment, capture_output=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert wait_for(lambda: not is_running(ran.stdout))
