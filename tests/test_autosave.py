"""Marks in their file: there again, saved by themselves, and never in the place of unread ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from truth_frames import SAMPLES

from pvio_lab import VideoReader, open_video, sample_video
from pvio_lab.base import LockFile, identity_of_file
from pvio_lab.marks import AutoSave, Marks, autosave, find_notes, marked_video, marks_file

URL = "https://example.org/clip.mp4"


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """A video in a folder of its own; the working folder is another one."""
    for name in ("videos", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return shutil.copy2(SAMPLES / "gop2.mp4", tmp_path / "videos" / "clip.mp4")


@pytest.fixture(autouse=True)
def nothing_happens_by_itself(monkeypatch):
    """Only what a test asks for, on a slow machine, too."""
    monkeypatch.setattr(autosave, "DELAY_SECONDS", 1000.0)


class FromUrl(VideoReader):
    """A reader of a download."""

    source = URL


class Opened:
    """A video as a browser opens it."""

    def __init__(self, clip, open_clip=open_video):
        self.reader, self.states = open_clip(clip), []
        self.marks = Marks(len(self.reader))
        self.keeper = AutoSave(self.marks, marked_video(self.reader), self.states.append)
        self.keeper.open()

    def save(self, *frames):
        """Mark frames, and save; return whether it went well."""
        for frame in frames:
            self.marks.add_frame(frame)
        return self.keeper.save()

    @property
    def text(self):
        return self.states[-1]["text"]

    @property
    def choices(self):
        return [name for name, _ in self.states[-1]["choices"]]


@pytest.fixture
def opened():
    every = []

    def make(clip, **options):
        every.append(Opened(clip, **options))
        return every[-1]

    yield make
    for each in every:
        each.keeper.close()
        each.reader.close()


def until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def file_of(clip, name="clip.mp4.marks.json"):
    return clip.with_name(name)


def frames_in(path):
    return [each["index"] for each in json.loads(path.read_text("utf-8"))["frames"]]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def marked(path, *frames, video=None):
    marks = Marks()
    for each in frames:
        marks.add_frame(each, "other")
    marks.video = None if video is None else identity_of_file(video)
    marks.save(path, keep="mine")
    return path.read_bytes()


def test_looking_writes_nothing_and_marks_are_there_again(clip, opened, tmp_path):
    opened(clip).keeper.close()
    assert names_in(clip.parent) + names_in(tmp_path / "work") == ["clip.mp4"]
    first = opened(clip)
    first.marks.add_frame(7, "jump")
    first.keeper.close()
    assert names_in(clip.parent) == ["clip.mp4", "clip.mp4.marks.json"]
    again = opened(clip)
    assert again.marks == first.marks
    assert not again.marks.can_undo
    assert again.text == "read from clip.mp4.marks.json"


def test_they_are_saved_by_themselves(clip, opened, monkeypatch):
    monkeypatch.setattr(autosave, "DELAY_SECONDS", 0.05)
    browser = opened(clip)
    for number in range(5):
        browser.marks.add_frame(number)
    until(lambda: browser.states[-1]["at"])
    assert browser.text == "in clip.mp4.marks.json"
    assert "not saved yet" in [state["text"] for state in browser.states]
    assert frames_in(file_of(clip)) == [0, 1, 2, 3, 4]
    browser.marks.undo()
    browser.keeper.close()
    assert frames_in(file_of(clip)) == [0, 1, 2, 3]


def test_what_is_changed_back_is_saved_and_what_was_removed_comes_back(clip, opened):
    marked(file_of(clip), 1, video=clip)
    browser = opened(clip)
    opening = browser.states[-1]
    browser.marks.add_frame(2)
    browser.marks.undo()
    assert browser.text == "not saved yet"
    assert browser.keeper.save()
    assert browser.states[-1] == opening
    file_of(clip).unlink()
    assert browser.save(2)
    assert frames_in(file_of(clip)) == [1, 2]


def test_the_version_before_is_kept(clip, opened):
    before = marked(file_of(clip), 3, video=clip)
    browser = opened(clip)
    for number in (5, 6):
        assert browser.save(number)
    assert file_of(clip, "clip.mp4.marks.before.json").read_bytes() == before
    mine = file_of(clip, "clip.mp4.marks.before.json")
    mine.write_text("my diary")
    later = opened(clip)
    later.marks.clear()
    assert later.keeper.save()
    assert mine.read_text() == "my diary"
    assert frames_in(file_of(clip, "clip.mp4.marks.before (2).json")) == [3, 5, 6]


def test_two_videos_of_one_stem(clip, opened):
    other = clip.with_name("clip.avi")
    shutil.copy2(SAMPLES / "bframes.avi", other)
    for number, video in enumerate((clip, other)):
        browser = opened(video)
        browser.marks.add_frame(number)
        browser.keeper.close()
    assert [frames_in(file_of(clip, f"{name}.marks.json")) for name in ("clip.mp4", "clip.avi")] == [[0], [1]]
    assert find_notes(None, other).numbers() == [1]


def test_the_old_name_is_read_and_stays(clip, opened, tmp_path):
    for folder in (clip.parent, tmp_path / "work"):  # earlier versions wrote to the working folder
        old = folder / "clip.marks.json"
        text = marked(old, 4)
        browser = opened(clip)
        assert list(browser.marks) == [4]
        assert browser.text.startswith("read from clip.marks.json")
        browser.marks.add_frame(5)
        browser.keeper.close()
        assert old.read_bytes() == text
        assert frames_in(file_of(clip)) == [4, 5]
        assert find_notes(None, clip).numbers() == [4, 5]
        old.unlink()
        file_of(clip).unlink()


def test_the_old_name_of_two_videos_is_nobodys(clip, opened):
    shutil.copy2(SAMPLES / "bframes.avi", clip.with_name("clip.avi"))
    old = file_of(clip, "clip.marks.json")
    text = marked(old, 4)
    browser = opened(clip)
    assert list(browser.marks) == []
    assert "may have the marks of clip.mp4 or of clip.avi" in browser.text
    with pytest.raises(ValueError, match=r"clip\.mp4 or of clip\.avi.*annotations="):
        find_notes(None, clip)
    browser.keeper.answer("take")
    assert (list(browser.marks), frames_in(file_of(clip)), old.read_bytes()) == ([4], [4], text)


def test_marks_of_another_video_are_not_taken(clip, opened):
    text = marked(file_of(clip), 4, video=SAMPLES / "shapes.mp4")
    browser = opened(clip)
    assert list(browser.marks) == []
    assert "has marks of another video" in browser.text
    assert browser.choices == ["take", "rename"]
    assert not browser.save(5)
    assert browser.text.startswith("not saved: ")
    with pytest.raises(FileExistsError, match="another video"):
        browser.keeper.load()
    assert file_of(clip).read_bytes() == text
    assert frames_in(file_of(clip, "clip.mp4.marks.unsaved.json")) == [5]
    browser.keeper.answer("rename")
    assert names_in(clip.parent) == ["clip.mp4", "clip.mp4.marks (2).json", "clip.mp4.marks.json"]
    assert (list(opened(clip).marks), find_notes(None, clip).numbers()) == ([5], [5])
    assert file_of(clip).read_bytes() == text


def test_marks_of_another_video_are_taken_where_one_says_so(clip, opened, tmp_path):
    text = marked(file_of(clip), 4, video=SAMPLES / "shapes.mp4")
    options = {"only_annotated": True, "progress": False}
    with pytest.raises(ValueError, match=r"has marks of another video.*annotations="):
        sample_video(clip, tmp_path / "out", **options)
    assert sample_video(clip, tmp_path / "out", annotations=file_of(clip), **options).num_images == 1
    opened(clip).keeper.answer("take")
    assert list(opened(clip).marks) == [4]
    assert file_of(clip, "clip.mp4.marks.before.json").read_bytes() == text


@pytest.mark.parametrize("text", ["", '{"title": "a holiday"}', '{"frames": [{"index": 99, "labels": []}]}'])
def test_what_is_no_file_of_marks_stays(clip, opened, text):
    file_of(clip).write_text(text)
    browser = opened(clip)
    assert "is not a file of marks" in browser.text
    assert browser.choices == ["rename"]
    assert not browser.save(5)
    browser.keeper.answer("rename")
    assert file_of(clip).read_text() == text
    assert list(opened(clip).marks) == [5]


@contextmanager
def refusing(monkeypatch, folder):
    """Nothing can be written there, whoever asks: root may ignore permissions."""
    real = marks_file.Target

    def refuse(path, **options):
        if os.path.dirname(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(marks_file, "Target", refuse)
        yield


def test_a_read_only_folder(clip, opened, monkeypatch, tmp_path):
    marked(file_of(clip), 3, video=clip)
    with refusing(monkeypatch, clip.parent):
        browser = opened(clip)
        assert browser.save(5)
        assert browser.text == "in clip.mp4.marks.json in the working folder"
        assert list(opened(clip).marks) == [3, 5]
    assert frames_in(file_of(clip)) == [3]
    assert frames_in(tmp_path / "work" / "clip.mp4.marks.json") == [3, 5]
    assert find_notes(None, clip).numbers() == [3, 5]


def test_where_nothing_can_be_written_marks_go_to_the_cache_folder(
    clip, opened, monkeypatch, tmp_path, caplog
):
    monkeypatch.setattr(autosave, "user_cache_folder", lambda: tmp_path / "cache")
    monkeypatch.chdir(clip.parent)
    real = os.open

    def refuse(path, flags, *mode, **options):
        if flags & os.O_CREAT and os.path.dirname(path) == str(clip.parent):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *mode, **options)

    browser = opened(clip)
    browser.marks.add_frame(5)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        browser.keeper.close()
    assert frames_in(tmp_path / "cache" / "clip.mp4.marks.unsaved.json") == [5]
    assert "cache" in caplog.text


def test_a_url_has_its_marks_in_the_working_folder(clip, opened):
    assert opened(clip, open_clip=FromUrl).save(5)
    assert names_in(clip.parent) == ["clip.mp4"]
    assert list(opened(clip, open_clip=FromUrl).marks) == [5]
    with VideoReader(clip) as reader:
        assert find_notes(None, URL, reader=reader).numbers() == [5]


def test_images_have_marks_beside_their_directory(clip, opened):
    images = shutil.copytree(SAMPLES / "numbered", clip.with_name("numbered"))
    assert opened(images).save(5)
    assert names_in(clip.parent) == ["clip.mp4", "numbered", "numbered.marks.json"]
    assert find_notes(None, images).numbers() == [5]
    next(images.iterdir()).unlink()
    with pytest.raises(ValueError, match="another video"):
        find_notes(None, images)


def test_two_read_only_videos_of_one_name(clip, opened, tmp_path):
    other = tmp_path / "others"
    other.mkdir()
    shutil.copy2(SAMPLES / "shapes.mp4", other / "clip.mp4")
    for number, video in enumerate((clip, other / "clip.mp4")):
        browser = opened(video, open_clip=FromUrl)
        assert list(browser.marks) == []
        if not browser.save(number):
            browser.keeper.answer("rename")
    assert names_in(tmp_path / "work") == ["clip.mp4.marks (2).json", "clip.mp4.marks.json"]


# Somebody else


def test_changes_of_somebody_else_are_taken_in(clip, opened):
    mine, theirs = opened(clip), opened(clip)
    theirs.marks.add_frame(2)
    assert mine.save(1)
    assert theirs.save()
    assert list(theirs.marks) == [1, 2]
    assert theirs.marks.undo()
    assert not theirs.marks.can_undo
    assert theirs.keeper.save()
    assert frames_in(file_of(clip)) == [1]
    assert theirs.marks.redo()


def conflicting(clip, opened):
    marked(file_of(clip), 1, video=clip)
    mine, theirs = opened(clip), opened(clip)
    mine.marks.rename("other", "mine")
    theirs.marks.rename("other", "theirs")
    assert theirs.keeper.save()
    return mine


@pytest.mark.parametrize(
    ("choice", "labels"), [("both", ("theirs", "mine")), ("theirs", ("theirs",)), ("mine", ("mine",))]
)
def test_the_same_changed_in_two_ways_is_a_question(clip, opened, choice, labels):
    mine = conflicting(clip, opened)
    text = file_of(clip).read_bytes()
    assert not mine.keeper.save()
    assert "frame 1: 'mine' here, 'theirs' in the file" in mine.text
    assert mine.choices == ["both", "theirs", "mine"]
    assert file_of(clip).read_bytes() == text
    assert "'mine'" in repr(Marks.load(file_of(clip, "clip.mp4.marks.unsaved.json")))
    mine.keeper.answer(choice)
    assert mine.marks.labels_at(1) == opened(clip).marks.labels_at(1) == labels
    assert not file_of(clip, "clip.mp4.marks.unsaved.json").exists()


def test_python_may_answer_the_question(clip, opened):
    mine = conflicting(clip, opened)
    assert not mine.keeper.save()
    mine.keeper._hurry.set()
    mine.marks.save(file_of(clip), keep="theirs")
    until(lambda: not mine.choices)
    assert mine.text == "in clip.mp4.marks.json"
    assert mine.marks.labels_at(1) == ("theirs",)


def test_an_open_question_loses_nothing_at_the_end(clip, opened, caplog):
    mine = conflicting(clip, opened)
    mine.keeper.close()
    assert "clip.mp4.marks.unsaved.json" in caplog.text
    assert "could not be saved earlier" in opened(clip).text
    assert Marks.load(file_of(clip, "clip.mp4.marks.unsaved.json")).labels == ("mine",)


def test_python_says_the_same_in_an_error(tmp_path):
    path = tmp_path / "marks.json"
    marked(path, 1)
    mine, theirs = Marks.load(path), Marks.load(path)
    mine.rename("other", "mine")
    theirs.rename("other", "theirs")
    theirs.save(path)
    with pytest.raises(FileExistsError, match=r"frame 1: 'mine' here.*keep=\"both\".*\"theirs\".*\"mine\""):
        mine.save(path)
    mine.save(path, keep="mine")
    assert Marks.load(path).labels_at(1) == ("mine",)
    assert Marks.load(tmp_path / "marks.before.json").labels_at(1) == ("theirs",)
    with pytest.raises(ValueError, match="keep='ours' must be"):
        mine.save(path, keep="ours")


def test_marks_that_were_not_read_are_not_replaced(tmp_path):
    path = tmp_path / "marks.json"
    text = marked(path, 1)
    new = Marks()
    new.add_frame(2)
    with pytest.raises(FileExistsError, match="marks that were not read"):
        new.save(path)
    assert path.read_bytes() == text
    assert list(Marks.load(new.save(path, keep="both"))) == [1, 2]
    path.write_text("{}")
    with pytest.raises(ValueError, match="is not a file of marks"):
        new.save(path, keep="mine")
    assert path.read_text() == "{}"


def test_what_cannot_be_saved_is_said_and_tried_again(clip, opened, monkeypatch):
    browser = opened(clip)
    browser.marks.add_frame(2)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(marks_file, "Target", full)
        assert not browser.keeper.save()
    assert "No space left" in browser.text
    assert browser.choices == ["again"]
    browser.keeper.answer("again")
    assert frames_in(file_of(clip)) == [2]


# Other processes

PROCESS = """
import sys, time
from pvio_lab import open_video
from pvio_lab.marks import Marks, autosave, marked_video

