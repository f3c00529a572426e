"""Image files are named, recognised and written as they should be, in order, only so many at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pvio_lab.errors import DecodeError
from pvio_lab.write.image_files import (
    checked_template,
    image_beginning,
    image_name,
    in_order,
    is_foreign,
    png_bytes,
    png_state,
    save_whole,
    video_name,
)
from pvio_lab.write.sample.sample_video import jobs_of_tree

FRAME = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@given(st.integers(1, 10**8), st.data())
def test_names_sort_as_numbers_do(num_frames, data):
    numbers = data.draw(st.lists(st.integers(0, num_frames - 1)))
    names = [image_name("a", number, num_frames) for number in numbers]
    assert [names[i] for i in np.argsort(numbers, kind="stable")] == sorted(names)


@pytest.mark.parametrize(
    ("template", "beginning"),
    [
        (None, "c_frame_"),
        ("{number}", ""),
        ("{{number}}{number:09}", "{number}"),
        ("{video}{number:,}x", "c"),
    ],
)
def test_names_of_a_video_begin_alike(template, beginning):
    assert image_beginning("c", checked_template(template)) == beginning
    for number in (0, 7, 2**31):
        assert image_name("c", number, 2**31 + 1, template=template).startswith(beginning)


def test_formats_that_keep_every_pixel(tmp_path, monkeypatch):
    for suffix in (".png", ".bmp", ".tiff", ".webp"):
        path = save_whole(tmp_path / f"a{suffix}", FRAME)
        np.testing.assert_array_equal(np.array(Image.open(path)), FRAME)
    assert (tmp_path / "a.png").read_bytes() == png_bytes(FRAME)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    assert not is_foreign(tmp_path / "a.png", ".png")  # however large


def test_whole_half_and_other_files(tmp_path):
    path, (height, width) = tmp_path / "a.png", FRAME.shape[:2]
    whole = png_bytes(FRAME)
    path.write_bytes(whole)
    assert png_state(path, (width, height)) == "whole"
    assert png_state(path, (width + 1, height)) == "other"
    for half in (whole[:-1], whole[:50], whole[:3], whole[:8] + whole[-12:], b"", bytes(len(whole))):
        path.write_bytes(half)
        assert png_state(path, (width, height)) == "half"
    path.write_text("some words" * 10)
    assert png_state(path, (width, height)) == "other"


def squares(count, asked):
    for number in range(count):
        asked.append(number)
        yield lambda number=number: number**2


def test_results_come_in_order_and_no_more_jobs_than_allowed_are_begun():
    asked, gate, begun = [], threading.Semaphore(0), []

    def slow(job):
        gate.acquire()
        return job()

    with ThreadPoolExecutor(3) as pool:
        results = in_order((partial(slow, job) for job in squares(20, asked)), pool, 5)
        threading.Timer(0.2, lambda: (begun.append(len(asked)), gate.release(100))).start()
        assert list(results) == [number**2 for number in range(20)]
    assert begun == [5]


def test_what_comes_before_an_error_is_done():
    def fail_at_the_end():
        yield from squares(4, [])
        raise DecodeError("frame 4 cannot be decoded")

    with ThreadPoolExecutor(1) as pool:
        results = in_order(fail_at_the_end(), pool, 3)
        assert [next(results) for _ in range(4)] == [0, 1, 4, 9]
        with pytest.raises(DecodeError, match="frame 4"):
            next(results)


def test_no_job_is_being_done_after_the_end():
    running, done = [], []

    def slow(number):
        running.append(number)
        time.sleep(0.05)
        running.remove(number)
        done.append(number)

    with ThreadPoolExecutor(2) as pool:
        results = in_order((partial(slow, number) for number in range(20)), pool, 8)
        next(results)
        results.close()
        assert running == []
        there = len(done)
    assert len(done) == there < 20


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/b/clip.mp4", "clip.mp4"),
        ("https://example.org/a%20b.mp4?x=1#t=2", "a b.mp4"),
        ("https://example.org/", "video"),
        ("data:video/mp4;base64,AAAA", "video"),
    ],
)
def test_names_of_sources(source, name):
    assert video_name(source) == name


def test_a_name_that_another_video_has_is_kept_whole(tmp_path):
    for name in ("a.mp4", "a.mkv", "b.mp4", "B.webm", "c.mp4", "deep/c.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    stems = [job.stem for job in jobs_of_tree(tmp_path, tmp_path / "out")]
    assert sorted(stems) == ["B.webm", "a.mkv", "a.mp4", "b.mp4", "c", "c"]
