"""Jobs on a real Ray: what comes out, and that kills lose nothing and double nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from optional import needs
from truth_frames import SAMPLES, read_number, true_frames
from unruly_server import PASSWORD, serving

import pvio_lab as pv
from pvio_lab.scale import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SHAPES, SMALL = str(SAMPLES / "shapes.mp4"), str(SAMPLES / "gop2.mp4")


def run(manifest, output, **options):
    needs("pyarrow")
    return pv.process_manifest(manifest, output, progress=False, **options)


def rows_of(report):
    return report.dataset().to_table().sort_by("clip").to_pylist()


def test_frames_of_every_clip_and_its_columns(ray_session, tmp_path):
    clips = [
        {"path": SHAPES, "start_frame": 30 * n, "end_frame": 30 * n + 30, "label": f"l{n}"} for n in range(10)
    ]
    report = run(clips, tmp_path / "job", sampling={"num_frames": 2}, clips_per_shard=3)
    rows, truth = rows_of(report), true_frames(SAMPLES / "shapes.mp4")
    assert [row["label"] for row in rows] == [f"l{n}" for n in range(10)]
    for n, row in enumerate(rows):
        (frames,) = pv.video_arrays([row["frames"]])
        assert row["frame_indices"] == [30 * n, 30 * n + 29]
        assert (frames == truth[row["frame_indices"]]).all()
    assert (report.num_clips, report.num_failed, len(report.costs)) == (10, 0, 10)
    assert len(list(Path(tmp_path, "job", "clips").iterdir())) >= 4


def test_failures_are_rows(ray_session, tmp_path):
    report = run([SHAPES, "/missing.mp4", __file__, SMALL], tmp_path / "job", clips_per_shard=1)
    assert [row["error_type"] for row in rows_of(report)] == [None, "FileNotFoundError", "OpenError", None]
    assert report.num_failed == 2
    assert "/missing.mp4" in report.errors()[0]["error_message"]
    assert rows_of(report)[1]["frames"] is None


def test_headers_reach_the_workers_and_are_written_nowhere(ray_session, tmp_path):
    job, headers = tmp_path / "job", {"Authorization": PASSWORD}
    with serving(SAMPLES) as server:
        url = server.url("locked/gop2.mp4", query="token=s3cr3t")
        fetching = pv.Fetching(headers=headers, cache_dir=tmp_path / "cache")
        report = run([url], job, make="info", fetching=fetching)
        (row,) = rows_of(report)
        assert (row["error_type"], row["path"]) == (None, server.url("locked/gop2.mp4"))
    assert not any(PASSWORD.encode() in path.read_bytes() for path in job.rglob("*") if path.is_file())


def test_a_job_is_kept_from_what_strangers_may_not_name(ray_session, tmp_path):
    with serving(SAMPLES) as server:
        clips = [SMALL, server.url("plain/gop2.mp4")]
        report = pv.measure_clips(clips, make="info", progress=False, fetching=pv.Fetching.untrusted())
        assert not server.counts
    assert report.num_failed == 2


def test_image_files(ray_session, tmp_path):
    from PIL import Image

    report = run([SHAPES], tmp_path / "job", make="images", sampling={"first": 2})
    names = rows_of(report)[0]["images"]
    assert [read_number(np.asarray(Image.open(tmp_path / "job" / name))) for name in names] == [0, 1]


def test_a_function_and_its_types(ray_session, tmp_path):
    pa = needs("pyarrow")

    def facts(frames, row):
        if row["clip"] % 2:
            raise ValueError("odd")
        return {"mean": float(frames.mean()), "shape": np.array(frames.shape)}

    schema = pa.schema({"mean": pa.float32(), "shape": pa.list_(pa.int32())})
    report = run([SMALL] * 4, tmp_path / "job", function=facts, schema=schema, clips_per_shard=1)
    rows = rows_of(report)
    assert rows[0]["shape"] == [8, 240, 320, 3]
    assert [row["error_message"] for row in rows] == [None, "odd", None, "odd"]
    assert report.dataset().schema.field("mean").type == pa.float32()


def test_a_job_that_is_done_is_not_done_again_and_keeps_its_manifest(ray_session, tmp_path):
    first = run([SMALL] * 3, tmp_path / "job", make="info")
    again = run([SMALL] * 9, tmp_path / "job", make="info")
    assert (first.num_before, again.num_before, again.num_clips, again.costs) == (0, 3, 3, None)
    assert len(rows_of(again)) == 3


def test_another_job_in_the_same_folder_is_refused(ray_session, tmp_path):
    run([SMALL], tmp_path / "job", make="info")
    with pytest.raises(ValueError, match="has a job with make='info'"):
        run([SMALL], tmp_path / "job")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        run([SMALL], tmp_path / "other")


def test_a_worker_that_dies_is_replaced_and_a_clip_at_which_workers_die_is_a_row(ray_session, tmp_path):
    def kill(reader, row):
        flag = tmp_path / "killed_once"
        if row["clip"] == 6 or (row["clip"] == 1 and not flag.exists()):
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"twice": 2 * row["clip"]}

    report = run([SMALL] * 8, tmp_path / "job", make="info", function=kill, clips_per_shard=4)
    assert (tmp_path / "killed_once").exists()
    assert [row["twice"] for row in rows_of(report)] == [0, 2, 4, 6, 8, 10, None, 14]
    assert [(row["clip"], row["error_type"]) for row in report.errors()] == [(6, "WorkerDied")]


def test_both_cores_have_work_in_a_small_job(ray_session, tmp_path):
    """Ray Data itself begins with one core, as it learns only after a second or more how many there are."""

    def wait_for_another(reader, row):
        (tmp_path / f"process_{os.getpid()}").touch()
        end = time.monotonic() + 30
        while len(list(tmp_path.glob("process_*"))) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        return {"is_alone": time.monotonic() >= end}

    report = run([SMALL] * 16, tmp_path / "job", make="info", function=wait_for_another, clips_per_shard=2)
    assert not any(row["is_alone"] for row in rows_of(report))


def work_for_a_while(reader, row):
    time.sleep(0.1)
    return {}


@pytest.mark.slow
def test_an_estimate_is_within_a_quarter_of_a_larger_run(ray_session, tmp_path):
    """Clips that sleep cost the same on a busy machine; what Ray does between them is real."""
    options = {"make": "info", "function": work_for_a_while, "clips_per_shard": 10}
    for attempt in range(3):
        sample = pv.measure_clips([SMALL] * 1000, num_clips=60, progress=False, **options)
        whole = run([SMALL] * 140, tmp_path / f"job{attempt}", **options)
        ratio = pv.estimate_job(sample, 140).hours * 3600 / whole.seconds
        print(f"estimated {ratio:.2f} of what it took ({whole.seconds:.1f} s)")
        if 0.75 < ratio < 1.25:
            return
    raise AssertionError(f"the estimate was {ratio:.2f} of what the job took")


def test_a_huge_video_and_a_few_frames_need_little_memory(ray_session, tmp_path):
    huge = tmp_path / "huge.mp4"
    frame = np.zeros((64, 64, 3), np.uint8)
    pv.write_frames_to_video(huge, (frame for _ in range(30_000)), 50, preset="ultrafast", progress=False)

    def note(frames, row):
        (tmp_path / f"rss_{row['clip']}").write_text(str(psutil.Process().memory_info().rss / 1e6))
        return {"n": len(frames)}

    report = run([SMALL, str(huge), str(huge)], tmp_path / "job", function=note, clips_per_shard=1)
    assert [(row["n"], row["video_num_frames"]) for row in rows_of(report)] == [(8, 60), *[(8, 30_000)] * 2]
    megabytes = max(float(path.read_text()) for path in tmp_path.glob("rss_*"))
    assert megabytes < 700  # all frames would be 369 MB more, and twice that when copied


DRIVER = """
import sys, time
import pvio_lab as pv

