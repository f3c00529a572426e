"""Sampled images are the frames of ffmpeg, each is made once, and nothing that stops a run loses any."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from supervisely_samples import CAR, video_annotation
from truth_frames import SAMPLES, TRUTH, read_number, true_frames, true_times
from written import posix_only, wait_until

from pvio_lab import DecodeError, OpenError, SampleReport, VideoReader, sample_video, sample_video_tree
from pvio_lab.base import LockFile, Target
from pvio_lab.write.sample.sampler import SampleRow

CLIP = SAMPLES / "gop2.mp4"


def sample(source, folder, **options):
    (row,) = sample_video(source, folder, progress=False, **options)
    return row


def tree(source, folder, **options):
    return sample_video_tree(source, folder, progress=False, **options)


def numbers_in(folder, stem="gop2"):
    return [int(path.stem.rpartition("_")[2]) for path in sorted(folder.glob(f"{stem}_frame_*.png"))]


def pixels(path):
    return np.array(Image.open(path))


def fingerprints(frames):
    return [md5(frame.tobytes()).hexdigest() for frame in frames]


def manifest(folder, stem="gop2"):
    return json.loads((folder / f"{stem}_frames.json").read_text("utf-8"))


@pytest.fixture
def asked(monkeypatch):
    """Which frames are decoded."""
    numbers, original = [], VideoReader.stream

    def counted(self, indices, **options):
        numbers.extend(np.asarray(indices).tolist())
        return original(self, indices, **options)

    monkeypatch.setattr(VideoReader, "stream", counted)
    return numbers


@pytest.mark.parametrize(
    "name",
    ["gop2.mp4", "bframes.avi", "cut_edit_list.mp4", "open_gop_h264.mp4", "rotated_90.mp4", "raw.h264"],
)
def test_images_are_frames_of_ffmpeg_bit_by_bit(name, tmp_path):
    truth = true_frames(SAMPLES / name)
    row = sample(SAMPLES / name, tmp_path, start=1, step=7)
    images = [pixels(path) for path in sorted(tmp_path.glob("*.png"))]
    assert (row.ok, row.num_images, row.num_frames) == (True, len(images), len(truth))
    assert fingerprints(images) == fingerprints(truth[1::7])


@pytest.mark.parametrize(
    ("name", "resize", "size"),
    [
        ("gop2.mp4", 120, "160:120"),
        ("gop2.mp4", (100, 50), "100:50"),
        ("rotated_90.mp4", 60, "60:80"),  # upright
    ],
)
def test_resized_images_are_those_of_ffmpeg(name, resize, size, tmp_path):
    truth = true_frames(SAMPLES / name, "-vf", f"scale={size}:flags=bicubic")
    sample(SAMPLES / name, tmp_path, step=20, resize=resize)
    assert fingerprints(map(pixels, sorted(tmp_path.glob("*.png")))) == fingerprints(truth[::20])


@pytest.mark.parametrize(
    ("policy", "numbers"),
    [
        ({"start": -4}, [56, 57, 58, 59]),
        ({"end": 30, "step": 10}, [0, 10, 20]),
        ({"num_frames": 3}, [0, 30, 59]),
        ({"step": 5, "first": 2}, [0, 5]),
        ({"only": iter([40, 3, 50]), "max_frames": 2}, [3, 40]),
        ({"fps": 300, "end": 2}, [0, 1]),
        ({"start": 9, "end": 9}, []),
    ],
)
def test_every_policy(policy, numbers, tmp_path):
    row = sample(CLIP, tmp_path, **policy)
    assert numbers_in(tmp_path) == numbers
    assert [read_number(pixels(path)) for path in sorted(tmp_path.glob("*.png"))] == numbers
    assert row.num_images == len(numbers)


def test_the_manifest(tmp_path):
    row = sample(SAMPLES / "variable_rate.mp4", tmp_path, step=30, annotations={30: ["jump"]})
    said = json.loads(Path(row.manifest).read_text("utf-8"))
    assert (said["source"], said["video"]) == (str(SAMPLES / "variable_rate.mp4"), "variable_rate.mp4")
    assert (said["is_complete"], said["image_size"]) == (True, [320, 240])
    times = true_times(SAMPLES / "variable_rate.mp4")
    for number, frame in zip(range(0, len(times), 30), said["frames"], strict=True):
        assert frame["number"] == number
        assert frame["seconds"] == pytest.approx(times[number], abs=1e-5)
        assert frame["file"] == f"variable_rate_frame_{number:06}.png"
        assert frame["annotations"] == (["jump"] if number == 30 else [])


def test_a_directory_of_images(tmp_path):
    sample(SAMPLES / "numbered", tmp_path, step=5, resize=60)
    assert numbers_in(tmp_path, "numbered") == [0, 5, 10]
    assert [frame["seconds"] for frame in manifest(tmp_path, "numbered")["frames"]] == [0, 0.2, 0.4]


def test_what_is_there_is_kept_and_not_decoded_again(tmp_path, asked):
    sample(CLIP, tmp_path, step=20)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.png")}
    asked.clear()
    row = sample(CLIP, tmp_path, step=10)
    assert asked == [10, 30, 50]
    assert (row.num_images, row.num_kept) == (6, 3)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert [frame["number"] for frame in manifest(tmp_path)["frames"]] == [0, 10, 20, 30, 40, 50]
    asked.clear()
    (tmp_path / "gop2_frames.json").chmod(0o444)  # not written again
    assert sample(CLIP, tmp_path, step=20).num_kept == 3
    assert asked == []
    assert len(manifest(tmp_path)["frames"]) == 6


@pytest.mark.parametrize("end", [-1, -2, -3, -60, 400])
def test_a_damaged_manifest_is_made_again(tmp_path, end):
    sample(CLIP, tmp_path, step=10)
    said, text = manifest(tmp_path), (tmp_path / "gop2_frames.json").read_text().rstrip()
    (tmp_path / "gop2_frames.json").write_text(text[:end])
    assert sample(CLIP, tmp_path, step=10).num_kept == 6
    assert manifest(tmp_path) == said


@pytest.mark.parametrize(
    "text", ['{"half', "", "{}", '{"frames": [1, 2], "is_complete": true}', "[" * 100_000]
)
def test_a_foreign_manifest_stays(tmp_path, text):
    (tmp_path / "gop2_frames.json").write_text(text)
    with pytest.raises(FileExistsError, match=r"gop2_frames\.json is not a list of sampled images"):
        sample(CLIP, tmp_path, step=30)
    assert (tmp_path / "gop2_frames.json").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["gop2_frames.json"]


def frame_30(folder):
    sample(CLIP, folder / "other", only=[31])
    return (folder / "other" / "gop2_frame_000031.png").read_bytes()


@pytest.mark.parametrize("contents", [b"a text", frame_30], ids=["text", "image"])
@pytest.mark.parametrize("before", [[], [0], [0, 30]], ids=str)
def test_a_foreign_file_stays(tmp_path, contents, before):
    data = contents if isinstance(contents, bytes) else contents(tmp_path)
    if before:
        sample(CLIP, tmp_path, only=before)
    image = tmp_path / "gop2_frame_000030.png"
    image.write_bytes(data)
    with pytest.raises(FileExistsError, match=r"gop2_frame_000030\.png .*; remove it, or give another"):
        sample(CLIP, tmp_path, step=10)
    assert image.read_bytes() == data
    assert numbers_in(tmp_path) == sorted({*before, 30})


def test_a_foreign_file_that_comes_in_the_meantime_stays(tmp_path, monkeypatch):
    original = VideoReader.stream

    def disturbed(self, indices, **options):
        (tmp_path / "gop2_frame_000010.png").write_bytes(b"a text")
        return original(self, indices, **options)

    monkeypatch.setattr(VideoReader, "stream", disturbed)
    with pytest.raises(FileExistsError, match=r"gop2_frame_000010\.png has come while frames were sampled"):
        sample(CLIP, tmp_path, step=10)
    assert (tmp_path / "gop2_frame_000010.png").read_bytes() == b"a text"
    assert 10 not in [frame["number"] for frame in manifest(tmp_path)["frames"]]


def test_foreign_annotations_stay(tmp_path):
    options = {"step": 30, "copy_annotations": True}
    sample(CLIP, tmp_path, annotations={0: "a"}, **options)
    sample(CLIP, tmp_path, annotations={0: "b"}, **options)  # what was not changed follows
    share = tmp_path / "gop2_frame_000000.png.json"
    assert json.loads(share.read_text())["labels"] == ["b"]
    share.write_text('{"by hand": 1}')
    with pytest.raises(
        FileExistsError, match=r"000000\.png\.json was not written with the image, or was chang"
    ):
        sample(CLIP, tmp_path, annotations={0: "c"}, **options)
    assert share.read_text() == '{"by hand": 1}'
    assert sample(CLIP, tmp_path, step=30).num_kept == 2


def test_an_image_that_was_cut_short_is_made_again(tmp_path, asked):
    sample(CLIP, tmp_path, step=20)
    whole = (tmp_path / "gop2_frame_000020.png").read_bytes()
    (tmp_path / "gop2_frame_000020.png").write_bytes(whole[:-5])
    (tmp_path / "gop2_frame_000040.png").write_bytes(b"")
    asked.clear()
    row = sample(CLIP, tmp_path, step=20)
    assert (asked, row.num_kept) == ([20, 40], 1)
    assert (tmp_path / "gop2_frame_000020.png").read_bytes() == whole


def test_a_manifest_of_an_earlier_version(tmp_path, asked):
    sample(CLIP, tmp_path, step=20)
    said = manifest(tmp_path)
    (tmp_path / "gop2_frames.json").write_text(json.dumps(said | {"is_complete": False, "frames": []}))
    sample(CLIP, tmp_path, only=[0])  # that run was killed
    assert [frame["number"] for frame in manifest(tmp_path)["frames"]] == [0, 20, 40]
    for frame in said["frames"]:
        del frame["bytes"]
    (tmp_path / "gop2_frames.json").write_text(json.dumps(said))
    (tmp_path / "gop2_frame_000040.png").write_bytes((tmp_path / "gop2_frame_000000.png").read_bytes()[:-9])
    asked.clear()
    assert sample(CLIP, tmp_path, step=20).num_kept == 2
    assert asked == [40]
    assert all(frame["bytes"] > 0 for frame in manifest(tmp_path)["frames"])


@pytest.mark.parametrize("change", [{"resize": 120}, {"source": SAMPLES / "vp9.webm"}])
def test_images_of_another_kind_are_never_mixed(change, tmp_path):
    copy = tmp_path / "clip.mp4"
    shutil.copy(CLIP, copy)
    sample(copy, tmp_path / "out", step=30)
    if "source" in change:
        shutil.copy(change["source"], copy)
    options = {key: value for key, value in change.items() if key != "source"}
    with pytest.raises(FileExistsError, match=r"clip_frames\.json are others \(.*give another output_dir"):
        sample(copy, tmp_path / "out", step=30, **options)


@pytest.fixture
def url(monkeypatch, tmp_path_factory):
    """The URL of a server of the samples, with a password."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(SAMPLES)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://me:secret@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_url_keeps_its_secrets(tmp_path, url):
    row = sample(f"{url}/gop2.mp4", tmp_path / "out", step=30)
    assert numbers_in(tmp_path / "out") == [0, 30]
    shown = f"{url}/gop2.mp4".replace("me:secret@", "")
    assert (row.source, manifest(tmp_path / "out")["source"]) == (shown, shown)


