"""Loops over a loader that end early or badly, and long ones: nothing hangs, stays behind, or grows."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from multiprocessing import queues

import numpy as np
import psutil
import pytest
import torch
from test_lifecycle import counts_files, needs_fork
from test_loader import each_kind, each_order, make
from truth_frames import SAMPLES

from pvio_lab import write_frames_to_video
from pvio_lab.load.batches import PendingBatch
from pvio_lab.read.decode.decoder import Decoder
from pvio_lab.read.decode.pyav import PyAVEngine

pytestmark = pytest.mark.timeout(120)
MB = 2**20


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    names = ["shapes.mp4", "gop2.mp4", "bframes.avi", "open_gop_hevc.mp4"]
    return [shutil.copy(SAMPLES / name, folder / f"{n}_{name}") for n in range(3) for name in names]


@pytest.fixture(autouse=True)
def _nothing_stays_behind():
    gc.collect()
    files, threads, children = open_files(), set(threading.enumerate()), set(psutil.Process().children())
    yield
    gc.collect()
    deadline = time.monotonic() + 10
    while (left := left_over(files, threads, children)) and time.monotonic() < deadline:
        time.sleep(0.05)  # a thread of a queue of multiprocessing closes its pipe a little later
    assert not left


HEAD = """
    import _thread, sys, threading, time
    import psutil
    from pvio_lab import VideoCollectionDataLoader, VideoCollectionDataset

    def make(kind, num_workers, *paths, **options):
        dataset = VideoCollectionDataset(paths, **options)
        return VideoCollectionDataLoader(dataset, 16, int(num_workers), worker_kind=kind)
"""
OTHER_THREAD = """
    def slowly(frames):
        time.sleep(0.02)
        return frames

    def work():
        print(sum(len(batch["frame_indices"]) for batch in make(*sys.argv[1:], transform=slowly)))

    threading.Thread(target=work).start()
"""
KILLED = """
    loop = iter(make(*sys.argv[1:]))
    next(loop)
    children = psutil.Process().children()
    try:
        for child in children:
            child.kill()
        list(loop)
    except RuntimeError as error:
        assert "exited unexpectedly" in str(error) or "killed by signal" in str(error), error
        assert not psutil.Process().children()
    else:
        sys.exit("nothing was said")
"""
INTERRUPTED = """
    if __name__ == "__main__":
        loader = make(*sys.argv[1:])
        expected = [batch["frame_indices"] for batch in loader]
        for delay in (0.0, 0.01, 0.05, 0.1, 0.2):
            try:
                threading.Timer(delay, _thread.interrupt_main).start()
                while True:
                    for _ in loader:
                        pass
            except KeyboardInterrupt:
                print("interrupted")
        assert [batch["frame_indices"] for batch in loader] == expected
        deadline = time.monotonic() + 10  # a thread of a queue of multiprocessing ends a little later
        while (left := threading.enumerate()[1:]) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, left
"""
ABANDONED = """
    if __name__ == "__main__":
        loop = iter(make(*sys.argv[1:]))  # which is still in the middle when the program ends
        print(len(next(loop)["frame_indices"]))
"""


def left_over(files, threads, children):
    """Others may have left the helpers of multiprocessing, so that there may be fewer than before."""
    new_threads = {thread for thread in threading.enumerate() if thread.name != "tqdm_monitor"} - threads
    new_children = set(psutil.Process().children()) - children
    num_files = open_files()
    new_files = [f"{num_files} open files after {files}"] if num_files > files else []
    return [*new_threads, *new_children, *new_files]


def open_files():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize("how", ["close", "drop", "error"])
@each_kind
def test_a_loop_that_ends_early(paths, kind, num_workers, how):
    loader = make(paths[:4], worker_kind=kind, num_workers=num_workers)
    for taken in (0, 1, 7):
        loop = iter(loader)
        for _ in range(taken):
            next(loop)
        if how == "close":
            loop.close()
        elif how == "error":
            with pytest.raises(KeyError):
                loop.throw(KeyError)
        del loop
    with pytest.raises(ZeroDivisionError):  # a consumer that fails
        _ = [1 / 0 for _ in loader]
    assert len(list(loader)) == len(loader)


@needs_fork
def test_a_worker_process_that_dies(paths, tmp_path):
    """In a program of its own: torch's handler may raise wherever that is, and files may be lost there."""
    done = run(tmp_path, KILLED, "process", 2, *paths)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("error", [EOFError, ConnectionResetError, FileNotFoundError])
def test_a_worker_that_dies_while_it_sends(paths, monkeypatch, error):
    def die(*_):
        raise error()

    loop = iter(make(paths[:4], worker_kind="process"))
    next(loop)
    monkeypatch.setattr(queues._ForkingPickler, "loads", die)
    with pytest.raises(RuntimeError, match="exited unexpectedly, while it handed a batch over"):
        list(loop)


@pytest.mark.parametrize("what", ["gradient", "function"])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_result_that_cannot_be_sent_is_an_error(paths, what, num_workers):
    def transform(frames):
        if what == "function":
            return {"frames": frames, "do": lambda: None}
        return torch.nn.Linear(1, 1)(frames[:, :1, :1, :1].to(torch.float32))

    loader = make(paths[:4], worker_kind="process", num_workers=num_workers, dataset={"transform": transform})
    with pytest.raises(ValueError, match=r"cannot go to another process: .*worker_kind='thread'"):
        next(iter(loader))


