"""Readers that are pickled, forked, shared, interrupted and used for a long time: none hangs or grows."""

from __future__ import annotations

import _thread
import gc
import hashlib
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import psutil
import pytest
from av import VideoFrame
from imageio_ffmpeg import get_ffmpeg_exe
from truth_frames import CLIPS, SAMPLES, shuffled, true_frames, wrong_frames

from pvio_lab import VideoReader

pytestmark = pytest.mark.timeout(120)
PROCESS = psutil.Process()
MB = 2**20

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
needs_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers with signals")
counts_files = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def memory():
    return PROCESS.memory_info().rss


def digest(frames):
    return hashlib.sha256(np.ascontiguousarray(frames)).hexdigest()


def hash_in_child(reader, numbers):
    return digest(reader[numbers])


def in_child(action, *arguments, method="spawn"):
    """Run a function in another process, because a failure may crash it."""
    child = multiprocessing.get_context(method).Process(target=action, args=arguments)
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0, "the child hangs or has failed"


@pytest.mark.parametrize(
    "options", [{}, {"width": 64}, {"engine": "decord"}, {"cache_bytes": 0, "num_threads": 1}]
)
def test_pickling(options):
    with VideoReader(SAMPLES / "gop2.mp4", **options) as reader:
        expected = reader[[3, 50, -1]]
        with pickle.loads(pickle.dumps(reader)) as other:
            assert other.shape == reader.shape
            assert (other.index.engine, other.info) == (reader.index.engine, reader.info)
            assert repr(other) == repr(reader)
            assert np.array_equal(other[[3, 50, -1]], expected)
        assert np.array_equal(reader[[3, 50, -1]], expected)
        assert len(pickle.dumps(reader)) < 2000


@pytest.mark.parametrize("engine", ["auto", "decord"])
@pytest.mark.parametrize(
    ("method", "workers"),
    [
        pytest.param("fork", 4, marks=needs_fork),
        ("spawn", 2),
        pytest.param("spawn", 4, marks=pytest.mark.slow),
    ],
)
def test_workers_see_the_same_frames(method, engine, workers):
    with VideoReader(SAMPLES / "shapes.mp4", engine=engine, num_threads=2) as reader:
        asked = [shuffled(len(reader), 4, seed) for seed in range(8)]
        expected = [digest(reader[numbers]) for numbers in asked]
        reader[200]
        with multiprocessing.get_context(method).Pool(workers) as pool:
            jobs = [pool.apply_async(hash_in_child, (reader, numbers)) for numbers in asked]
            assert [job.get(timeout=60) for job in jobs] == expected
        assert [digest(reader[numbers]) for numbers in asked] == expected


def read_and_compare(reader, numbers, expected):
    if digest(reader[numbers]) != expected or digest(next(iter(reader))) != digest(reader[0]):
        os._exit(3)


def do_nothing(*_):
    pass


def close_it(reader, *_):
    reader.close()


def let_it_go(reader, *_):
    del reader
    gc.collect()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", ["gop2.mp4", "open_gop_hevc.mp4", "bframes.avi", "vp9.webm"])
@pytest.mark.parametrize("engine", ["auto", "decord"])
@pytest.mark.parametrize("what", [read_and_compare, do_nothing, close_it, let_it_go])
def test_a_forked_child_inherits_the_reader(name, engine, what):
    with VideoReader(SAMPLES / name, num_threads=4) as reader:
        if engine == "decord" and reader.index.decord_refusal:
            pytest.skip(reader.index.decord_refusal)
    with VideoReader(SAMPLES / name, engine=engine, num_threads=4) as reader:
        numbers = shuffled(len(reader), 30)
        expected = digest(reader[numbers])
        reader[20]
        batches = reader.batches(4)
        next(batches)
        for _ in range(3):
            in_child(what, reader, numbers, expected, method="fork")
        assert digest(reader[numbers]) == expected
        assert next(batches)[0].tolist() == [4, 5, 6, 7]


def begin_and_drop(name, engine):
    """Leave a reader, a pass and an iteration unclosed in the middle."""
    reader = VideoReader(SAMPLES / name, engine=engine, num_threads=4)
    reader[[20, 3]]
    next(reader.batches(4))
    next(iter(reader))


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("engine", ["auto", "decord"])
def test_a_forked_child_collects_what_was_dropped_before(engine):
    gc.collect()
    gc.disable()
    try:
        begin_and_drop("gop2.mp4", engine)
        in_child(gc.collect, method="fork")
    finally:
        gc.enable()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("engine", ["auto", "decord"])
def test_a_fork_while_another_thread_reads(engine):
    with VideoReader(SAMPLES / "shapes.mp4", engine=engine, num_threads=2, cache_bytes=0) as reader:
        numbers, stop = shuffled(len(reader), 6), threading.Event()
        expected = digest(reader[numbers])

        def keep_reading():
            while not stop.is_set():
                reader[numbers]

        thread = threading.Thread(target=keep_reading)
        thread.start()
        try:
            for _ in range(5):
                in_child(read_and_compare, reader, numbers, expected, method="fork")
        finally:
            stop.set()
            thread.join()
        assert digest(reader[numbers]) == expected


