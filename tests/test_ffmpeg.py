"""What goes wrong while a video is written: nothing hangs, nothing is left, and the error says why."""

from __future__ import annotations

import gc
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest
from written import FRAMES, encoders, names_in, numbers_in, posix_only, wait_until

from pvio_lab import EncodeError, VideoReader
from pvio_lab.write import VideoWriter, ffmpeg, write_frames_to_video

pytestmark = pytest.mark.timeout(120)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
MB = 2**20
NOISE = np.random.default_rng(0).integers(0, 256, (30, 240, 320, 3), dtype=np.uint8)
FAST = {"preset": "ultrafast", "threads": 1}


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def old(tmp_path):
    """A file that is there already, and must be there unchanged, and alone, in the end."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    yield path
    assert names_in(tmp_path) == ["a.mp4"]
    assert path.read_bytes() == b"old"
    assert encoders() == []


def frames_and_then(act):
    """Frames, with something happening in the middle; then no end of frames."""
    for number in itertools.count():
        if number == 50:
            act()
        yield FRAMES[number % 12]


def fail():
    raise ZeroDivisionError("this generator fails")


def interrupt():
    signal.raise_signal(signal.SIGINT)


def kill_ffmpeg():
    for encoder in encoders():
        encoder.kill()


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_in_the_block(old, error):
    with pytest.raises(error), VideoWriter(old, 25) as writer:  # noqa: PT012
        writer.append(FRAMES[0])
        raise error


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(("act", "error"), [(fail, ZeroDivisionError), (interrupt, KeyboardInterrupt)])
def test_frames_that_fail_in_the_middle(old, act, error, tmp_path_factory):
    with pytest.raises(error):
        write_frames_to_video(old, frames_and_then(act), 25, progress=False)
    new = write_frames_to_video(tmp_path_factory.mktemp("new") / "a.mp4", FRAMES, 25, progress=False)
    assert numbers_in(new) == list(range(40))


@pytest.fixture
def press():
    """Stops ffmpeg; a little later, an alarm is a KeyboardInterrupt, as of a notebook's stop button."""

    def interrupt(*_):
        raise KeyboardInterrupt

    def stop_ffmpeg_and_press_later():
        for encoder in encoders():
            encoder.suspend()
        signal.setitimer(signal.ITIMER_REAL, 0.3)

    before = signal.signal(signal.SIGALRM, interrupt)
    yield stop_ffmpeg_and_press_later
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@posix_only
def test_an_interrupt_while_ffmpeg_takes_nothing(old, press):
    with pytest.raises(KeyboardInterrupt):
        write_frames_to_video(old, frames_and_then(press), 25, progress=False)


@posix_only
def test_an_interrupt_while_ffmpeg_completes_the_file(old, press):
    writer = VideoWriter(old, 25)
    writer.append(FRAMES[0])
    press()
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    writer.close()  # is closed already


@posix_only
def test_ffmpeg_is_killed(old):
    with pytest.raises(EncodeError, match=r"could not write .*a\.mp4: it was ended by SIGKILL"):
        write_frames_to_video(old, frames_and_then(kill_ffmpeg), 25, progress=False)
    writer = VideoWriter(old, 25)
    writer.append(FRAMES[0])
    kill_ffmpeg()
    with pytest.raises(EncodeError, match="it was ended by SIGKILL"):
        writer.close()
    writer.close()
    with pytest.raises(ValueError, match="is closed; open a new one"):
        writer.append(FRAMES[0])


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (("-nonsense", "1"), "Unrecognized option 'nonsense'"),
        (("-profile:v", "nonsense"), "[Pp]rofile"),
        (("-x264-params",), "."),
        (("-c:v", "nonsense"), "Unknown encoder 'nonsense'"),
        (("-vf", "nonsense"), "nonsense"),
        (("-loglevel", "trace", "-profile:v", "nonsense"), r"\.\.\. .{1000}"),  # of many words, the last
    ],
)
@pytest.mark.parametrize("count", [1, 5000])
def test_bad_options_of_ffmpeg(old, params, words, count):
    frames = (FRAMES[number % 12] for number in range(count))
    with pytest.raises(EncodeError, match=rf"(?s)ffmpeg could not write .*a\.mp4: .*{words}") as caught:
        write_frames_to_video(old, frames, 25, progress=False, ffmpeg_params=params)
    assert len(str(caught.value)) < 3000


def test_ffmpeg_stops_early_or_talks_without_end(old, tmp_path_factory):
    options = {"progress": False, "ffmpeg_params": ("-frames:v", "2")}
    with pytest.raises(EncodeError, match="it ended early, with code 0, and said nothing"):
        write_frames_to_video(old, FRAMES * 100, 25, **options)
    options["ffmpeg_params"] = ("-loglevel", "trace")
    new = write_frames_to_video(tmp_path_factory.mktemp("new") / "a.mp4", FRAMES * 6, 25, **options)
    assert len(numbers_in(new)) == 240