def test_errors_of_a_single_video_are_raised(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for name, error in (("text.mp4", OpenError), ("missing.mp4", FileNotFoundError)):
        with pytest.raises(error, match=name):
            sample(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"no annotations of .*gop2\.mp4; say where by annotations="):
        sample(CLIP, tmp_path, only_annotated=True)
    with pytest.raises(ValueError, match="frame 60 is annotated, and the video has 60 frames"):
        sample(CLIP, tmp_path, annotations=[60])


def test_frames_before_damage_are_there(tmp_path):
    with pytest.raises(DecodeError, match="frame 44"):
        sample(SAMPLES / "damaged.mp4", tmp_path)
    assert numbers_in(tmp_path, "damaged") == list(range(44))
    said = manifest(tmp_path, "damaged")
    assert (len(said["frames"]), said["is_complete"]) == (44, False)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"step": 0}, ValueError, "step=0 must be 1 or more"),
        ({"step": 2, "fps": 5}, ValueError, "are different policies"),
        ({"only_annotated": True, "step": 2}, ValueError, "only_annotated and step are different policies"),
        ({"only_annotated": True, "only": [1]}, ValueError, "only_annotated and only are different policies"),
        ({"resize": 0}, ValueError, "resize=0 must be 1 or more"),
        ({"resize": (1, 2, 3)}, ValueError, r"resize=\(1, 2, 3\) must be a width and a height"),
        ({"resize": "x"}, TypeError, "resize='x' must be an integer"),
        ({"only": 5}, TypeError, "only=5 must be frame numbers"),
    ],
)
@pytest.mark.parametrize("call", [sample, tree])
def test_wrong_options(call, options, error, words, tmp_path):
    with pytest.raises(error, match=words):
        call(SAMPLES if call is tree else CLIP, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


# Annotations


@pytest.fixture
def street(tmp_path):
    """A video, and its annotation by Supervisely beside it."""
    shutil.copy(CLIP, tmp_path / "street.mp4")
    (tmp_path / "street.mp4.json").write_text(json.dumps(video_annotation()))
    return tmp_path / "street.mp4"


def test_only_annotated_frames(street, tmp_path):
    sample(street, tmp_path / "out", only_annotated=True)
    assert numbers_in(tmp_path / "out", "street") == [3, 4, 10, 11, 12]
    labels = [frame["annotations"] for frame in manifest(tmp_path / "out", "street")["frames"]]
    assert labels[1:3] == [["car", "person", "outdoors"], ["weather: rain", "outdoors"]]
    assert list((tmp_path / "out").glob("*.png.json")) == []


def test_each_image_gets_its_share(street, tmp_path):
    sample(street, tmp_path / "out", only_annotated=True, end=5, copy_annotations=True, resize=120)
    share = json.loads((tmp_path / "out" / "street_frame_000003.png.json").read_text("utf-8"))
    assert share["size"] == {"height": 120, "width": 160}
    assert share["objects"][0]["objectKey"] == CAR
    assert share["objects"][0]["points"]["exterior"] == [[5, 10], [55, 60]]
    assert len(list((tmp_path / "out").glob("*.png.json"))) == 2


def test_shares_follow_changed_annotations(tmp_path, asked):
    sample(CLIP, tmp_path, step=30, annotations={0: "a"})
    asked.clear()
    sample(CLIP, tmp_path, step=30, annotations={30: "b"}, copy_annotations=True)
    assert asked == []
    shares = [json.loads(path.read_text("utf-8")) for path in sorted(tmp_path.glob("*.png.json"))]
    assert shares == [{"index": 0, "labels": []}, {"index": 30, "labels": ["b"]}]
    assert [frame["annotations"] for frame in manifest(tmp_path)["frames"]] == [[], ["b"]]


# Trees


@pytest.fixture
def videos(tmp_path):
    """A tree with nested folders, two videos of one name, and two that are broken."""
    places = {
        "a.mp4": "gop2.mp4",
        "deep/er/a.mp4": "all_intra.mp4",
        "deep/a.mp4": "gop2.mp4",
        "deep/a.MKV": "no_count.mkv",
        "deep/bad.mp4": "damaged.mp4",
    }
    for place, name in places.items():
        (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / name, tmp_path / "in" / place)
    (tmp_path / "in" / "deep" / "text.mp4").write_text("no video")
    (tmp_path / "in" / "notes.txt").write_text("no video either")
    return tmp_path / "in"


def test_a_tree_keeps_its_shape_and_is_sampled_once(videos, tmp_path, asked):
    report = tree(videos, tmp_path / "out", step=22)
    images = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")
    )
    assert images == [
        *(f"a_frame_{number:06}.png" for number in (0, 22, 44)),
        *(f"deep/a.MKV_frame_{number:06}.png" for number in (0, 22, 44, 66, 88)),
        *(f"deep/a.mp4_frame_{number:06}.png" for number in (0, 22, 44)),
        *(f"deep/bad_frame_{number:06}.png" for number in (0, 22)),
        *(f"deep/er/a_frame_{number:06}.png" for number in (0, 22, 44)),
    ]
    names = [Path(row.source).relative_to(videos).as_posix() for row in report]
    assert names == ["a.mp4", "deep/a.MKV", "deep/a.mp4", "deep/bad.mp4", "deep/er/a.mp4", "deep/text.mp4"]
    assert [Path(row.source).name for row in report.bad] == ["bad.mp4", "text.mp4"]
    assert report.bad[0].error.startswith("DecodeError: frame 44")
    assert report.bad[0].num_images == 2
    assert report.bad[1].error.startswith("OpenError")
    assert report.num_images == len(images)
    asked.clear()
    second = tree(videos, tmp_path / "out", step=22)
    assert asked == [44, 66, 88]  # which cannot be decoded
    assert second.num_images == len(images) == sum(row.num_kept for row in second)