if sys.argv[4:]:
    import ray

    quiet = dict(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.init(num_cpus=2, _temp_dir=sys.argv[4], **quiet)

def slowly(reader, row):
    time.sleep(0.05)
    return {"twice": 2 * row["clip"]}

options = dict(make="info", function=slowly, clips_per_shard=8, progress=False)
print(pv.process_manifest([sys.argv[1]] * int(sys.argv[2]), sys.argv[3], **options))
"""


def started(count, folder, *scratch, **more):
    command = [sys.executable, "-c", DRIVER, SMALL, str(count), str(folder), *map(str, scratch)]
    search = os.pathsep.join([str(Path(pv.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": search} | more
    return subprocess.Popen(command, env=env, start_new_session=True, stdout=subprocess.DEVNULL)


def num_markers(folder):
    return len(list(folder.glob("done/*.parquet")))


@pytest.mark.slow
def test_a_driver_that_is_killed_again_and_again_loses_nothing(ray_session, tmp_path, tmp_path_factory):
    """First with a Ray of its own, which dies with it, then on one that goes on."""
    folder, count = tmp_path / "job", 160
    cluster = {"RAY_ADDRESS": ray_session.get_runtime_context().gcs_address}
    drivers = []
    try:
        for round_number in range(3):
            where = [tmp_path_factory.mktemp("r")] if round_number == 0 else []
            before = num_markers(folder)
            driver = started(count, folder, *where, **({} if where else cluster))
            drivers.append(driver)
            wanted = before + 2 + round_number % 2
            while driver.poll() is None and num_markers(folder) < wanted:
                time.sleep(0.002)
            driver.send_signal(signal.SIGKILL)  # and the next one begins while its workers are still about
            driver.wait()
        assert num_markers(folder) < count / 8, "it was done before it could be killed"
        drivers.append(started(count, folder, **cluster))
        assert drivers[-1].wait(timeout=300) == 0
    finally:
        for driver in drivers:
            end_session(driver.pid)
    table = Store(folder).clips().to_table()
    assert sorted(table["clip"].to_pylist()) == list(range(count))
    assert table["twice"].to_pylist() == [2 * clip for clip in table["clip"].to_pylist()]


def end_session(leader):
    """End what a killed driver has left: everything that was started in its session."""
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                process.kill()
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
