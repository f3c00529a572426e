"""Jobs in processes of this machine: the same rows as with Ray, and nothing is lost or doubled."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from optional import needed_above, needs
from truth_frames import SAMPLES, read_number

import pvio_lab as pv

needed_above("pyarrow")
from pvio_lab.scale import Store  # noqa: E402
from pvio_lab.scale.jobs import local_runner  # noqa: E402
from pvio_lab.scale.jobs.job import _chosen  # noqa: E402

pytestmark = pytest.mark.ray  # in CI, pyarrow comes with it

SMALL = str(SAMPLES / "gop2.mp4")


def run(manifest, output, **options):
    return pv.process_manifest(manifest, output, runner="local", **{"progress": False, **options})


def rows_of(report):
    return report.dataset().to_table().sort_by("clip").to_pylist()


def twice(reader, row):
    return {"twice": 2 * row["clip"]}


def slowly(reader, row):
    time.sleep(0.05)
    return twice(reader, row)


def kill(reader, row):
    flag = Path(row["flag"])
    if row["clip"] == 6 or (row["clip"] == 1 and not flag.exists()):
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return twice(reader, row)


def mean(frames, row):
    total = frames.sum()
    return {"mean": float(total / frames.size)}


def test_the_rows_of_a_job(tmp_path):
    clips = [{"path": SMALL, "start_frame": 5 * n, "label": f"l{n}"} for n in range(7)]
    clips += [{"path": "/missing.mp4"}, {"path": __file__}]
    report = run(clips, tmp_path / "job", sampling={"first": 2}, clips_per_shard=2)
    rows = rows_of(report)
    assert [row["label"] for row in rows[:7]] == [f"l{n}" for n in range(7)]
    for n, row in enumerate(rows[:7]):
        (frames,) = pv.video_arrays([row["frames"]])
        assert [*map(read_number, frames)] == row["frame_indices"] == [5 * n, 5 * n + 1]
    assert [row["error_type"] for row in report.errors()] == ["FileNotFoundError", "OpenError"]
    assert (report.num_clips, report.num_failed, len(report.costs), report.runner) == (9, 2, 9, "local")
    assert len(list(Path(tmp_path, "job", "clips").iterdir())) == 5
    assert "2 failed" in repr(report)


def test_image_files(tmp_path):
    from PIL import Image

    report = run([SMALL], tmp_path / "job", make="images", sampling={"first": 2})
    names = rows_of(report)[0]["images"]
    assert [read_number(np.asarray(Image.open(tmp_path / "job" / name))) for name in names] == [0, 1]


def test_a_job_that_is_done_is_not_done_again(tmp_path):
    first = run([SMALL] * 3, tmp_path / "job", make="info", num_workers=1)
    again = run([SMALL] * 9, tmp_path / "job", make="info")
    assert (first.num_before, first.num_cpus) == (0, 1)
    assert (again.num_before, again.num_clips, again.costs) == (3, 3, None)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("clips_per_shard", [1, 8])
def test_a_clip_at_which_workers_die_is_a_row(tmp_path, clips_per_shard):
    clips = [{"path": SMALL, "flag": str(tmp_path / f"killed_{n}")} for n in range(8)]
    report = run(clips, tmp_path / "job", make="info", function=kill, clips_per_shard=clips_per_shard)
    assert (tmp_path / "killed_1").exists()
    assert [row["twice"] for row in rows_of(report)] == [0, 2, 4, 6, 8, 10, None, 14]
    assert [(row["clip"], row["error_type"]) for row in report.errors()] == [(6, "WorkerDied")]


@pytest.mark.parametrize(
    ("shard", "place", "parts"),
    [
        ([1, 2, 3, 4], 2, [[1, 2], [3], [4]]),
        ([1, 2, 3, 4], 0, [[], [1], [2, 3, 4]]),
        ([1, 2, 3, 4], 4, [[1, 2], [3, 4]]),
        ([1], 1, [[], [1]]),
    ],
)
def test_how_a_shard_is_split_where_its_worker_died(shard, place, parts):
    assert local_runner.split(shard, place) == parts


def test_a_slow_shard_is_written_early_and_the_rest_later(tmp_path, monkeypatch):
    monkeypatch.setattr(local_runner, "_MOST_SECONDS", 0.12)
    report = run([SMALL] * 8, tmp_path / "job", make="info", function=slowly, clips_per_shard=8)
    assert sorted(row["twice"] for row in rows_of(report)) == [*range(0, 16, 2)]
    assert len(list(Path(tmp_path, "job", "clips").iterdir())) > 1


def broken(reader, row):
    return {"value": "a" if row["clip"] else 1}


def test_an_error_of_a_shard_is_raised_as_it_is_and_ends_all_processes(tmp_path):
    with pytest.raises(TypeError, match="the column 'value' must have values of one type"):
        run([SMALL] * 4, tmp_path / "job", make="info", function=broken, clips_per_shard=4)
    assert not workers()


def workers():
    found = psutil.Process().children(recursive=True)
    return [each for each in found if "pvio_lab.base.children" in " ".join(each.cmdline())]


def test_a_function_needs_cloudpickle_or_a_file(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(local_runner, "import_module", missing)
    for function in (lambda reader, row: {}, exec_in_main()):
        with pytest.raises(ValueError, match=r'pip install "pvio_lab\[jobs\]", or put it into a file'):
            run([SMALL], tmp_path / "job", make="info", function=function)
    assert not (tmp_path / "job").exists()
    assert rows_of(run([SMALL], tmp_path / "job", make="info", function=twice))[0]["twice"] == 0


def exec_in_main():
    """A function as one in a notebook's cell, which is found by name in this process only."""
    main = sys.modules["__main__"]
    exec("def in_a_cell(reader, row): return {'name': __name__}", vars(main))
    return main.in_a_cell