def test_a_new_neighbour_changes_no_names(videos, tmp_path):
    tree(videos, tmp_path / "out", num_frames=1)
    shutil.copy(SAMPLES / "vp9.webm", videos / "a.webm")
    report = tree(videos, tmp_path / "out", num_frames=1)
    assert report.rows[0].num_kept == 1
    names = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert names == ["a.webm_frame_000044.png", "a_frame_000029.png"]
    assert sample(videos / "a.webm", tmp_path / "out", num_frames=1).num_kept == 1


def test_annotations_of_one_video(tmp_path):
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / "gop2.csv").write_text("frame,label\n7,up\n")
    for number, given in enumerate([{7: "up"}, tmp_path / "marks" / "gop2.csv", tmp_path / "marks"]):
        sample(CLIP, tmp_path / str(number), annotations=given, only_annotated=True)
        assert manifest(tmp_path / str(number))["frames"][0]["annotations"] == ["up"]


def test_annotations_of_a_tree_in_a_mirrored_one(videos, tmp_path):
    for place, numbers in {"a.mp4.json": [5], "deep/a.mp4.json": [6, 7]}.items():
        (tmp_path / "marks" / place).parent.mkdir(parents=True, exist_ok=True)
        data = {"frames": [{"index": number, "labels": ["x"]} for number in numbers], "ranges": []}
        (tmp_path / "marks" / place).write_text(json.dumps(data))
    report = tree(videos, tmp_path / "out", only_annotated=True, annotations=tmp_path / "marks")
    assert numbers_in(tmp_path / "out", "a") == [5]
    assert numbers_in(tmp_path / "out" / "deep", "a.mp4") == [6, 7]
    assert report.num_images == 3
    assert [Path(row.source).name for row in report.bad] == ["text.mp4"]