def test_small_frames_do_not_take_all_open_files(tmp_path):
    """Batches that wait for others take an open file each."""
    path = tmp_path / "tiny.mp4"
    write_frames_to_video(path, np.zeros((2000, 48, 64, 3), np.uint8), 30, gop=1000)
    before, most = open_files(), 0
    for _ in make([path] * 3, 4, worker_kind="process", num_workers=3):
        most = max(most, open_files())
    assert most - before < 150


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loop_in_another_thread_outlives_the_main_one(paths, tmp_path, num_workers):
    done = run(tmp_path, OTHER_THREAD, "thread", num_workers, *paths[:2])
    assert (done.returncode, done.stdout.strip()) == (0, "360"), done.stderr


def test_a_lost_loop_may_be_collected_by_its_own_worker(paths, monkeypatch):
    """The collector runs where memory is allocated: here, in a worker that holds the plan."""
    collected, is_lost, real = threading.Event(), threading.Event(), PendingBatch.__init__

    def plan(self, *arguments):
        if is_lost.is_set() and not collected.is_set():
            collected.set()
            gc.collect()
        real(self, *arguments)

    monkeypatch.setattr(PendingBatch, "__init__", plan)
    gc.disable()
    try:
        dataset = {"transform": lambda frames: (time.sleep(0.01), frames)[1]}
        loop = [iter(make(paths * 5, 2, num_workers=3, prefetch=1, max_bytes=2**40, dataset=dataset))]
        next(loop[0])
        loop.append(loop)  # only the collector finds it now
        del loop
        is_lost.set()
        assert collected.wait(20)
    finally:
        gc.enable()
    deadline = time.monotonic() + 20
    while any("pvio_lab" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(tmp_path, text, *arguments):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(HEAD + text), "utf-8")
    command = [sys.executable, script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.usefixtures("interrupts")
@each_kind
def test_interrupts(paths, tmp_path, kind, num_workers):
    done = run(tmp_path, INTERRUPTED, kind, num_workers, *paths[:4])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["interrupted"] * 5


@each_kind
def test_a_program_may_end_in_the_middle_of_a_loop(paths, tmp_path, kind, num_workers):
    done = run(tmp_path, ABANDONED, kind, num_workers, *paths)
    assert (done.returncode, done.stdout.strip()) == (0, "16"), done.stderr
    assert "Error" not in done.stderr


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_fork_in_the_middle_of_a_loop(paths, num_workers):
    """The child may have a loop of its own; the parent's goes on."""
    loader = make(paths[:4], num_workers=num_workers)
    loop = iter(loader)
    expected = next(loop)["frame_indices"]

    def child():
        assert next(iter(loader))["frame_indices"] == expected
        loop.close()

    for _ in range(3):
        process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
        process.start()
        process.join(60)
        assert process.exitcode == 0, "None is a child that hangs"
    assert sum(len(batch["frame_indices"]) for batch in loop) + 16 == sum(
        len(batch["frame_indices"]) for batch in make(paths[:4])
    )


@needs_fork
def test_processes_after_threads(paths):
    """As in a notebook: one cell uses threads, the next one processes."""
    for kind in ["thread", "process"] * 2:
        assert len(list(make(paths[:4], worker_kind=kind))) > 0


def test_a_slow_consumer_does_not_make_the_workers_run_away(paths, monkeypatch):
    decoded = []
    real = Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda self, **k: (decoded.append(1), real(self, **k))[1])
    limit = 40 * 360 * 640 * 3
    loop = iter(make(paths, max_bytes=limit))
    next(loop)
    time.sleep(1)
    assert len(decoded) < 130  # the first batch, the limit, and what the decoders hold back
    loop.close()


@each_order
@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_each_group_is_decoded_once(paths, monkeypatch, num_workers, order):
    engines = []
    real = PyAVEngine.__init__
    monkeypatch.setattr(
        PyAVEngine, "__init__", lambda self, *a, **k: (engines.append(self), real(self, *a, **k))[1]
    )
    same_size = [path for path in paths if "shapes" not in path.name]
    loader = make(same_size, num_workers=num_workers, order=order)
    num_frames = sum(len(batch["frame_indices"]) for batch in loader)
    decoded = sum(engine.decoded for engine in engines)
    # Leading frames of open groups, and frames that were in a decoder when it went elsewhere, come on top.
    assert num_frames <= decoded < 1.25 * num_frames


@counts_files
@each_order
def test_open_files_stay_few(tmp_path, order):
    copies = [shutil.copy(SAMPLES / "gop2.mp4", tmp_path / f"{n}.mp4") for n in range(150)]
    before, most = open_files(), 0
    for _ in make(copies, 64, order=order, dataset={"step": 10}):
        most = max(most, open_files())
    assert most - before < 40


@pytest.mark.slow
def test_memory_is_flat(paths):
    loader, used = make(paths, 32, max_bytes=64 * MB), []
    for _ in range(6):
        for batch in loader:
            del batch
        gc.collect()
        used.append(psutil.Process().memory_info().rss)
    assert max(used[3:]) - used[1] < 30 * MB


def test_memory_of_dropped_batches_is_used_again(paths):
    places = {batch["frames"].data_ptr() for batch in make(paths[:1], num_workers=0)}
    assert len(places) <= 4


def test_kept_batches_are_not_overwritten(paths):
    kept = list(make(paths[:2]))
    copies = [batch["frames"].clone() for batch in make(paths[:2])]
    assert all(torch.equal(batch["frames"], copy) for batch, copy in zip(kept, copies, strict=True))