@posix_only
def test_a_terminals_interrupt_is_for_python_alone(old):
    writer = VideoWriter(old, 25)
    writer.append(FRAMES[0])
    assert os.getpgid(encoders()[0].pid) != os.getpgrp()
    writer.cancel()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB, which only root can have."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mp4", {"crf": 1}), ("a.mkv", {"codec": "ffv1"}), ("a.avi", {"codec": "mjpeg", "crf": 2})],
)
def test_a_full_disk(small_disk, monkeypatch, name, options):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))  # no room for words either
    (small_disk / name).write_bytes(b"old")
    with pytest.raises(EncodeError, match="No space left on device"):
        write_frames_to_video(small_disk / name, NOISE, 25, progress=False, **options)
    assert names_in(small_disk) == [name]
    assert (small_disk / name).read_bytes() == b"old"
    with suppress(OSError):  # full from the start
        (small_disk / "filler").write_bytes(bytes(2 * MB))
    with pytest.raises(EncodeError, match="No space left on device"):
        write_frames_to_video(small_disk / f"new{name}", FRAMES, 25, progress=False, **options)
    assert names_in(small_disk) == [name, "filler"]


LIMITED = """
import json, resource, sys
import numpy as np
from pvio_lab import write_frames_to_video
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).integers(0, 256, (30, 240, 320, 3), dtype=np.uint8)
try:
    write_frames_to_video(sys.argv[1], noise, 25, progress=False)
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


@posix_only
def test_a_file_that_may_not_grow(old):
    output = subprocess.run([sys.executable, "-c", LIMITED, old], capture_output=True, check=True).stdout
    kind, words = json.loads(output)
    assert kind == "EncodeError"
    assert "it was ended by SIGXFSZ" in words or "File too large" in words


HOLDING = """
import json, os, signal, sys
from pathlib import Path
import numpy as np
import psutil
from pvio_lab import VideoWriter
writer = VideoWriter(sys.argv[1], 25)
for _ in range(30):
    writer.append(np.zeros((120, 160, 3), np.uint8))
encoder = psutil.Process().children()[0].pid
heir = 0
if sys.argv[2] == "fork":
    heir = os.fork()
    if not heir:
        signal.pause()
elif sys.argv[2] == "multiprocessing":
    import multiprocessing
    process = multiprocessing.get_context("fork").Process(target=signal.pause)
    process.start()
    heir = process.pid
print(json.dumps([encoder, heir]), flush=True)
if sys.argv[3] == "wait":
    signal.pause()
if heir:
    os.kill(heir, signal.SIGKILL)
    os.waitpid(heir, 0)
