"""Exports hold the pixels that were read; one that is not complete leaves nothing behind."""

from __future__ import annotations

import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from truth_frames import SAMPLES, psnr, read_number

from pvio_lab import ImageSequence, VideoReader
from pvio_lab.view.browser.export import Cancelled, export_range, save_frame
from pvio_lab.write import MUXERS

TARGETS = ["part.mp4", "part.gif", "pictures"]
needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs the links and permissions of POSIX")


@pytest.fixture(scope="module")
def reader():
    with VideoReader(SAMPLES / "gop2.mp4") as opened:
        yield opened


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def numbers_in(frames):
    return [read_number(frame) for frame in frames]


# One frame


@pytest.mark.parametrize("index", [17, -1, np.int64(3)])
def test_a_saved_frame_has_the_same_pixels(reader, tmp_path, index):
    assert save_frame(reader, index, tmp_path / "frame.png") == tmp_path / "frame.png"
    np.testing.assert_array_equal(pixels(tmp_path / "frame.png"), reader[index])
    assert names_in(tmp_path) == ["frame.png"]


@pytest.mark.parametrize(
    ("index", "name", "error", "words"),
    [
        (60, "a.png", IndexError, "frame 60 is out of range: there are 60 frames"),
        (1.5, "a.png", TypeError, "index=1.5 must be an integer"),
        (1, "a.jpg", ValueError, r"a\.jpg must end in \.png"),
        (1, "a", ValueError, r"must end in \.png"),
        (1, "none/a.png", FileNotFoundError, "there is no folder .*none"),
    ],
)
def test_a_frame_that_cannot_be_saved(reader, tmp_path, index, name, error, words):
    with pytest.raises(error, match=words):
        save_frame(reader, index, tmp_path / name)
    assert names_in(tmp_path) == []


def test_a_failed_save_leaves_nothing(reader, tmp_path, monkeypatch):
    def fail_halfway(image, path, *_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail_halfway)
    for write in (save_frame, lambda *given: export_range(*given[:2], 3, tmp_path / "pictures")):
        with pytest.raises(OSError, match="disk full"):
            write(reader, 0, tmp_path / "a.png")
    assert names_in(tmp_path) == []


def test_files_that_exist_are_not_replaced(reader, tmp_path):
    for name in ("a.png", "a.mp4", "pictures"):
        (tmp_path / name).write_bytes(b"old")
    with pytest.raises(FileExistsError):
        save_frame(reader, 0, tmp_path / "a.png")
    with pytest.raises(FileExistsError):
        export_range(reader, 0, 5, tmp_path / "a.mp4")
    with pytest.raises(FileExistsError, match="pictures is a file"):
        export_range(reader, 0, 5, tmp_path / "pictures")
    assert [(tmp_path / name).read_bytes() for name in names_in(tmp_path)] == [b"old"] * 3


# Ranges


@pytest.mark.parametrize("suffix", [*MUXERS, ".MP4"])
def test_a_video_of_every_kind(reader, tmp_path, suffix):
    path = export_range(reader, 20, 29, tmp_path / f"part{suffix}")
    with VideoReader(path) as again:
        assert again.shape == (9, *reader.shape[1:])
        assert numbers_in(again) == list(range(20, 29))
        assert again.fps == pytest.approx(reader.fps, rel=0.02 if suffix == ".gif" else 1e-6)
        worst = min(psnr(*pair) for pair in zip(again, reader[20:29], strict=True))
    assert worst > 30
    assert names_in(tmp_path) == [path.name]


def test_a_directory_of_pictures(reader, tmp_path):
    path = export_range(reader, 8, 21, tmp_path / "pictures")
    assert names_in(path) == [f"frame_{number:06}.png" for number in range(8, 21)]
    for number in range(8, 21):
        np.testing.assert_array_equal(pixels(path / f"frame_{number:06}.png"), reader[number])
    np.testing.assert_array_equal(ImageSequence(path)[:], reader[8:21])
    assert names_in(tmp_path) == ["pictures"]


@pytest.mark.parametrize(("name", "is_there"), [("empty", True), ("empty.mp4", True), ("take.1/", False)])
def test_an_empty_directory_is_filled_and_a_slash_makes_one(reader, tmp_path, name, is_there):
    if is_there:
        (tmp_path / name).mkdir()
    assert len(names_in(export_range(reader, 0, 2, f"{tmp_path}/{name}"))) == 2
    assert names_in(tmp_path) == [name.rstrip("/")]