clip, first, count, delay = sys.argv[1], *map(int, sys.argv[2:4]), float(sys.argv[4])
autosave.DELAY_SECONDS = delay
marks, video = Marks(60), marked_video(open_video(clip))
keeper = autosave.AutoSave(marks, video, lambda state: state["at"] and print("saved", flush=True))
keeper.open()
print("open", flush=True)
sys.stdin.readline()
for number in range(first, first + count):
    marks.add_frame(number, f"from {first}")
    time.sleep(0.01)
"""


def started(clip, first, count, delay, end=""):
    command = [sys.executable, "-c", PROCESS + end, str(clip), str(first), str(count), str(delay)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_processes_lose_nothing_and_save_at_their_end(clip):
    processes = [started(clip, first, 20, 0.02) for first in (0, 30)]
    for each in processes:
        go(each)
    for each in processes:
        each.communicate(timeout=60)
        assert each.returncode == 0
    assert frames_in(file_of(clip)) == [*range(20), *range(30, 50)]
    assert set(names_in(clip.parent)) <= {"clip.mp4", "clip.mp4.marks.json", "clip.mp4.marks.before.json"}


def test_a_process_that_is_killed_loses_only_what_was_not_saved_yet(clip, opened):
    process = started(clip, 0, 60, 0.0, end="time.sleep(600)")
    go(process)
    for _ in range(5):
        assert process.stdout.readline() == "saved\n"
    process.kill()
    process.communicate()
    saved = frames_in(file_of(clip))
    assert saved == list(range(len(saved))) != []
    browser = opened(clip)
    assert "left alone" not in browser.text
    assert browser.save(59)


def test_a_lock_that_does_not_end_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(marks_file, "_PATIENCE_SECONDS", 0.1)
    path = tmp_path / "clip.mp4.marks.json"
    with LockFile(path) as turn:
        assert turn.acquire()
        with pytest.raises(TimeoutError, match=r"process \d+ on .* has been at this file for 0.1 s"):
            Marks().save(path)
    Marks().save(path)
    assert path.name in names_in(tmp_path)
    assert not any(name.endswith(".lock") for name in names_in(tmp_path))