def test_what_cannot_be_pickled_at_all_is_named(tmp_path):
    lock = threading.Lock()
    with pytest.raises(ValueError, match=r"cannot go to a worker process: .*lock.*; put it into a file"):
        run([SMALL], tmp_path / "job", make="info", function=lambda reader, row: {"lock": lock})


def test_lambdas_and_functions_of_a_notebook_reach_the_workers(tmp_path):
    for number, function in enumerate([lambda reader, row: {"name": "x"}, exec_in_main()]):
        report = run([SMALL], tmp_path / str(number), make="info", function=function)
        assert rows_of(report)[0]["name"] in ("x", "__main__")


def test_a_module_beside_the_notebook_reaches_the_workers(tmp_path, monkeypatch):
    (tmp_path / "beside.py").write_text("def name(reader, row): return {'name': __name__}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    from beside import name

    assert rows_of(run([SMALL], "job", make="info", function=name))[0]["name"] == "beside"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"runner": "dask"}, ValueError, "runner='dask' must be one of 'auto', 'local', 'ray'"),
        ({"num_workers": 0}, ValueError, "num_workers=0"),
        ({"profile": True}, ValueError, "pass function=, too"),
        ({"profile": True, "function": len}, ValueError, "no lines of Python"),
    ],
)
def test_wrong_options(tmp_path, options, error, words):
    if options.get("function"):
        needs("line_profiler")
    with pytest.raises(error, match=words):
        pv.process_manifest([SMALL], tmp_path / "job", **options)


def test_what_auto_means(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert _chosen("auto") == "local"
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert [_chosen(each) for each in ("auto", "local")] == ["ray", "local"]


@pytest.mark.parametrize("is_in_a_file", [True, False])
def test_the_lines_of_a_function_are_summed_over_the_workers(tmp_path, is_in_a_file):
    def nested(frames, row):
        return {"mean": float(frames.mean())}

    needs("line_profiler")
    function, lines = (mean, 2) if is_in_a_file else (nested, 1)
    report = run([SMALL] * 6, tmp_path / "job", function=function, clips_per_shard=1, profile=True)
    assert [row.hits for row in report.profile] == [6] * lines
    assert "frames." in next(row.code for row in report.profile)
    assert 0 < report.profile.total_seconds < report.costs.other_seconds.sum()
    again = run([SMALL] * 6, tmp_path / "job", function=function, profile=True)
    assert "never called" in repr(again.profile)


DRIVER = """
import sys
import pvio_lab as pv
from test_local_runner import slowly

options = dict(make="info", function=slowly, clips_per_shard=4, progress=False, runner="local")
pv.process_manifest([sys.argv[1]] * 60, sys.argv[2], **options)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_job_that_was_stopped_continues_and_leaves_no_process(tmp_path, interrupts, number):
    job = tmp_path / "job"
    command = [sys.executable, "-c", DRIVER, SMALL, str(job)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as driver:
        while len(list(job.glob("done/*.parquet"))) < 2 and driver.poll() is None:
            time.sleep(0.005)
        started = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(number)
        _, said = driver.communicate(timeout=60)
    assert driver.returncode == -number
    assert said.strip().endswith("KeyboardInterrupt" if number == signal.SIGINT else "")
    assert started
    assert not psutil.wait_procs(started, timeout=20)[1]
    report = run([SMALL] * 60, job, make="info", function=slowly)
    assert 8 <= report.num_before < 60
    assert [row["twice"] for row in rows_of(report)] == [*range(0, 120, 2)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("order", [("local", "ray"), ("ray", "local")])
def test_another_runner_continues_a_job(ray_session, tmp_path, order):
    needs("line_profiler")
    options = {"make": "info", "function": twice, "clips_per_shard": 2, "num_workers": 1, "profile": True}
    options |= {"progress": False}
    job = tmp_path / "job"
    pv.process_manifest([SMALL] * 9, job, runner=order[0], **options)
    store = Store(job)
    for name in store.names("done")[:2]:  # as if it had been killed
        store.filesystem.delete_file(store.path(f"done/{name}"))
    report = pv.process_manifest([SMALL] * 9, job, runner=order[1], **options)
    assert (report.runner, report.num_clips, report.num_failed, report.num_cpus) == (order[1], 9, 0, 1)
    assert 0 < report.num_before < 9
    assert [row["twice"] for row in rows_of(report)] == [*range(0, 18, 2)]
    assert [(row.hits, row.code.strip()) for row in report.profile] == [
        (9 - report.num_before, 'return {"twice": 2 * row["clip"]}')
    ]