@pytest.mark.parametrize(
    ("name", "engine"),
    [(name, "auto") for name in ("gop2.mp4", "open_gop_h264.mp4", "raw.h264", "animated.gif")]
    + [("gop2.mp4", "decord")],
)
def test_threads_share_a_reader(name, engine):
    truth = true_frames(SAMPLES / name)
    with VideoReader(SAMPLES / name, engine=engine) as reader, ThreadPoolExecutor(6) as pool:

        def read(seed):
            asked = shuffled(len(truth), 12, seed)
            if seed % 3 == 0:
                return all(not wrong_frames(frames, truth[part]) for part, frames in reader.batches(16))
            if seed % 3 == 1:
                return not wrong_frames(reader[asked], truth[asked])
            return not wrong_frames(np.stack([reader[i] for i in asked]), truth[asked])

        assert all(pool.map(read, range(24)))


def test_closing_while_another_thread_reads():
    reader, errors = VideoReader(SAMPLES / "shapes.mp4"), []

    def keep_reading():
        try:
            for seed in range(1000):
                reader[shuffled(len(reader), 3, seed)]
        except ValueError as error:
            errors.append(str(error))

    thread = threading.Thread(target=keep_reading)
    thread.start()
    time.sleep(0.05)
    reader.close()
    thread.join(60)
    assert not thread.is_alive()
    assert "is closed; open a new one" in errors[0]


