"""Images appear when they are complete, in order, and only so many are on their way."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pvio_lab.errors import DecodeError
from pvio_lab.write.images import image_name, is_image, png_state, save_whole, write_all, write_image
from pvio_lab.write.sample.names import shared_stems, stem_for, video_name

FRAME = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@given(st.integers(1, 10**8), st.data())
def test_names_sort_as_numbers_do(num_frames, data):
    numbers = data.draw(st.lists(st.integers(0, num_frames - 1)))
    names = [image_name("a", number, num_frames) for number in numbers]
    assert [names[i] for i in np.argsort(numbers, kind="stable")] == sorted(names)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp"])
def test_formats_that_keep_every_pixel(suffix, tmp_path):
    path = save_whole(tmp_path / f"a{suffix}", FRAME)
    np.testing.assert_array_equal(np.array(Image.open(path)), FRAME)


def test_whole_half_and_other_files(tmp_path):
    path, (height, width) = tmp_path / "a.png", FRAME.shape[:2]
    write_image(path, FRAME)
    whole = path.read_bytes()
    assert png_state(path, (width, height)) == "whole"
    assert png_state(path, (width + 1, height)) == "other"
    for half in (whole[:-1], whole[:50], whole[:3], whole[:8] + whole[-12:], b"", bytes(len(whole))):
        path.write_bytes(half)
        assert png_state(path, (width, height)) == "half"
    path.write_text("some words" * 10)
    assert png_state(path, (width, height)) == "other"


def test_an_image_is_one_however_large(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", FRAME)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert is_image(tmp_path / "a.png")


def jobs(folder, count, asked):
    for number in range(count):
        asked.append(number)
        yield folder / f"{number}.png", FRAME


def test_paths_come_in_order_and_no_more_than_allowed_are_on_their_way(tmp_path):
    asked, gate, written = [], threading.Semaphore(0), []

    def slow(path, frame):
        gate.acquire()
        write_image(path, frame)

    with ThreadPoolExecutor(3) as pool:
        paths = write_all(jobs(tmp_path, 20, asked), slow, pool, 5)
        opener = threading.Timer(0.2, lambda: (written.append(len(asked)), gate.release(100)))
        opener.start()
        assert [path.stem for path in paths] == [str(number) for number in range(20)]
    assert written == [5]


def test_what_comes_before_an_error_is_written(tmp_path):
    def fail_at_the_end():
        yield from jobs(tmp_path, 4, [])
        raise DecodeError("frame 4 cannot be decoded")

    with ThreadPoolExecutor(1) as pool:
        paths = write_all(fail_at_the_end(), write_image, pool, 3)
        assert [next(paths).stem for _ in range(4)] == ["0", "1", "2", "3"]
        with pytest.raises(DecodeError, match="frame 4"):
            next(paths)


def test_nothing_is_being_written_after_the_end(tmp_path):
    running = []

    def slow(path, frame):
        running.append(path)
        time.sleep(0.05)
        running.remove(path)
        path.touch()

    with ThreadPoolExecutor(2) as pool:
        paths = write_all(jobs(tmp_path, 20, []), slow, pool, 8)
        next(paths)
        paths.close()
        assert running == []
        there = len(list(tmp_path.iterdir()))
    assert len(list(tmp_path.iterdir())) == there < 20


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


def test_names_that_are_shared(tmp_path):
    assert shared_stems(["a.mp4", "a.mkv", "b.mp4", "B.webm", "c.mp4"]) == {
        "a.mp4",
        "a.mkv",
        "b.mp4",
        "B.webm",
    }
    assert stem_for(tmp_path, "a.mp4") == "a"
    assert stem_for(tmp_path, "a.mp4", is_shared=True) == "a.mp4"
    (tmp_path / "a_frames.json").write_text('{"video": "a.mkv", "is_complete": true, "frames": []}')
    assert stem_for(tmp_path, "a.mp4") == "a.mp4"
    assert stem_for(tmp_path, "a.mkv", is_shared=True) == "a"
