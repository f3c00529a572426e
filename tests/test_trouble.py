from __future__ import annotations

import warnings

import pytest

from pvio_lab.load.skipped import Skipped, Trouble


@pytest.mark.filterwarnings("ignore:.*is not complete")
def test_lost_frames_of_a_video_are_one_entry():
    trouble, first = Trouble(), OSError("first")
    for number in (7, 3, 7):
        trouble.of_frame("a.mp4", number, first if number == 7 else OSError("later"))
    assert trouble.skipped == (Skipped("a.mp4", first, (3, 7)),)
    trouble.of_file("a.mp4", OSError("last"))
    trouble.of_frame("a.mp4", 9, OSError("later"))
    assert trouble.skipped == (Skipped("a.mp4", first, None),)


def test_each_video_is_warned_of_once():
    trouble = Trouble()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for path in ("a.mp4", "b.mp4", "a.mp4"):
            trouble.of_frame(path, 0, OSError("gone"))
    assert [str(each.message) for each in warned] == [f"{name}.mp4 is not complete: gone" for name in "ab"]
