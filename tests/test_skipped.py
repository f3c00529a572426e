from __future__ import annotations

import warnings

import pytest

from pvio_lab.load.dataset import Skipped, SkippedVideos


@pytest.mark.filterwarnings("ignore:.*is not complete")
def test_lost_frames_of_a_video_are_one_entry():
    videos, first = SkippedVideos(), OSError("first")
    for number in (7, 3, 7):
        videos.add("a.mp4", first if number == 7 else OSError("later"), number)
    assert videos.listed() == (Skipped("a.mp4", first, (3, 7)),)
    videos.add("a.mp4", OSError("last"))
    videos.add("a.mp4", OSError("later"), 9)
    assert videos.listed() == (Skipped("a.mp4", first, None),)


def test_each_video_is_warned_of_once():
    videos = SkippedVideos()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for path in ("a.mp4", "b.mp4", "a.mp4"):
            videos.add(path, OSError("gone"), 0)
    assert [str(each.message) for each in warned] == [f"{name}.mp4 is not complete: gone" for name in "ab"]