@needs_posix
def test_a_link_to_a_directory_stays(reader, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    export_range(reader, 0, 2, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(names_in(tmp_path / "real")) == 2


@pytest.mark.parametrize(
    ("start", "stop", "taken"), [(-2, None, [58, 59]), (0, -58, [0, 1]), (58, 1000, [58, 59])]
)
def test_start_and_stop_are_those_of_a_slice(reader, tmp_path, start, stop, taken):
    export_range(reader, start, stop, tmp_path / "pictures")
    assert numbers_in(ImageSequence(tmp_path / "pictures")) == taken


def test_images_become_a_video_and_images(tmp_path):
    source = ImageSequence(SAMPLES / "numbered", fps=12)
    with VideoReader(export_range(source, 2, 11, tmp_path / "part.mp4")) as again:
        assert again.fps == pytest.approx(12)
        assert numbers_in(again) == numbers_in(source[2:11])
    export_range(source, 2, 11, tmp_path / "pictures")
    np.testing.assert_array_equal(ImageSequence(tmp_path / "pictures")[:], source[2:11])


def test_a_rotated_video_of_variable_rate_keeps_its_shape_and_its_average(tmp_path):
    for name in ("rotated_90.mp4", "variable_rate.mp4"):
        with VideoReader(SAMPLES / name) as source:
            path = export_range(source, 30, 40, tmp_path / name)
            with VideoReader(path) as again:
                assert again.shape == (10, *source.shape[1:])
                assert again.fps == pytest.approx(source.fps)


# Progress and cancelling


@pytest.mark.parametrize("name", TARGETS)
def test_progress_is_told_after_each_frame_and_the_target_appears_when_it_is_complete(reader, tmp_path, name):
    told, path = [], tmp_path / name
    export_range(reader, 3, 12, path, progress=lambda *each: told.append((*each, path.exists())))
    assert told == [(done, 9, False) for done in range(1, 10)]
    assert path.exists()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("after", [0, 6, 9])
def test_a_cancelled_export_leaves_nothing(reader, tmp_path, name, after):
    done = [0]
    with pytest.raises(Cancelled, match=f"{name} was cancelled after {after} of 9 frames"):
        export_range(
            *(reader, 3, 12, tmp_path / name),
            progress=lambda number, _: done.__setitem__(0, number),
            is_cancelled=lambda: done[0] == after,
        )
    assert done == [after]
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_of_the_caller_comes_through_and_leaves_nothing(reader, tmp_path, name, error):
    def fail(done, _):
        if done == 3:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        export_range(reader, 0, 9, tmp_path / name, progress=fail)
    assert names_in(tmp_path) == []


def test_another_thread_may_cancel_and_the_reader_goes_on(reader, tmp_path):
    started, stop = threading.Event(), threading.Event()
    options = {"progress": lambda *_: started.set(), "is_cancelled": stop.is_set}
    with ThreadPoolExecutor(1) as pool:
        export = pool.submit(export_range, reader, 0, None, tmp_path / "part.mp4", **options)
        assert started.wait(30)
        assert read_number(reader[33]) == 33
        stop.set()
        error = export.exception(30)
    assert error is None or isinstance(error, Cancelled)
    assert names_in(tmp_path) == ([] if error else ["part.mp4"])
    assert read_number(reader[44]) == 44


# What is refused


@pytest.mark.parametrize(
    ("start", "stop", "name", "error", "words"),
    [
        (5, 5, "a.mp4", ValueError, "no frame from 5 to 5: the video has 60 frames"),
        (60, None, "a.mp4", ValueError, "no frame from 60 to None"),
        (0, 5, "a.wmv", ValueError, r"ends in \.wmv, which is not a kind of video file; there are \.mp4"),
        (0, 5, "a.png", ValueError, "a slash at the end makes a directory"),
        (0, 5, "none/a", FileNotFoundError, "there is no folder .*none"),
    ],
)
def test_what_cannot_be_exported(reader, tmp_path, start, stop, name, error, words):
    with pytest.raises(error, match=words):
        export_range(reader, start, stop, tmp_path / name)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("after", [0, 2])
def test_a_directory_with_something_in_it_is_left_alone(reader, tmp_path, after):
    def appear(done, _):
        if done == after:
            (tmp_path / "pictures").mkdir()
            (tmp_path / "pictures" / "mine.txt").write_text("mine")

    appear(0, None)
    with pytest.raises(FileExistsError, match="pictures is not empty"):
        export_range(reader, 0, 5, tmp_path / "pictures", progress=appear)
    assert names_in(tmp_path) == ["pictures"]
    assert names_in(tmp_path / "pictures") == ["mine.txt"]


def test_a_damaged_frame_leaves_nothing(tmp_path):
    pictures = tmp_path / "source"
    with VideoReader(SAMPLES / "gop2.mp4") as source:
        export_range(source, 0, 9, pictures)
    (pictures / "frame_000006.png").write_bytes(b"no picture")
    for name in TARGETS:
        with pytest.raises(RuntimeError, match="frame 6 cannot be decoded"):
            export_range(ImageSequence(pictures), 0, 9, tmp_path / name)
    assert names_in(tmp_path) == ["source"]


@needs_posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(reader, tmp_path):
    tmp_path.chmod(0o500)
    try:
        for name in TARGETS:
            with pytest.raises(PermissionError):
                export_range(reader, 0, 5, tmp_path / name)
    finally:
        tmp_path.chmod(0o700)


def most_memory(source, count, path):
    """At the most, in frames, while this many are exported."""
    tracemalloc.start()
    try:
        export_range(source, 0, count, path)
        return tracemalloc.get_traced_memory()[1] / np.prod(source.shape[1:])
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".mp4", "_pictures/"])
def test_memory_does_not_grow_with_the_range(tmp_path, suffix):
    with VideoReader(SAMPLES / "gop2.mp4") as source:
        few, many = (most_memory(source, count, f"{tmp_path}/{count}{suffix}") for count in (12, 60))
    assert many < few + 5