"""


def hold(path, heir="no", then="wait"):
    """A process that has a writer open; and the numbers of its ffmpeg and of its child."""
    command = [sys.executable, "-W", "ignore", "-c", HOLDING, path, heir, then]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return process, *json.loads(process.stdout.readline())


@needs_fork
@pytest.mark.parametrize("heir", ["no", "fork", "multiprocessing"])
def test_python_is_killed(tmp_path, heir):
    (tmp_path / "a.mp4").write_bytes(b"old")
    process, encoder, child = hold(tmp_path / "a.mp4", heir)
    try:
        with process:
            process.kill()
        wait_until(lambda: is_gone(encoder))
        assert not child or not is_gone(child)
        assert (tmp_path / "a.mp4").read_bytes() == b"old"
    finally:
        if child:
            os.kill(child, signal.SIGKILL)


@posix_only
@pytest.mark.parametrize("heir", ["no", "fork", "multiprocessing"])
def test_python_ends_with_a_writer_open(old, heir):
    process, encoder, _ = hold(old, heir, "end")
    with process:
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")
    wait_until(lambda: is_gone(encoder))


def test_a_writer_is_forgotten(old):
    writer = VideoWriter(old, 25)
    writer.append(FRAMES[0])
    pid = encoders()[0].pid
    del writer
    gc.collect()
    assert is_gone(pid)


@contextmanager
def living_child():
    """A forked process that lives as long as the block, and does nothing."""
    child = os.fork()
    if not child:
        signal.pause()
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@needs_fork
def test_a_forked_child_does_not_keep_ffmpeg_waiting(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        writer.append(FRAMES[0])
        with living_child():
            writer.append(FRAMES[1])
            writer.close()
    assert numbers_in(tmp_path / "a.mp4") == [0, 1]


def fork_and_use(use, writer):
    """What becomes of the writer in a forked child: 0 if it is refused there."""
    child = os.fork()
    if not child:
        code = 1
        try:
            use(writer)
        except EncodeError as error:
            code = 0 if f"process {os.getpid()} was forked from {os.getppid()}" in str(error) else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
@pytest.mark.parametrize("use", [lambda writer: writer.append(FRAMES[5]), lambda writer: writer.close()])
def test_a_forked_child_may_not_use_it(tmp_path, use):
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        writer.append(FRAMES[0])
        assert fork_and_use(use, writer) == 0
        assert not (tmp_path / "a.mp4").exists()
        writer.append(FRAMES[1])
    assert numbers_in(tmp_path / "a.mp4") == [0, 1]


@needs_fork
def test_a_thread_forks_just_when_ffmpeg_starts(tmp_path, monkeypatch):
    forked, done = threading.Event(), threading.Event()

    def fork():
        with living_child():
            forked.set()
            done.wait(60)

    def register(feed):  # at this point a child would inherit a pipe that nobody closes in it
        thread.start()
        forked.wait(0.3)
        survive_forks(feed)

    thread, survive_forks = threading.Thread(target=fork), ffmpeg.survive_forks
    monkeypatch.setattr(ffmpeg, "survive_forks", register)
    try:
        with VideoWriter(tmp_path / "a.mp4", 25) as writer:
            writer.append(FRAMES[0])
            assert forked.wait(60)
    finally:
        done.set()
        thread.join(60)
    assert numbers_in(tmp_path / "a.mp4") == [0]


@needs_fork
@pytest.mark.parametrize("size", [(1, 1), (50, 70), (120, 161)])
def test_forking_doubles_no_bytes(tmp_path, size):
    frames = np.random.default_rng(0).integers(0, 256, (20, *size, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "a.mkv", 25, codec="ffv1") as writer:
        for frame in frames:
            writer.append(frame)
            with living_child():
                pass
    with VideoReader(tmp_path / "a.mkv") as reader:
        assert np.array_equal(reader[:], frames)


def write_one_number(path, number):
    write_frames_to_video(path, [FRAMES[number]] * 20, 25, progress=False, **FAST)


def one_whole_video(path):
    numbers = numbers_in(path)
    return names_in(path.parent) == [path.name] and numbers == numbers[:1] * 20


def test_many_threads_write_one_file(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_one_number, [tmp_path / "a.mp4"] * 12, range(12)))
    assert one_whole_video(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "method", [pytest.param("fork", marks=needs_fork), pytest.param("spawn", marks=pytest.mark.slow)]
)
def test_many_processes_write_one_file(tmp_path, method):
    context = multiprocessing.get_context(method)
    processes = [
        context.Process(target=write_one_number, args=(tmp_path / "a.mp4", number)) for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * 4
    assert one_whole_video(tmp_path / "a.mp4")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_fifty_writers_leak_nothing(tmp_path):
    def held():
        gc.collect()
        return len(os.listdir("/proc/self/fd")), threading.active_count(), encoders()

    write_one_number(tmp_path / "a.mp4", 0)
    before = held()
    for number in range(50):
        with suppress(EncodeError), VideoWriter(tmp_path / "a.mp4", 25, **FAST) as writer:
            writer.append(FRAMES[number % 12])
            if number % 10 == 3:
                writer.cancel()
            if number % 10 == 7:
                kill_ffmpeg()
    assert held() == before
    assert names_in(tmp_path) == ["a.mp4"]


def growth_while_writing(path, count):
    """How many bytes of memory this process and ffmpeg gain: resident, from the 50th frame to the highest."""
    own, process = [], psutil.Process()
    other = []

    def frames():
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 256, (720, 1280, 3), dtype=np.uint8)
        for number in range(count):
            if number >= 50 and number % 10 == 0:
                own.append(process.memory_info().rss)
                other.append(encoders()[0].memory_info().rss)
            yield np.roll(picture, number, axis=1)

    write_frames_to_video(path, frames(), 25, progress=False, preset="ultrafast", crf=40)
    return max(own) - own[0], max(other) - other[0]


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_memory_is_flat(tmp_path, count):
    own, other = growth_while_writing(tmp_path / "a.mp4", count)
    assert own < 150 * MB
    assert other < 150 * MB


def test_another_thread_cancels(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", 25, preset="veryslow")
    writer.append(np.zeros((720, 1280, 3), np.uint8))
    writer._feed.kill()
    with pytest.raises(EncodeError, match="ffmpeg was ended before it could write"):
        writer.append(np.zeros((720, 1280, 3), np.uint8))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="is closed; open a new one"):
        writer.append(np.zeros((720, 1280, 3), np.uint8))