def interrupt_again(dropped):
    """Interrupt until it works: Python drops an interrupt in a finalizer, and decord's arrays have one."""
    if isinstance(dropped.exc_value, KeyboardInterrupt):
        threading.Timer(0.001, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(dropped)


def interrupt_later(engine, num_threads):
    """Interrupt many reads, each once, by another thread; after each all is as it was."""
    sys.unraisablehook = interrupt_again
    truth, asked = true_frames(SAMPLES / "shapes.mp4"), shuffled(300, 20)
    with VideoReader(SAMPLES / "shapes.mp4", engine=engine, num_threads=num_threads) as reader:
        for delay in (0.001, 0.003, 0.01, 0.03, 0.1, 0.15):
            try:
                threading.Timer(delay, _thread.interrupt_main).start()
                for seed in range(1000):
                    reader[shuffled(300, 12 if seed % 2 else 2, seed)]
            except KeyboardInterrupt:
                assert not wrong_frames(reader[asked], truth[asked])
                assert not wrong_frames(reader[[5]], truth[[5]])
            else:
                raise AssertionError("no interrupt")


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("engine", ["auto", "decord"])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_an_interrupt_leaves_the_reader_usable(engine, num_threads):
    in_child(interrupt_later, engine, num_threads)


def interrupt_often(name, engine):
    """Interrupt by timers that go off anywhere, even while the reader cleans up."""
    truth, chance = true_frames(SAMPLES / name), np.random.default_rng(0)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    with VideoReader(SAMPLES / name, engine=engine, cache_bytes=2 * MB, num_threads=3) as reader:
        for seed in range(150):
            asked = shuffled(len(truth), 1 + seed % 30, seed)
            with suppress(KeyboardInterrupt):
                try:
                    signal.setitimer(signal.ITIMER_REAL, float(chance.uniform(1e-4, 0.03)))
                    reader[asked]
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            assert not wrong_frames(reader[asked[:1]], truth[asked[:1]])
        assert not wrong_frames(reader[:], truth)


@needs_signals
@pytest.mark.parametrize(("name", "engine"), [("open_gop_hevc.mp4", "auto"), ("gop2.mp4", "decord")])
def test_many_interrupts_in_a_row(name, engine):
    in_child(interrupt_often, name, engine)


@pytest.fixture(autouse=True)
def timers_interrupt():
    """Interrupt by the signal of a timer, which acts like the stop button."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGALRM, before)


@needs_signals
def test_an_interrupted_pass_can_be_begun_again(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", interrupt_again)
    truth = true_frames(SAMPLES / "shapes.mp4")
    with VideoReader(SAMPLES / "shapes.mp4") as reader:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            while True:
                list(reader.batches(32))
        assert sum(len(numbers) for numbers, _ in reader.batches(32)) == 300
        assert not wrong_frames(reader[100:110], truth[100:110])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return so many small files that none is open for long."""
    folder, names = tmp_path_factory.mktemp("many"), [name for name in CLIPS if "shapes" not in name]
    names = [name for name in names if name not in {"damaged.mp4", "truncated.mp4"}]
    for number in range(300):
        name = names[number % len(names)]
        shutil.copy(SAMPLES / name, folder / f"{number}_{name}")
    return folder


@pytest.mark.timeout(600)
@counts_files
@pytest.mark.parametrize(
    ("num_files", "num_reads"), [(60, 1000), pytest.param(300, 4000, marks=pytest.mark.slow)]
)
def test_memory_and_files_level_off(folder, num_files, num_reads):
    paths, before = sorted(folder.iterdir())[:num_files], open_files()
    chance, readings = np.random.default_rng(0), []
    for number in range(num_reads // 10):
        with VideoReader(paths[chance.integers(len(paths))], cache_bytes=16 * MB) as reader:
            for index in chance.integers(len(reader), size=10).tolist():
                reader[index]
        if number % (num_reads // 100) == 0:
            gc.collect()
            readings.append(memory())
    half = len(readings) // 2
    assert np.median(readings[half:]) - np.median(readings[1:half]) < 40 * MB
    assert open_files() <= before + 1


def alive(kind):
    return sum(isinstance(each, kind) for each in gc.get_objects())


@pytest.mark.parametrize("name", ["shapes.mp4", "rotated_90.mp4", "hevc_10bit.mp4"])
def test_decoded_frames_do_not_wait_for_the_garbage_collector(name):
    with VideoReader(SAMPLES / name, cache_bytes=0, num_threads=2) as reader:
        gc.collect()
        gc.disable()
        try:
            before = alive(VideoFrame)
            for number in range(0, 80, 2):
                reader[number]
            reader[:80]
            sum(len(frames) for _, frames in reader.batches(16))
            assert alive(VideoFrame) - before < 40
        finally:
            gc.enable()


@pytest.fixture(scope="module")
def large_clip(tmp_path_factory):
    """Make 250 large frames, which add up if they are not freed."""
    path = tmp_path_factory.mktemp("large") / "large.mp4"
    picture = "-v error -f lavfi -i testsrc2=s=1280x720:r=25 -frames:v 250".split()
    how = "-c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p".split()
    subprocess.run([get_ffmpeg_exe(), *picture, *how, path], check=True, timeout=60)
    return path


def test_a_pass_over_large_frames_costs_one_batch(large_clip):
    sizes = []
    with VideoReader(large_clip) as reader:
        for numbers, _ in reader.batches(4):
            sizes.append(memory())
            time.sleep(0.1 if numbers[0] < 40 else 0)  # nothing is decoded ahead meanwhile
    assert max(sizes) - sizes[1] < 60 * MB


def test_sparse_batches_of_large_frames_cost_no_more_than_they_hold(large_clip):
    gc.collect()
    with VideoReader(large_clip, cache_bytes=16 * MB) as reader:
        before, sizes = memory(), []
        for seed in range(6):
            reader[shuffled(len(reader), 12, seed)]
            sizes.append(memory())
    assert max(sizes) - before < 250 * MB


@counts_files
def test_open_readers_that_are_dropped_give_their_files_back(folder):
    before = open_files()
    for path in sorted(folder.iterdir())[:40]:
        reader = VideoReader(path)
        reader[-1], next(iter(reader)), next(reader.batches(3))
    del reader
    assert open_files() <= before + 1


@pytest.mark.parametrize("engine", ["auto", "decord"])
def test_an_idle_reader_does_not_grow_and_does_not_work(engine):
    with VideoReader(SAMPLES / "shapes.mp4", engine=engine, cache_bytes=32 * MB) as reader:
        before = memory()
        reader[10]
        time.sleep(0.3)
        busy = PROCESS.cpu_times()
        time.sleep(1.7)
        idle = PROCESS.cpu_times()
        assert memory() - before < 32 * MB + 60 * MB
    assert idle.user + idle.system - busy.user - busy.system < 0.5


def test_the_cache_stays_within_its_bytes():
    with VideoReader(SAMPLES / "shapes.mp4", cache_bytes=8 * MB) as reader:
        reader[:8]
        before = memory()
        for number in range(299, -1, -3):
            reader[number]
        assert memory() - before < 8 * MB + 60 * MB


@counts_files
@pytest.mark.parametrize("engine", ["auto", "decord"])
def test_closing_gives_files_and_threads_back(engine):
    with VideoReader(SAMPLES / "gop2.mp4", engine=engine) as reader:
        reader[:40]
    files, threads = open_files(), PROCESS.num_threads()
    readers = [VideoReader(SAMPLES / "gop2.mp4", engine=engine, num_threads=3) for _ in range(20)]
    for reader in readers:
        reader[shuffled(60, 30)]
        reader[3]
    assert open_files() > files
    for reader in readers:
        reader.close()
    assert open_files() <= files
    assert PROCESS.num_threads() <= threads + 2


def read_much_and_close():
    readers = [VideoReader(SAMPLES / "shapes.mp4", cache_bytes=64 * MB) for _ in range(4)]
    for reader in readers:
        for number in (249, 200, 100, 50):
            reader[number]
    full = memory()
    for reader in readers:
        reader.close()
    assert full - memory() > 60 * MB


def test_closing_gives_memory_back():
    # How much freed memory an allocator keeps depends on the history of the process.
    in_child(read_much_and_close)


@counts_files
@pytest.mark.parametrize("name", ["gop2.mp4", "open_gop_hevc.mp4", "raw.h264"])
def test_a_pass_given_up_halfway_closes_its_file(name):
    with VideoReader(SAMPLES / name) as reader:
        reader[5]
        before = open_files()
        for _ in range(20):
            next(iter(reader))
            next(reader.batches(4))
        assert open_files() <= before