def test_a_tree_of_every_sample(tmp_path):
    report = tree(SAMPLES, tmp_path, num_frames=2)
    assert {Path(row.source).name for row in report} == {name for name in TRUTH if name != "numbered"}
    assert {Path(row.source).name for row in report.bad} <= {"damaged.mp4", "truncated.mp4"}


def test_a_foreign_file_in_a_tree(videos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_frame_000022.png").write_text("mine")
    report = tree(videos, tmp_path / "out", step=22)
    assert [Path(row.source).name for row in report.bad] == ["a.mp4", "bad.mp4", "text.mp4"]
    assert "a_frame_000022.png is there, and no manifest knows it" in report.rows[0].error
    assert numbers_in(tmp_path / "out" / "deep", "a.mp4") == [0, 22, 44]


def test_no_videos(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no videos in the directory"):
        tree(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        tree(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(NotADirectoryError, match=r"gop2\.mp4 is a file; sample_video takes one"):
        tree(CLIP, tmp_path / "out")


# Being stopped


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def started(code):
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment())


@posix_only
def test_a_killed_run_goes_on_where_it_was(tmp_path, asked):
    shutil.copytree(SAMPLES / "numbered", tmp_path / "in" / "numbered")
    shutil.copy(SAMPLES / "shapes.mp4", tmp_path / "in")
    shutil.copy(SAMPLES / "vp9.webm", tmp_path / "in" / "numbered")
    code = f"import pvio_lab as pv; pv.sample_video_tree({str(tmp_path / 'in')!r}, {str(tmp_path / 'out')!r})"
    with started(code) as process:
        wait_until(lambda: len(list((tmp_path / "out").rglob("*.png"))) >= 20)
        process.send_signal(signal.SIGKILL)
    visible = [path for path in (tmp_path / "out").rglob("*.png") if not path.name.startswith(".")]
    for path in visible:
        pixels(path)
    assert 20 <= len(visible) + 4 < 390
    report = tree(tmp_path / "in", tmp_path / "out")
    assert (report.num_images, len(report.bad)) == (390, 0)
    assert len(visible) == sum(row.num_kept for row in report) == 390 - len(asked)
    truth = true_frames(SAMPLES / "shapes.mp4")
    images = sorted((tmp_path / "out").glob("shapes_frame_*.png"))
    assert fingerprints(map(pixels, images)) == fingerprints(truth)
    assert manifest(tmp_path / "out", "shapes")["is_complete"]


@posix_only
@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("call", ["sample_video", "sample_video_tree"])
def test_an_interrupt_leaves_whole_images_and_a_manifest(call, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(SAMPLES / "shapes.mp4", tmp_path / "in")
    source = tmp_path / "in" / ("shapes.mp4" if call == "sample_video" else "")
    code = f"""
import pvio_lab as pv
try:
    pv.{call}({str(source)!r}, {str(tmp_path / "out")!r})
except KeyboardInterrupt:
    print("interrupted")
"""
    with started(code) as process:
        wait_until(lambda: len(list((tmp_path / "out").rglob("*.png"))) >= 10)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0].split() == [b"interrupted"]
    assert list((tmp_path / "out").glob(".*")) == []
    numbers, said = numbers_in(tmp_path / "out", "shapes"), manifest(tmp_path / "out", "shapes")
    assert [frame["number"] for frame in said["frames"]] == numbers
    assert len(numbers) < 300
    assert not said["is_complete"]
    for path in (tmp_path / "out").glob("*.png"):
        pixels(path)


STEPS = """
import os, sys, threading, pvio_lab as pv
left, lock = int(sys.argv[1]), threading.Lock()

def die_in_time(act):
    def wrapped(*arguments, **options):
        global left
        with lock:
            left -= 1
            if not left:
                os.kill(os.getpid(), 9)
        return act(*arguments, **options)
    return wrapped

for name in ("open", "link", "unlink", "replace", "remove"):
    setattr(os, name, die_in_time(getattr(os, name)))
options = dict(annotations={10: sys.argv[2]}, copy_annotations=True, progress=False)
pv.sample_video(sys.argv[3], sys.argv[4], step=10, **options)
print("done")
"""


@posix_only
@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_completes_it(tmp_path):
    """Several runs into each folder, with other annotations from time to time."""
    truth = fingerprints(true_frames(CLIP)[::10])
    for moment in range(1, 45):
        folder, mine = tmp_path / str(moment // 7), tmp_path / str(moment // 7) / "gop2_frame_000059.png"
        folder.mkdir(exist_ok=True)
        mine.write_text("mine")
        code, label = [sys.executable, "-c", STEPS, str(moment)], str(moment // 3)
        subprocess.run([*code, label, str(CLIP), str(folder)], env=environment(), capture_output=True)
        row = sample(CLIP, folder, step=10, annotations={10: label}, copy_annotations=True)
        assert (row.ok, row.num_images, mine.read_text()) == (True, 6, "mine")
        assert fingerprints(map(pixels, sorted(folder.glob("*0.png")))) == truth
        assert json.loads((folder / "gop2_frame_000010.png.json").read_text())["labels"] == [label]
        assert [frame["number"] for frame in manifest(folder)["frames"]] == list(range(0, 60, 10))
        assert list(folder.glob(".*")) == []


def test_files_of_killed_runs_are_removed_and_others_stay(tmp_path):
    halves = [
        tmp_path / f".gop2_frame_00000{number}.png.0123abcd.part{end}"
        for number, end in ((0, ""), (2, ".png"))
    ]
    other = tmp_path / ".notes.txt.0123abcd.part"
    for path in (*halves, other):
        path.write_bytes(b"half")
    with Target(tmp_path / "gop2_frame_000001.png") as target:  # another program is at work
        sample(CLIP, tmp_path, step=30)
        assert (other.exists(), target.partial.exists()) == (True, True)
    assert not any(path.exists() for path in halves)


# Two runs at once


@posix_only
def test_two_runs_into_one_folder(tmp_path):
    call = f"import pvio_lab as pv; pv.sample_video({str(CLIP)!r}, {str(tmp_path)!r}, progress=False, step="
    with started(f"{call}2)") as first, started(f"{call}3)") as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    numbers, said = numbers_in(tmp_path), manifest(tmp_path)
    assert numbers == sorted({*range(0, 60, 2), *range(0, 60, 3)})
    assert ([frame["number"] for frame in said["frames"]], said["is_complete"]) == (numbers, True)
    assert list(tmp_path.glob(".*")) == []


def test_a_run_waits_for_another_one_and_says_so(tmp_path, caplog):
    lock = LockFile(tmp_path / "gop2_frames.json")
    assert lock.acquire()
    with caplog.at_level("WARNING", "pvio_lab"), ThreadPoolExecutor(1) as pool:
        future = pool.submit(sample, CLIP, tmp_path, num_frames=1)
        while not caplog.records:
            assert not future.done()
            time.sleep(0.01)
        assert list(tmp_path.glob("*.png")) == []
        lock.release()
        assert future.result(60).ok
    assert f"gop2.mp4 is being sampled into {tmp_path} by process {os.getpid()} on" in caplog.text


def test_a_tree_leaves_what_another_one_is_at_for_the_end(videos, tmp_path):
    (tmp_path / "out").mkdir()
    with LockFile(tmp_path / "out" / "a_frames.json") as lock, ThreadPoolExecutor(1) as pool:
        assert lock.acquire()
        future = pool.submit(tree, videos, tmp_path / "out", num_frames=1)
        while not list((tmp_path / "out" / "deep" / "er").glob("*.json")):
            time.sleep(0.01)
        assert numbers_in(tmp_path / "out", "a") == []
        lock.release()
        report = future.result(60)
    assert (report.rows[0].ok, report.rows[0].num_kept) == (True, 0)
    assert numbers_in(tmp_path / "out", "a") == [29]


def test_a_report():
    broken = SampleRow("<b>.mp4", ok=False, error="OpenError: <b>.mp4 is not a video")
    good = SampleRow("a.mp4", ok=True, num_frames=9, num_images=3, num_kept=1)
    report = SampleReport((good, broken))
    assert repr(report).splitlines() == [
        "SampleReport(2 videos, 3 images, 1 bad)",
        "  <b>.mp4: OpenError: <b>.mp4 is not a video (0 images)",
    ]
    assert report.bad == (broken,)
    assert report.to_dicts()[0]["num_kept"] == 1
    assert (len(report), list(report)) == (2, [good, broken])
    html = report._repr_html_()
    assert "2 videos sampled, 3 images, 1 bad" in html
    assert "<b>" not in html
