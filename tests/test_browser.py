"""The frame browser without a page: its messages are collected, and it gets those of a page."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from truth_frames import SAMPLES, true_frames

import pvio_lab as pv


class Page:
    """A page, which takes messages and sends its own."""

    def __init__(self, browser, monkeypatch):
        self.browser, self.messages = browser, []
        monkeypatch.setattr(browser, "send", self._take)

    def _take(self, content, buffers=None):
        self.messages.append((content, buffers or []))
        if content["is"] == "picture" and content["playing"]:
            self.say(do="seen")

    def say(self, **content):
        self.browser._on_message(self.browser, content, [])

    def pictures(self, *, exact):
        return [content for content, _ in self.messages if content.get("exact") == exact]

    def last(self):
        """The last exact picture, once the view rests."""
        wanted, deadline = self.browser.index, time.monotonic() + 20
        while time.monotonic() < deadline:
            content, files = next(
                (each for each in self.messages[::-1] if each[0]["is"] == "picture"), ({}, [])
            )
            if content.get("exact") and content["index"] == wanted:
                return content, files
            time.sleep(0.02)
        raise AssertionError(f"frame {wanted} is not shown: {[c for c, _ in self.messages[-5:]]}")


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.fixture
def opened(monkeypatch):
    browsers = []

    def make(sources, **options):
        browser = pv.browse(sources, **options)
        browsers.append(browser)
        return browser, Page(browser, monkeypatch)

    yield make
    for browser in browsers:
        browser.close()


@pytest.mark.parametrize("name", ["shapes.mp4", "bframes.avi", "rotated_90.mp4", "numbered"])
def test_a_resting_view_shows_the_true_pixels(opened, name):
    browser, page = opened(SAMPLES / name)
    with pv.open_video(SAMPLES / name) as reader:
        for index in (5, 3, len(reader) - 1):
            browser.index = index
            content, (png,) = page.last()
            assert (pixels(png) == reader[index]).all()
            assert content["panes"][0]["number"] == index
            assert (browser.frame == reader[index]).all()
    assert browser.error == ""


def test_the_true_pixels_are_those_of_ffmpeg(opened):
    browser, page = opened(SAMPLES / "open_gop_hevc.mp4")
    truth = true_frames(SAMPLES / "open_gop_hevc.mp4")
    browser.index = 40
    assert np.abs(pixels(page.last()[1][0]).astype(int) - truth[40]).max() <= 2


def test_facts_and_pixels_of_a_frame(opened):
    browser, page = opened(SAMPLES / "shapes.mp4", start=250)
    page.say(do="hello", is_near=True)
    facts = page.last()[0]["panes"][0]
    assert facts["keyframe"]
    assert facts["seconds"] == pytest.approx(250 / 30)
    assert (facts["width"], facts["height"]) == tuple(browser.sizes[0])
    page.say(do="pixel", pane=0, x=300, y=200)
    answer = next(content for content, _ in page.messages if content["is"] == "pixel")
    assert answer["rgb"] == browser.frame[200, 300].tolist()


def test_two_videos_go_together_by_time_or_by_number(opened):
    browser, page = opened([SAMPLES / "shapes.mp4", SAMPLES / "gop2.mp4"], start=40)
    with pv.VideoReader(SAMPLES / "gop2.mp4") as second:
        times = second.index.pts_seconds
    page.say(do="hello", is_near=True)
    number = page.last()[0]["panes"][1]["number"]
    assert times[number] <= 40 / 30 + 1e-6
    assert number == len(times) - 1 or times[number + 1] > 40 / 30
    browser.lock = "frame"
    assert [pane["number"] for pane in page.last()[0]["panes"]] == [40, 40]


def test_the_last_of_many_moves_is_shown(opened):
    browser, page = opened(SAMPLES / "shapes.mp4")
    for number in range(1, 200):
        browser.index = number
    assert page.last()[0]["index"] == 199
    assert len(page.pictures(exact=False)) < 150


def test_an_index_out_of_range_is_the_nearest_frame(opened):
    browser, _ = opened(SAMPLES / "gop2.mp4", start=-1)
    assert repr(browser) == "FrameBrowser('gop2.mp4', index=59)"
    browser.index = -5
    assert browser.index == 0
    browser.index = 10_000
    assert browser.index == 59


def test_playing_keeps_real_time(opened):
    browser, page = opened(SAMPLES / "shapes.mp4")
    begin = time.monotonic()
    browser.play()
    time.sleep(2)
    browser.pause()
    seconds = time.monotonic() - begin
    assert browser.index / 30 == pytest.approx(seconds, abs=0.5)
    assert not browser.playing
    assert page.last()[0]["index"] == browser.index


def test_another_speed_counts_at_once(opened):
    browser, _ = opened(SAMPLES / "shapes.mp4")
    browser.rate = 0.25
    browser.play()
    time.sleep(0.5)
    browser.rate = 4.0
    time.sleep(1)
    browser.pause()
    assert browser.index > 60
    assert not browser.playing


def test_playing_ends_at_the_end(opened):
    browser, page = opened(SAMPLES / "gop2.mp4", start=50)
    browser.play()
    deadline = time.monotonic() + 10
    while browser.playing and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not browser.playing
    assert browser.index == len(browser._track) - 1
    assert page.last()[0]["index"] == browser.index


def test_difference_to_the_frame_before(opened):
    browser, page = opened(SAMPLES / "shapes.mp4", start=9)
    browser.difference = True
    with pv.VideoReader(SAMPLES / "shapes.mp4") as reader:
        expected = np.abs(reader[9].astype(int) - reader[8])
    assert (pixels(page.last()[1][0]) == expected).all()


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """A video whose folder may be written to."""
    monkeypatch.chdir(tmp_path)
    return shutil.copy2(SAMPLES / "shapes.mp4", tmp_path / "shapes.mp4")


def test_marks(opened, clip):
    browser, page = opened(clip)
    page.say(do="mark", index=12, label="jump")
    page.say(do="mark_range", start=20, end=23, label="run")
    assert list(browser.marks) == [12, 20, 21, 22]
    assert browser._marks["frames"] == [{"index": 12, "labels": ["jump"]}]
    page.say(do="rename", old="jump", new="hop")
    page.say(do="save_marks")
    assert browser._saved["text"] == "in shapes.mp4.marks.json"
    page.say(do="unmark_range", start=20, end=23, label="run")
    page.say(do="unmark", index=12, label="hop")
    assert list(browser.marks) == []
    page.say(do="undo")
    assert list(browser.marks) == [12]
    browser.marks.undo()
    page.say(do="save_marks")
    page.say(do="redo")
    page.say(do="load_marks")
    assert list(browser.marks) == [12, 20, 21, 22]
    assert browser.marks.labels == ("hop", "run")
    assert pv.sample_indices(browser.reader, only=browser.marks).tolist() == [12, 20, 21, 22]
    assert browser.error == ""


def test_marks_are_there_when_a_clip_is_opened_again(opened, clip):
    first, page = opened(clip)
    page.say(do="mark", index=12, label="jump")
    first.close()
    again, page = opened([clip, SAMPLES / "gop2.mp4"])
    assert again._marks["frames"] == [{"index": 12, "labels": ["jump"]}]
    assert again._saved["text"] == "read from shapes.mp4.marks.json"
    report = pv.sample_video(clip, clip.parent / "out", only_annotated=True, progress=False)
    assert report.num_images == 1


def test_the_page_is_asked_and_answers(opened, clip):
    other = clip.with_name("shapes.mp4.marks.json")
    other.write_text("my diary")
    browser, page = opened(clip)
    page.say(do="mark", index=12, label="jump")
    page.say(do="save_marks")
    assert browser._saved["wrong"]
    ((name, _),) = browser._saved["choices"]
    page.say(do="answer", choice=name)
    assert not browser._saved["wrong"]
    assert other.read_text() == "my diary"
    assert browser.error == ""


def test_export_and_save_replace_nothing(opened, clip):
    folder = clip.parent
    browser, page = opened(clip, start=3)
    for name in ("shapes_000003.png", "shapes_000003 (2).png"):
        page.say(do="save_frame", index=3)
        assert page.messages[-1][0]["text"] == f"saved: {name}"
        assert (pixels((folder / name).read_bytes()) == browser.frame).all()
    for name in ("part.mp4", "part.gif", "pictures", "shapes.mp4"):
        if name != "shapes.mp4":
            (folder / name).write_text("mine")
        before = (folder / name).read_bytes()
        page.say(do="export", start=5, stop=9, path=name)
        browser._export.wait(60)
        stem, dot, end = name.partition(".")
        written = f"{stem} (2){dot}{end}"
        assert [c["text"] for c, _ in page.messages if c["is"] == "note"][-1] == f"saved: {written}"
        with pv.open_video(folder / written) as again:
            assert len(again) == 4
        assert (folder / name).read_bytes() == before
    (folder / "empty").mkdir()
    page.say(do="export", start=5, stop=9, path="empty/")
    browser._export.wait(60)
    assert len(list((folder / "empty").iterdir())) == 4
    assert [content for content, _ in page.messages if content["is"] == "export"][-1]["isOver"]
    assert browser.error == ""


def test_what_goes_wrong_is_said(opened):
    browser, page = opened(SAMPLES / "shapes.mp4")
    page.say(do="mark", index=10_000, label="x")
    assert "10,000" in browser.error or "10000" in browser.error
    page.say(do="unheard of")
    assert "unheard of" in browser.error


def test_a_frame_that_cannot_be_decoded_is_said(opened, monkeypatch):
    browser, _ = opened(SAMPLES / "shapes.mp4")

    def fail(number):
        raise pv.DecodeError("it is broken there")

    monkeypatch.setattr(browser._track, "shot", fail)
    browser.index = 7
    assert browser._pictures.settle(5)
    assert "it is broken there" in browser.error


@pytest.mark.parametrize(
    ("sources", "options", "error", "words"),
    [
        ([], {}, ValueError, "empty"),
        (SAMPLES / "shapes.mp4", {"start": 10_000}, IndexError, "300"),
        ("missing.mp4", {}, FileNotFoundError, "missing.mp4"),
    ],
)
def test_errors_in_words(sources, options, error, words):
    with pytest.raises(error, match=words):
        pv.browse(sources, **options)


def test_it_is_loaded_when_it_is_used():
    code = "import sys, pvio_lab; assert not {'anywidget', 'ipywidgets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
